"""``crdtsync product show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import money, print_json, rate
from crdtsync.storage.view_queries import ProductRow

IN_THE_LINE = ("name", "archived")
"""Details of a product that are told in other lines than one of their own."""


@click.command(
    "show", epilog=epilog("crdtsync product show CM-19", "shown", errors.UnknownProduct, errors.NoRegister)
)
@click.argument("sku")
@common_options
def command(sku: str, data: Path, as_json: bool) -> None:
    """Show one product with its price now."""
    with open_register(data, only_looks=True) as register:
        product = register.products.get(sku)
    if as_json:
        print_json(product_facts(product))
        return
    click.echo(product_line(product))
    for name, value in sorted(orjson.loads(product.body).items()):
        if name in IN_THE_LINE or value in ("", []):
            continue
        click.echo(f"  {name}: {', '.join(value) if isinstance(value, list) else value}")
    if product.archived:
        click.echo("  not on sale any more")
    if product.disputed:
        click.echo("  two people changed its price without seeing one another: the later one is used")


def product_facts(product: ProductRow) -> dict[str, Any]:
    """A product as JSON."""
    return {**product._asdict(), "archived": bool(product.archived), "disputed": bool(product.disputed)} | {
        "body": orjson.loads(product.body)
    }


def product_line(product: ProductRow) -> str:
    """A product in one line."""
    vat = "" if product.vat_rate is None else f"  {rate(product.vat_rate)}"
    return f"{product.sku}  {product.name}  {money(product.price_minor)}{vat}"
