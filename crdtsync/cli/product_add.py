"""``crdtsync product add``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from crdtsync.cli.options import common_options, open_register
from crdtsync.cli.output import print_json
from crdtsync.cli.product_show import product_facts, product_line


def detail_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The describing fields of a product, for ``add`` and ``set``."""
    for name in ("producer", "appellation", "category", "barcode", "unit"):
        command = click.option(f"--{name}", help=f"The product's {name}.")(command)
    return command


@click.command(
    "add", epilog="Example: crdtsync product add CM-19 --name 'Crozes-Hermitage 2019' --price 18.50 --vat 20"
)
@click.argument("sku")
@click.option("--name", required=True, help="As it stands on the ticket.")
@click.option("--price", required=True, help="Tax included, 18.50 or 18,50.")
@click.option("--vat", required=True, help="Rate in percent: 20, 10, 5.5, 2.1 or 0.")
@detail_options
@common_options
def command(
    sku: str, name: str, price: str, vat: str, data: Path, as_json: bool, **details: str | None
) -> None:
    """Add a product to the catalogue of the shop."""
    from crdtsync.model.money import parse_amount, parse_rate

    given = {key: value for key, value in details.items() if value is not None}
    with open_register(data) as register:
        product = register.products.add(
            sku, price_minor=parse_amount(price), vat_rate=parse_rate(vat), name=name, **given
        )
    if as_json:
        print_json(product_facts(product))
        return
    click.echo(product_line(product))
