"""``crdtsync product list``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync.cli.options import common_options, open_register
from crdtsync.cli.output import money, print_json, print_table


@click.command("list", epilog="Example: crdtsync product list --archived")
@click.option("--archived", is_flag=True, help="Also those that are not on sale any more.")
@common_options
def command(archived: bool, data: Path, as_json: bool) -> None:
    """List the products with their prices now."""
    with open_register(data) as register:
        products = list(register.products.list(archived=archived))
    if as_json:
        print_json([product._asdict() for product in products])
        return
    rows = [(product.sku, product.name, money(product.price_minor)) for product in products]
    print_table(("SKU", "Product", "Price"), rows, right=(2,))
