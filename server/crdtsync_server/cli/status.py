"""`crdtsync-relay status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync.storage.log import Store
    from crdtsync_server.shops.access import Access, ShopRow


@click.command(epilog=epilog("crdtsync-relay status --data /var/lib/crdtsync", "shown", NO_RELAY))
@common_options
def command(data: Path, as_json: bool) -> None:
    """Show shops, devices and what was not admitted, as they lie on disk. Works while the relay runs.

    Of each device: when it was last here, how much of its own log is stored here, how much of the shop it
    has on its own disk, and what it said that is not acknowledged to it. These lag behind by some seconds.
    """
    from crdtsync.cli.output import print_json
    from crdtsync_server.folder import DataFolder
    from crdtsync_server.open import opened

    with opened(data) as (access, store):
        facts = {
            "data": str(data),
            "served_by_pid": DataFolder(data).served_by(),
            "relay": access.relay_device,
            "store_bytes": DataFolder(data).store_bytes(),
            "shops": [
                _shop_facts(access, store, shop, is_served=DataFolder(data).served_by() is not None)
                for shop in access.shops_here(store)
            ],
        }
    if as_json:
        print_json(facts)
    else:
        _print(facts)


def _shop_facts(access: Access, store: Store, shop: ShopRow, *, is_served: bool) -> dict[str, Any]:
    from crdtsync.runtime.committing.signature_checks import bad_signatures, checked_up_to
    from crdtsync_server.backups.restored import restore_noticed_ms
    from crdtsync_server.shops.copied import copied_in
    from crdtsync_server.shops.devices import devices_of, utc
    from crdtsync_server.shops.owner import OwnerChain

    log = store.shop(shop.id)
    documents, noticed = log.documents(), restore_noticed_ms(log)
    apart = [
        {
            "digest": one.digest,
            "code": one.code,
            "reason": one.reason,
            "held": one.held,
            "at": utc(one.at_ms),
            "from_log": one.origin.log_id if one.origin else None,
        }
        for one in log.apart()
    ]
    return {
        "shop": shop.id,
        "name": shop.name,
        "log": log.log_id,
        "log_end": log.end.seq,
        "signatures_checked_to": checked_up_to(log),
        "signatures_bad": len(bad_signatures(log)),
        "documents": len(documents),
        "records_bytes": sum(document.records_bytes for document in documents),
        "held": sum(one["held"] is True for one in apart),
        "refused": sum(not one["held"] and one["code"] != "damaged" for one in apart),
        "damaged": sum(one["code"] == "damaged" for one in apart),
        "not_admitted": apart,
        "copied": copied_in(log, OwnerChain.read(log).directory),
        "restore_noticed_at": utc(noticed) if noticed is not None else None,
        "open_codes": access.codes.count_open(shop.id),
        "devices": devices_of(log, is_served=is_served),
    }


def _print(facts: dict[str, Any]) -> None:
    from crdtsync.cli.output import size
    from crdtsync.said import many

    pid = facts["served_by_pid"]
    click.echo(
        f"{facts['data']}: "
        + ("not served at present" if pid is None else f"served by process {pid}")
        + f", {size(facts['store_bytes'])} on disk"
    )
    if not facts["shops"]:
        click.echo("There are no shops yet: `crdtsync-relay shop create NAME` makes one.")
    for shop in facts["shops"]:
        click.echo(
            f"\n{shop['name']} ({shop['shop'].hex()}): {many(shop['log_end'], 'record')}, "
            f"{size(shop['records_bytes'])}, {shop['held']} held, {shop['refused']} refused, "
            f"{shop['damaged']} damaged, {many(shop['open_codes'], 'open pairing code')}"
        )
        click.echo(f"signatures checked one by one up to record {shop['signatures_checked_to']}")
        if shop["signatures_bad"]:
            click.echo(
                f"! {many(shop['signatures_bad'], 'stored entry', 'stored entries')} not signed by the "
                "author: `crdtsync-relay verify` names them"
            )
        if at := shop["restore_noticed_at"]:
            click.echo(f"put back from a backup, taken in from an export, or lost: noticed at {at}")
        for one in shop["copied"]:
            click.echo(f"! {one.says}")
            click.echo(f"  {one.advice}")
        _print_devices(shop)
        for one in shop["not_admitted"]:
            word = "held" if one["held"] else "damaged" if one["code"] == "damaged" else "refused"
            click.echo(f"{word} {one['digest'].hex()[:8]} at {one['at']}: {one['code']}: {one['reason']}")


def _print_devices(shop: dict[str, Any]) -> None:
    from crdtsync.cli.output import money, print_table

    rows = []
    for device in shop["devices"]:
        sales, amount = device["pending_sales"], device["pending_amount_minor"]
        rows.append(
            (
                device["name"],
                device["role"] + (", revoked" if device["revoked"] else ""),
                device["series"] or "",
                _presence(device),
                _complete(device),
                str(device["behind"]),
                "–" if sales is None else f"{sales} ({money(amount)})",
                _clock(device["clock_offset_ms"]),
                device["software"] or "–",
                str(device["held"] + device["refused"]),
                device["device"].hex(),
            )
        )
    if not rows:
        click.echo("No devices yet: `crdtsync join` enrols one, with a pairing code.")
        return
    titles = (
        "device",
        "role",
        "series",
        "last here",
        "complete up to",
        "behind",
        "pending",
        "clock",
        "version",
        "not admitted",
        "id",
    )
    print_table(titles, rows, right=(5, 7, 9))


def _presence(device: dict[str, Any]) -> str:
    if not device["connected"]:
        return str(device["last_contact_at"] or "never")
    return "connected, slowed" if device["slowed"] else "connected"


def _complete(device: dict[str, Any]) -> str:
    if device["complete_to_at"] is None:
        return "–"
    return " ".join(filter(None, (device["complete_to"], device["complete_to_at"])))


def _clock(offset_ms: int | None) -> str:
    return "–" if offset_ms is None else f"{offset_ms / 1000:+.0f} s"
