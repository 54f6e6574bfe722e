"""``crdtsync product show``."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from crdtsync.cli.options import common_options, open_register
from crdtsync.cli.output import money, print_json


@click.command("show", epilog="Example: crdtsync product show CM-19")
@click.argument("sku")
@common_options
def command(sku: str, data: Path, as_json: bool) -> None:
    """Show one product with its price now."""
    with open_register(data) as register:
        product = register.products.get(sku)
    facts = orjson.loads(product.body)
    if as_json:
        print_json({**product._asdict(), "body": facts})
        return
    click.echo(f"{product.sku}  {product.name}  {money(product.price_minor)}")
    for name, value in sorted(facts.items()):
        click.echo(f"  {name}: {value}")
    if product.disputed:
        click.echo("  two people changed its price without seeing one another: the later one is used")
