"""`crdtsync-relay revoke`."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    epilog=epilog(
        "crdtsync-relay revoke 'Cave du Port' 'till 2' --reason stolen --data /var/lib/crdtsync",
        "revoked",
        (errors.InvalidName, "no such device"),
        errors.UnknownShop,
        (errors.SetupError, "the owner's key is kept elsewhere"),
        NO_RELAY,
    )
)
@common_options
@click.argument("shop")
@click.argument("device")
@click.option("--reason", default="", help="Why, for whoever asks later.")
def command(data: Path, as_json: bool, shop: str, device: str, reason: str) -> None:
    """Cut DEVICE of SHOP off (by id or by name): stolen, sold, broken.

    No sale is lost by it: what the relay holds of the device stays, and what the device has not sent stays on
    it. A live connection is closed at once. Works while the relay runs.
    """
    from crdtsync.cli.output import print_json
    from crdtsync_server.open import opened

    with opened(data) as (access, store):
        found = access.find_shop(shop)
        certificate = access.find_device(store, found.id, device)
        is_new = access.revoke(store, found.id, certificate.device, reason)
    if as_json:
        print_json({"shop": found.id, "device": certificate.device, "revoked": True, "is_new": is_new})
        return
    said = "is cut off" if is_new else "was cut off before"
    click.echo(f"{certificate.name} ({certificate.device.hex()}) {said}")
