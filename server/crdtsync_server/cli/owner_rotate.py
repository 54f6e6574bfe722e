"""``crdtsync-relay owner rotate``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "rotate",
    epilog=epilog(
        "crdtsync-relay owner rotate 'Cave du Port' --reason 'a laptop was stolen' --data /var/lib/crdtsync",
        "the new key signs",
        errors.UnknownShop,
        (errors.SetupError, "the owner's key is kept elsewhere"),
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.option("--reason", default="", help="Why, for whoever asks later.")
@common_options
def command(shop: str, reason: str, data: Path, as_json: bool) -> None:
    """Make a new owner key for SHOP, let the present one sign that it follows, and use it from now on.

    What the old key signed so far stays good; what anybody signs with it from now on does not count, on every
    replica that has learned of the rotation. Works while the relay runs.
    """
    from crdtsync.cli.output import print_json
    from crdtsync_server.open import opened
    from crdtsync_server.shops.owner_keys import rotate

    with opened(data) as (access, store):
        found = access.find_shop(shop)
        rotated = rotate(access, store, found.id, reason=reason)
    if as_json:
        facts = {"shop": found.id, "before": rotated.before, "key": rotated.public}
        print_json(facts | {"file_before": str(rotated.file_before)})
        return
    click.echo(f"{found.name}: the owner's key is {rotated.public.hex()[:16]}… now")
    click.echo(f"The one before, {rotated.file_before}, is of no use any more: delete it and its copies.")
    click.echo(f"Copy {data / 'keys'} to its safe place again.")
