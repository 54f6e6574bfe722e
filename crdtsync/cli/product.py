"""``crdtsync product``: a group of commands."""

from __future__ import annotations

import click

from crdtsync.cli.lazy import LazyGroup

COMMANDS = {
    "add": ("product_add", "Add a product."),
    "set": ("product_set", "Change a product, its price, or take it off sale."),
    "show": ("product_show", "Show one product."),
    "list": ("product_list", "List the products."),
    "import": ("product_import", "Import products from a CSV file."),
}


@click.group("product", cls=LazyGroup, package="crdtsync.cli", modules=COMMANDS)
def command() -> None:
    """Add, change, show, list and import products."""
