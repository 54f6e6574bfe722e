"""``crdtsync-relay hold show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync_server.shops.hold import OnHold


@click.command(
    "show",
    epilog=epilog(
        "crdtsync-relay hold show 'Cave du Port' 'Caisse 2' --data /var/lib/crdtsync",
        "shown",
        errors.InvalidName,
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.argument("device")
@common_options
def command(shop: str, device: str, data: Path, as_json: bool) -> None:
    """Show what DEVICE (its name or id) has on hold in SHOP, entry by entry.

    Nobody vouches for what an entry says but its device, and that may be stolen.
    """
    from crdtsync.cli.output import money, print_json, print_table
    from crdtsync.runtime.register.status import Pending
    from crdtsync_server.cli.hold_list import hold_facts
    from crdtsync_server.open import opened
    from crdtsync_server.shops.devices import utc
    from crdtsync_server.shops.hold import find_hold, on_hold

    with opened(data) as (access, store):
        hold = find_hold(on_hold(store.shop(access.find_shop(shop).id)), device)
    if as_json:
        print_json(hold_facts(hold) | {"on_hold": [_entry_facts(one) for one in hold.entries]})
        return
    # Two devices may have one name, and the reasons name one of them by it.
    click.echo(f"{hold.apart or 'unknown'} ({hold.device.hex()})")
    rows = []
    for one in hold.entries:
        alone = Pending()
        alone.add(one.entry.body)
        rows.append(
            [
                one.entry.link.hex()[:12],
                one.entry.kind,
                one.number or "",
                utc(one.entry.body["ts"]),
                money(alone.amount_minor) if alone.sales else "",
                utc(one.came_ms) if one.came_ms is not None else "",
                one.reason if one.is_signed else f"{one.reason}; and it is not signed by its device",
            ]
        )
    print_table(["link", "kind", "number", "made", "amount", "came", "why"], rows, right=(4,))


def _entry_facts(one: OnHold) -> dict[str, Any]:
    from crdtsync.runtime.register.status import Pending
    from crdtsync_server.shops.devices import utc

    alone = Pending()
    alone.add(one.entry.body)
    return {
        "link": one.entry.link,
        "kind": one.entry.kind,
        "number": one.number,
        "at": utc(one.entry.body["ts"]),
        "amount_minor": alone.amount_minor if alone.sales else None,
        "code": one.code,
        "reason": one.reason,
        "signed": one.is_signed,
        "approvable": one.can_be_approved,
        "came_at": utc(one.came_ms) if one.came_ms is not None else None,
    }
