"""``crdtsync product add``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json
from crdtsync.cli.product_show import product_facts, product_line

_DETAILS = {
    "producer": "Domaine, château, maison.",
    "appellation": "Appellation of origin.",
    "region": "Wine region.",
    "country": "Country.",
    "colour": "red, white, rose, orange or grey; French words are understood.",
    "vintage": "Year, or NV.",
    "volume": "Size with its unit: 75cl, 0.75l, 750ml.",
    "abv": "Strength in % vol: 13.5.",
    "category": "One or two levels: Wine/Red.",
    "unit": "Unit of sale: pce, btl, kg.",
}


def detail_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The describing fields of a product, for ``add`` and ``set``."""
    command = click.option(
        "--barcode",
        "barcodes",
        multiple=True,
        help="EAN or UPC; may be given several times, replaces all; empty for none.",
    )(command)
    for name, words in reversed(_DETAILS.items()):
        command = click.option(f"--{name}", help=words)(command)
    return command


def details_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, read as a product file's cells are; an empty text takes what may be
    missing away. Raises ``UsageError``.
    """
    from crdtsync.model.product import OPTIONAL
    from crdtsync.model.product_columns import read_cell

    fields: dict[str, Any] = {}
    for option, text in given.items():
        name = "volume_ml" if option == "volume" else option
        if text is None or text == ():
            continue
        if option == "barcodes":
            fields[name] = tuple(code for code in text if code)
        else:
            fields[name] = None if name in OPTIONAL and not text.strip() else read_cell(name, text.strip())
    return fields


@click.command(
    "add",
    epilog=epilog(
        "crdtsync product add CM-19 --name 'Crozes-Hermitage 2019' --price 18.50 --vat 20",
        "added",
        errors.InvalidAmount,
        errors.InvalidProduct,
        errors.NoRegister,
    ),
)
@click.argument("sku")
@click.option("--name", required=True, help="As it stands on the ticket.")
@click.option("--price", required=True, help="Tax included, 18.50 or 18,50.")
@click.option("--vat", required=True, help="Rate in percent: 20, 10, 5.5, 2.1 or 0.")
@detail_options
@common_options
def command(sku: str, name: str, price: str, vat: str, data: Path, as_json: bool, **details: Any) -> None:
    """Add a product to the catalogue of the shop."""
    from crdtsync.model.money import parse_amount, parse_rate

    given = details_of(details)
    with open_register(data) as register:
        product = register.products.add(
            sku, price_minor=parse_amount(price), vat_rate=parse_rate(vat), name=name, **given
        )
    if as_json:
        print_json(product_facts(product))
        return
    click.echo(product_line(product))
