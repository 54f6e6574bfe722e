"""``crdtsync quarantine retry``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json
from crdtsync.cli.quarantine_text import print_retried


@click.command(
    "retry", epilog=epilog("crdtsync quarantine retry", "judged", errors.InvalidName, errors.NoRegister)
)
@click.argument("digest", required=False)
@common_options
def command(digest: str | None, data: Path, as_json: bool) -> None:
    """Judge records in quarantine again, all or the one whose DIGEST begins so, by the rules of now.

    This version of the program may admit what another one refused. What the relay refused is judged there:
    `crdtsync-relay quarantine retry`. What is damaged is fetched again: `crdtsync resync`.
    """
    with open_register(data) as register:
        admitted = register.quarantine.retry(digest)
        left = len(register.quarantine.rows())
    if as_json:
        print_json({"admitted": admitted, "left": left})
    else:
        print_retried(admitted, left)
