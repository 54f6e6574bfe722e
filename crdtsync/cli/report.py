"""``crdtsync report``: a business day of all registers."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.arguments import parse_day
from crdtsync.cli.figures_text import print_report
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json


@click.command(
    "report",
    epilog=epilog("crdtsync report --day 2026-11-24", "shown", errors.InvalidName, errors.NoRegister),
)
@click.option("--day", metavar="YYYY-MM-DD", help="The business day; by default the running one.")
@common_options
def command(day: str | None, data: Path, as_json: bool) -> None:
    """Report of a business day over all registers of the shop.

    A register that was not heard is named as missing; it is not taken to have sold nothing.
    """
    from crdtsync.runtime.committing.head import read_head

    day = None if day is None else parse_day(day)
    with open_register(data, only_looks=True) as register:
        report = register.report(read_head(register.replica.log).bd if day is None else day)
        clock = register.replica.clock
    if as_json:
        print_json({"report": report, "complete": report.complete})
        return
    print_report(report, clock.utc_offset_min(clock.now_ms()))
