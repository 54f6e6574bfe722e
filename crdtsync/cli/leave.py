"""``crdtsync leave``: stop belonging to a shop."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog
from crdtsync.cli.output import money, print_json
from crdtsync.said import many


@click.command(
    "leave",
    epilog=epilog(
        "crdtsync leave --rescued /media/stick/till-1.rescue",
        "left",
        errors.NoRegister,
        (errors.StillPending, "only this register has something"),
        (errors.RoleTaken, "a process synchronises it"),
        (errors.InvalidRescue, "that file is not whole, or of another register"),
    ),
)
@click.option(
    "--rescued",
    type=click.Path(path_type=Path),
    help="A file that `crdtsync rescue` wrote: it is read, and must hold all that is pending.",
)
@common_options
def command(rescued: Path | None, data: Path, as_json: bool) -> None:
    """Leave the shop: the folder is then empty for a new register. Nothing is deleted.

    Refused while only this register has something. What was in the folder is moved into one inside it, where
    `crdtsync sales` and `crdtsync rescue` can still read it.
    """
    from crdtsync.runtime.belonging.leaving import leave
    from crdtsync.runtime.clock import SystemClock

    left = leave(data, SystemClock().now_ms(), rescued=rescued)
    if as_json:
        print_json(
            {
                "device": left.identity.device,
                "name": left.identity.device_name,
                "shop": left.identity.shop,
                "shop_name": left.identity.shop_name,
                "moved_to": str(left.folder),
                "rescued_tickets": left.rescued.sales,
                "rescued_amount_minor": left.rescued.amount_minor,
                "rescued_records": left.rescued.records,
            }
        )
        return
    click.echo(f"{left.identity.device_name} has left {left.identity.shop_name}.")
    click.echo(f"All that it recorded is in {left.folder}")
    if left.rescued.records:
        tickets, amount = many(left.rescued.sales, "ticket"), money(left.rescued.amount_minor)
        click.echo(f"Not at any relay yet: {tickets}, {amount}. Keep {rescued} until the relay has taken it.")
    click.echo("Tell whoever runs the relay: `crdtsync-relay revoke` ends what this register may do.")
