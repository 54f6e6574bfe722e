"""``crdtsync stock``: a group of commands."""

from __future__ import annotations

import click

from crdtsync.cli.lazy import LazyGroup

COMMANDS = {
    "add": ("stock_add", "Record that some came or, negative, went."),
    "count": ("stock_count", "Record what lies on the shelf."),
    "list": ("stock_list", "List what is there."),
}


@click.group("stock", cls=LazyGroup, package="crdtsync.cli", modules=COMMANDS)
def command() -> None:
    """Add to the stock, count it, list it.

    Stock is the sum of movements since the last count; sales are movements. It may be negative.
    """
