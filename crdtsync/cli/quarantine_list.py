"""``crdtsync quarantine list``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import local_time, print_json
from crdtsync.cli.quarantine_text import print_quarantine, quarantined_facts


@click.command("list", epilog=epilog("crdtsync quarantine list", "shown", errors.NoRegister))
@common_options
def command(data: Path, as_json: bool) -> None:
    """List what was refused, held or found damaged here, and what the relay refused of this register.

    Each with who did not take it, and why.
    """
    with open_register(data, only_looks=True) as register:
        rows = register.quarantine.rows()
        clock = register.replica.clock
    if as_json:
        print_json([quarantined_facts(row) for row in rows])
    else:
        print_quarantine(rows, lambda at_ms: local_time(at_ms, clock.utc_offset_min(clock.now_ms())))
