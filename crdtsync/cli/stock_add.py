"""``crdtsync stock add``: a delivery or a loss."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync.cli.options import common_options, open_register
from crdtsync.cli.output import print_json, quantity


@click.command(
    "add",
    epilog="Example: crdtsync stock add CM-19 36 --reference BL-4711",
    # A negative quantity is no option.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("sku")
@click.argument("amount", metavar="QTY")
@click.option(
    "--why",
    default="delivery",
    show_default=True,
    help="delivery, supplier-return, breakage, corked, tasting, transfer or other.",
)
@click.option("--reference", help="A delivery note, say.")
@click.option("--request-id", metavar="ID", help="Makes repeating safe.")
@common_options
def command(
    sku: str, amount: str, why: str, reference: str | None, request_id: str | None, data: Path, as_json: bool
) -> None:
    """Record that some came or, with a negative QTY, went."""
    from crdtsync.model.money import parse_quantity

    with open_register(data) as register:
        register.products.get(sku)
        register.stock.add(sku, parse_quantity(amount), why=why, reference=reference, request_id=request_id)
        level = register.stock.level(sku)
    if as_json:
        print_json(level)
        return
    click.echo(f"{sku}: {quantity(level.quantity)} in stock.")
