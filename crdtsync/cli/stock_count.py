"""``crdtsync stock count``: what lies on the shelf."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json, quantity
from crdtsync.errors import InvalidAmount


@click.command(
    "count",
    epilog=epilog(
        "crdtsync stock count CM-19=34 TER-01=12",
        "recorded",
        errors.InvalidAmount,
        errors.UnknownProduct,
        errors.InvalidSale,
        errors.NoRegister,
    ),
)
@click.argument("counted", nargs=-1, required=True, metavar="SKU=QTY…")
@click.option("--request-id", metavar="ID", help="Makes repeating safe.")
@common_options
def command(counted: tuple[str, ...], request_id: str | None, data: Path, as_json: bool) -> None:
    """Record what lies on the shelf.

    Everything that this register knows counts as included. What was sold elsewhere before the count and
    arrives later is not subtracted again.
    """
    quantities: dict[str, int] = {}
    for sku, found in map(_counted, counted):
        if sku in quantities:
            raise InvalidAmount(f"{sku} is counted twice", hint="give each product once, with all of it")
        quantities[sku] = found
    with open_register(data) as register:
        for sku in quantities:
            register.products.get(sku)
        register.stock.count(quantities, request_id=request_id)
    if as_json:
        print_json({"counted": quantities})
        return
    for sku, found in quantities.items():
        click.echo(f"{sku}: {quantity(found)} counted.")


def _counted(text: str) -> tuple[str, int]:
    from crdtsync.model.money import parse_quantity

    sku, sign, amount = text.rpartition("=")
    if not sign or not sku:
        raise InvalidAmount(f"{text!r} is not SKU=QUANTITY", hint="write it like CM-19=34")
    quantity_thousandths = parse_quantity(amount)
    if quantity_thousandths < 0:
        raise InvalidAmount(f"{text}: what lies on a shelf is nothing or more")
    return sku, quantity_thousandths
