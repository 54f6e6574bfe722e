"""``crdtsync-relay hold list``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync_server.shops.hold import DeviceHold


@click.command(
    "list",
    epilog=epilog(
        "crdtsync-relay hold list 'Cave du Port' --data /var/lib/crdtsync",
        "shown",
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("shop")
@common_options
def command(shop: str, data: Path, as_json: bool) -> None:
    """List what is on hold in SHOP: of which device, how many tickets, what they come to, and why.

    Works while the relay runs.
    """
    from crdtsync.cli.output import money, print_json, print_table
    from crdtsync.said import many
    from crdtsync_server.open import opened
    from crdtsync_server.shops.devices import utc
    from crdtsync_server.shops.hold import on_hold

    with opened(data) as (access, store):
        found = access.find_shop(shop)
        holds, has_key = on_hold(store.shop(found.id)), access.keys.has_owner_key(found.id)
    if as_json:
        print_json([hold_facts(hold) for hold in holds])
        return
    if not holds:
        click.echo("Nothing is on hold.")
        return
    print_table(
        ["device", "id", "tickets", "amount", "entries", "from", "to", "why"],
        [
            [
                hold.apart or "unknown",
                hold.device.hex(),
                str(hold.pending.sales),
                money(hold.pending.amount_minor),
                str(len(hold.entries)),
                utc(min(one.entry.body["ts"] for one in hold.entries)),
                utc(max(one.entry.body["ts"] for one in hold.entries)),
                hold.entries[0].reason,
            ]
            for hold in holds
        ],
        right=(2, 3, 4),
    )
    approvable = sum(hold.approvable for hold in holds)
    if approvable:
        waits = many(approvable, "entry waits", "entries wait")
        how = "hold approve SHOP --device DEVICE" if has_key else "owner request SHOP FILE --approve DEVICE"
        click.echo(f"{waits} for a person: `crdtsync-relay {how}`")


def hold_facts(hold: DeviceHold) -> dict[str, Any]:
    """What one device has on hold, as JSON."""
    from crdtsync_server.shops.devices import utc

    return {
        "device": hold.device,
        "name": hold.name,
        "revoked": hold.is_revoked,
        "tickets": hold.pending.sales,
        "amount_minor": hold.pending.amount_minor,
        "entries": len(hold.entries),
        "approvable": hold.approvable,
        "first_at": utc(min(one.entry.body["ts"] for one in hold.entries)),
        "last_at": utc(max(one.entry.body["ts"] for one in hold.entries)),
        "codes": sorted({one.code for one in hold.entries}),
        "reason": hold.entries[0].reason,
    }
