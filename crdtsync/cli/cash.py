"""``crdtsync cash``: cash that goes into or out of the drawer without a sale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.options import MAY_BE_NEGATIVE, common_options, epilog, open_register
from crdtsync.cli.output import money, print_json

if TYPE_CHECKING:
    from crdtsync.model.drawer import CashMove

WORDS = {"in": "put in", "out": "taken out", "deposit": "taken to the bank"}


@click.command(
    "cash",
    epilog=epilog(
        'crdtsync cash out 20 --reason "window cleaner"',
        "recorded",
        errors.InvalidAmount,
        errors.InvalidSale,
        errors.NoRegister,
    ),
    context_settings=MAY_BE_NEGATIVE,
)
@click.argument("what", type=click.Choice(list(WORDS)))
@click.argument("amount")
@click.option("--reason", required=True, help="Why.")
@common_options
def command(what: CashMove, amount: str, reason: str, data: Path, as_json: bool) -> None:
    """Record cash put in, taken out, or taken to the bank."""
    from crdtsync.model.money import parse_amount

    amount_minor = parse_amount(amount)
    with open_register(data) as register:
        register.cash(what, amount_minor, reason=reason)
    if as_json:
        print_json({"what": what, "amount_minor": amount_minor, "reason": reason})
        return
    click.echo(f"{money(amount_minor)} {WORDS[what]}.")
