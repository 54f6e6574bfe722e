"""``crdtsync-relay owner request``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync.said import many
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "request",
    epilog=epilog(
        "crdtsync-relay owner request 'Cave du Port' /media/stick/request.json --data /var/lib/crdtsync",
        "written",
        (errors.InvalidName, "no such device"),
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--revoke", multiple=True, metavar="DEVICE", help="Ask to cut this device off, too.")
@click.option(
    "--approve", multiple=True, metavar="DEVICE", help="Ask to let in what this device has on hold."
)
@click.option("--reason", default="", help="Why these devices are cut off, or this is let in.")
@common_options
def command(
    shop: str,
    file: Path,
    revoke: tuple[str, ...],
    approve: tuple[str, ...],
    reason: str,
    data: Path,
    as_json: bool,
) -> None:
    """Write to FILE what waits for SHOP's owner key, and the owner's chain that it is to follow. Also what a
    register recorded until the answer to the last request had come back, and was enrolled again with.

    No secret is in it. Sign it with `crdtsync-relay owner sign` where the key is.
    """
    from crdtsync.cli.output import print_json
    from crdtsync_server.backups.file import translated
    from crdtsync_server.open import opened
    from crdtsync_server.shops.hold import find_hold, on_hold
    from crdtsync_server.shops.owner import OwnerChain
    from crdtsync_server.shops.owner_keys import came_meanwhile, request_for
    from crdtsync_server.shops.waiting import waiting

    with opened(data) as (access, store):
        found = access.find_shop(shop)
        devices = [access.find_device(store, found.id, text) for text in revoke]
        holds = on_hold(store.shop(found.id)) if approve else []
        approved = [find_hold(holds, text) for text in approve]
        request = request_for(
            access,
            store,
            found.id,
            [(one.device, reason) for one in devices],
            [(one.device, one.approvable_links, reason) for one in approved],
        )
        log = store.shop(found.id)
        rows, meanwhile = waiting(log), sum(len(links) for _, links, _ in came_meanwhile(log))
        replaced = [row["payload"]["replaces"]["device"] for row in rows if "replaces" in row["payload"]]
        cut_off = {one.device for one in devices}
        for device in map(bytes.fromhex, replaced):
            if device not in cut_off and not OwnerChain.read(log).directory.is_revoked(device):
                devices.append(access.find_device(store, found.id, device.hex()))
    with translated(file):
        file.write_bytes(request)
    names = [row["payload"]["name"] for row in rows]
    if as_json:
        print_json(
            {
                "shop": found.id,
                "file": str(file),
                "certify": names,
                "revoke": [one.name for one in devices],
                "approve": sum(one.approvable for one in approved),
                "meanwhile": meanwhile,
            }
        )
        return
    click.echo(f"{file}: {many(len(names), 'device')} to let in, {len(devices)} to cut off")
    for name in names:
        click.echo(f"  let in {name}")
    for one in devices:
        click.echo(f"  cut off {one.name}")
    for hold in approved:
        entries = many(hold.approvable, "entry", "entries")
        click.echo(f"  let in {entries} on hold of {hold.name or hold.device.hex()}")
    if meanwhile:
        what = many(meanwhile, "entry", "entries")
        click.echo(f"  let in {what} that registers recorded before they knew that they were cut off")
