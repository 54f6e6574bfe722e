"""`crdtsync-relay revoke`."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync_server.cli.options import common_options


@click.command(
    epilog="Example: crdtsync-relay revoke 'Cave du Port' 'till 2' --reason stolen --data /var/lib/crdtsync. "
    "Exit codes: 0 revoked, 11 no such device, 19 no such shop, 20 the owner's key is kept elsewhere, "
    "21 there is no relay in the folder, 60-67 the disk."
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
