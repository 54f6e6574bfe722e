"""``crdtsync salvage``: make a store that does not open anew."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog
from crdtsync.cli.output import print_json
from crdtsync.said import many


@click.command(
    "salvage",
    epilog=epilog(
        "crdtsync salvage --data ./till-1",
        "made anew",
        (errors.UsageError, "nothing is damaged"),
        errors.InvalidName,
        errors.NoRegister,
        errors.RoleTaken,
    ),
)
@click.option(
    "--relay", "relay_url", metavar="URL", help="Where the relay is, if the store has lost that too."
)
@common_options
def command(relay_url: str | None, data: Path, as_json: bool) -> None:
    """Make the store of this register anew from everything in it that can still be read.

    For a store that does not open, or does not sell, because of damage. Each record is known by its own
    digest, so that nothing else has to be whole. The damaged file is kept beside the new one. The relay has
    to confirm every record again: until then all of them are pending.
    """
    from dataclasses import fields

    from crdtsync.runtime.clock import SystemClock, system_random
    from crdtsync.runtime.damage.salvage import salvage

    made = salvage(data, SystemClock(), system_random, relay_url=relay_url)
    if as_json:
        print_json(
            {field.name: getattr(made, field.name) for field in fields(made)} | {"kept_as": str(made.kept_as)}
        )
        return
    click.echo(f"{made.name}, {made.shop_name}: {many(made.records, 'record')} are in a new store.")
    if made.lost:
        click.echo(f"  ! {many(made.lost, 'part')} could not be read: what the relay has of them comes back.")
    click.echo(f"  the damaged file is kept as {made.kept_as}")
    if made.relay_url is None:
        click.echo("  ! no relay is known any more: `crdtsync salvage` takes it as --relay URL")
    else:
        click.echo("  `crdtsync sync` has the relay confirm all of it, and fetches what is missing.")
