"""``crdtsync product list``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import money, print_json, print_table, rate
from crdtsync.cli.product_show import product_facts


@click.command("list", epilog=epilog("crdtsync product list --archived", "listed", errors.NoRegister))
@click.option("--archived", is_flag=True, help="Also those that are not on sale any more.")
@common_options
def command(archived: bool, data: Path, as_json: bool) -> None:
    """List the products with their prices now."""
    with open_register(data, only_looks=True) as register:
        products = list(register.products.list(archived=archived))
    if as_json:
        print_json([product_facts(product) for product in products])
        return
    if not products:
        click.echo("No products yet.")
        return
    print_table(
        ("SKU", "product", "price", "VAT", ""),
        [
            (
                product.sku,
                product.name,
                money(product.price_minor),
                "" if product.vat_rate is None else rate(product.vat_rate),
                "archived" if product.archived else "price disputed" if product.disputed else "",
            )
            for product in products
        ],
        right=(2, 3),
    )
