"""``crdtsync verify``: check everything that this register holds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json
from crdtsync.errors import IntegrityDefect
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync.runtime.register.verify import Finding


@click.command(
    "verify",
    epilog=epilog("crdtsync verify --json", "everything holds", errors.NoRegister, errors.IntegrityDefect),
)
@common_options
def command(data: Path, as_json: bool) -> None:
    """Check every checksum, link, number, total and signature, and that reports show what the entries say.

    Ends with exit code 67, naming each entry that fails, if anything does not hold.
    """
    with open_register(data, only_looks=True) as register:
        found = register.verify(_progress(as_json=as_json))
    if as_json:
        print_json(found)
    else:
        for finding in found.findings:
            link = f" ({finding.link.hex()[:8]})" if finding.link else ""
            click.echo(f"{_where(finding)}{link}: {finding.code}: {finding.message}")
        click.echo(
            f"{many(found.records, 'record')}, {many(found.entries, 'entry', 'entries')} of "
            f"{many(found.chains, 'chain')}: "
            + (f"{many(len(found.findings), 'defect')}." if found.findings else "everything holds.")
        )
        if found.notes:
            click.echo(
                "note: the owner's chain has branches, as after the relay was restored from a backup; all "
                "certificates in them count"
            )
    if found.findings:
        first = found.findings[0]
        raise IntegrityDefect(
            f"{many(len(found.findings), 'defect')}, the first in {_where(first)}: {first.message}",
            hint="keep the data folder as it is and compare with another register or the relay",
        )


def _where(finding: Finding) -> str:
    name = finding.number or (f"entry {finding.seq}" if finding.seq else "")
    return f"{finding.place}: {name}" if name else finding.place


def _progress(*, as_json: bool) -> Callable[[int, int], None]:
    if as_json or not sys.stderr.isatty():
        return lambda *_: None
    return lambda done, total: click.echo(f"\r{done} of {total} records", nl=done == total, err=True)
