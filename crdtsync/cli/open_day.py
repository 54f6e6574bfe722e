"""``crdtsync open``: open the business day."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.arguments import parse_cash, parse_day
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import local_day, money, print_json, print_notices
from crdtsync.cli.syncing import sync_on_the_way


@click.command(
    "open",
    epilog=epilog(
        "crdtsync open --float 150",
        "open, synchronised or not",
        errors.UsageError,
        errors.InvalidName,
        errors.InvalidAmount,
        errors.NoRegister,
    ),
)
@click.option("--float", "float_text", default="0", metavar="AMOUNT", help="The cash in the drawer.")
@click.option("--day", metavar="YYYY-MM-DD", help="The day it is, when the clock is in doubt.")
@common_options
def command(float_text: str, day: str | None, data: Path, as_json: bool) -> None:
    """Open the business day, and synchronise.

    Without a network the day opens all the same. A day that was left open is closed first.
    """
    float_minor = parse_cash(float_text, "the float")
    day = None if day is None else parse_day(day)
    with open_register(data) as register:
        outcome = sync_on_the_way(register)
        opened = register.open_day(float_minor, day)
        register.products.refresh()
    if as_json:
        print_json(
            {"business_day": opened.business_day, "float_minor": float_minor, "sync": outcome}
            | {"notices": opened.notices}
        )
        return
    click.echo(f"The {local_day(opened.business_day)} is open, {money(float_minor)} in the drawer.")
    click.echo(outcome)
    print_notices(opened.notices)
