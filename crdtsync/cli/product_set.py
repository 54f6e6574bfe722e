"""``crdtsync product set``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json
from crdtsync.cli.product_add import detail_options, details_of
from crdtsync.cli.product_show import product_facts, product_line
from crdtsync.errors import WrongCommandLine


@click.command(
    "set",
    epilog=epilog(
        "crdtsync product set CM-19 --price 19.50",
        "changed",
        errors.InvalidAmount,
        errors.InvalidProduct,
        errors.UnknownProduct,
        errors.NoRegister,
    ),
)
@click.argument("sku")
@click.option("--name", help="As it stands on the ticket.")
@click.option("--price", help="Tax included, from now on.")
@click.option("--vat", help="Rate in percent, from now on.")
@click.option("--archive/--restore", "archived", default=None, help="Take it off sale, or put it back.")
@detail_options
@common_options
def command(
    sku: str,
    price: str | None,
    vat: str | None,
    archived: bool | None,
    data: Path,
    as_json: bool,
    **details: Any,
) -> None:
    """Change a product; what is not named stays. A sale keeps the price that it was made at.

    An empty text takes a detail away: --producer "".
    """
    from crdtsync.model.money import parse_amount, parse_rate

    given = details_of(details)
    if not given and (price, vat, archived) == (None, None, None):
        raise WrongCommandLine(
            f"nothing to change in {sku} is named", hint="give an option, for example --price 19.50"
        )
    with open_register(data) as register:
        product = register.products.set(
            sku,
            price_minor=None if price is None else parse_amount(price),
            vat_rate=None if vat is None else parse_rate(vat),
            archived=archived,
            **given,
        )
    if as_json:
        print_json(product_facts(product))
        return
    click.echo(product_line(product))
