"""``crdtsync quarantine show``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import local_time, print_json
from crdtsync.cli.quarantine_text import print_quarantined, quarantined_facts


@click.command(
    "show",
    epilog=epilog("crdtsync quarantine show 5e0a77c1", "shown", errors.InvalidName, errors.NoRegister),
)
@click.argument("digest")
@common_options
def command(digest: str, data: Path, as_json: bool) -> None:
    """Show all of one record in quarantine: why it is there, what it says, what to do, its bytes.

    DIGEST is the beginning of its digest, as `crdtsync quarantine list` shows it.
    """
    with open_register(data, only_looks=True) as register:
        row = register.quarantine.find(digest)
        clock = register.replica.clock
    if as_json:
        print_json(quarantined_facts(row, whole=True))
    else:
        print_quarantined(row, lambda at_ms: local_time(at_ms, clock.utc_offset_min(clock.now_ms())))
