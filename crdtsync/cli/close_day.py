"""``crdtsync close``: close the business day, the month or the year."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.arguments import parse_cash
from crdtsync.cli.figures_text import print_figures
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json, print_notices
from crdtsync.cli.syncing import sync_on_the_way

if TYPE_CHECKING:
    from crdtsync.model.period import Level
    from crdtsync.runtime.register.register import Register


@click.command(
    "close",
    epilog=epilog(
        "crdtsync close --counted 1234.50",
        "closed, synchronised or not",
        errors.UsageError,
        errors.InvalidAmount,
        errors.NoRegister,
    ),
)
@click.option("--counted", "counted_text", metavar="AMOUNT", help="The cash found in the drawer.")
@click.option(
    "--level",
    type=click.Choice(["day", "month", "year"]),
    default="day",
    show_default=True,
    help="What to close.",
)
@click.option("--read", is_flag=True, help="Only read the running day (X): nothing is recorded.")
@common_options
def command(counted_text: str | None, level: Level, read: bool, data: Path, as_json: bool) -> None:
    """Close the business day (Z), and synchronise.

    Without a network the day closes all the same. The figures of all registers: `crdtsync report`.
    """
    counted_minor = None if counted_text is None else parse_cash(counted_text, "the cash counted")
    with open_register(data) as register:
        if read:
            figures = register.x_report()
        elif level == "day":
            figures = register.close_day(counted_minor)
        else:
            figures = register.close_period(level)
        if not as_json:
            print_figures(figures)
        outcome = "" if read else _synchronise(register)
    if as_json:
        print_json({"figures": figures, "cash_gap_minor": figures.cash_gap_minor, "sync": outcome})
        return
    if outcome:
        click.echo(outcome)
    print_notices(figures.notices)


def _synchronise(register: Register) -> str:
    try:
        return sync_on_the_way(register)
    except KeyboardInterrupt:
        # The day is closed, and cannot be closed again to have its figures printed.
        return "Not synchronised: it was stopped. Everything recorded is safe on this register."
