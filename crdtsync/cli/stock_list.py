"""``crdtsync stock list``: what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import local_time, print_json, print_table, quantity

if TYPE_CHECKING:
    from crdtsync.model.stock import Level


@click.command("list", epilog=epilog("crdtsync stock list --json", "listed", errors.NoRegister))
@common_options
def command(data: Path, as_json: bool) -> None:
    """List what is there of every product that ever moved or was counted."""
    with open_register(data, only_looks=True) as register:
        levels = register.stock.levels()
        names = {product.sku: product.name for product in register.products.list(archived=True)}
        clock = register.replica.clock
    if as_json:
        print_json([level_facts(level) for level in levels])
        return
    if not levels:
        click.echo("Nothing has moved yet.")
        return
    offset_min = clock.utc_offset_min(clock.now_ms())
    print_table(
        ["product", "name", "in stock", "counted", ""],
        [
            [
                level.sku,
                names.get(level.sku, ""),
                quantity(level.quantity),
                local_time(level.counted_at_ms, offset_min),
                "counts disagree" if level.disputed else "oversold" if level.quantity < 0 else "",
            ]
            for level in levels
        ],
        right=(2,),
    )


def level_facts(level: Level) -> dict[str, Any]:
    """What is there of one product, as JSON."""
    return {
        "sku": level.sku,
        "quantity_thousandths": level.quantity,
        "counted_at_ms": level.counted_at_ms,
        "disputed": level.disputed,
    }
