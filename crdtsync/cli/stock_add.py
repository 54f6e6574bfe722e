"""``crdtsync stock add``: a delivery or a loss."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import MAY_BE_NEGATIVE, common_options, epilog, open_register
from crdtsync.cli.output import print_json, quantity
from crdtsync.cli.stock_list import level_facts
from crdtsync.errors import InvalidAmount
from crdtsync.model.movement import REASONS


@click.command(
    "add",
    epilog=epilog(
        "crdtsync stock add CM-19 36 --reference BL-4711",
        "recorded",
        errors.InvalidAmount,
        errors.UnknownProduct,
        errors.InvalidSale,
        errors.NoRegister,
    ),
    context_settings=MAY_BE_NEGATIVE,
)
@click.argument("sku")
@click.argument("amount", metavar="QTY")
@click.option(
    "--why",
    type=click.Choice(REASONS),
    default="delivery",
    show_default=True,
    help="The reason.",
)
@click.option("--reference", help="A delivery note, say.")
@click.option("--request-id", metavar="ID", help="Makes repeating safe.")
@common_options
def command(
    sku: str, amount: str, why: str, reference: str | None, request_id: str | None, data: Path, as_json: bool
) -> None:
    """Record that some came or, with a negative QTY, went."""
    from crdtsync.model.money import parse_quantity

    moved = parse_quantity(amount)
    if moved == 0:
        raise InvalidAmount(f"nothing of {sku} would move: QTY is 0")
    with open_register(data) as register:
        register.products.get(sku)
        register.stock.add(sku, moved, why=why, reference=reference, request_id=request_id)
        level = register.stock.level(sku)
    if as_json:
        print_json(level_facts(level))
        return
    click.echo(f"{sku}: {quantity(level.quantity)} in stock.")
