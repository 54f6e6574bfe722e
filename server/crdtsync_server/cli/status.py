"""`crdtsync-relay status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync_server.cli.options import common_options

if TYPE_CHECKING:
    from crdtsync.storage.log import Store
    from crdtsync_server.access import Access, ShopRow


@click.command(
    epilog="Example: crdtsync-relay status --data /var/lib/crdtsync. "
    "Exit codes: 0 done, 21 there is no relay in the folder, 60-67 the disk."
)
@common_options
def command(data: Path, as_json: bool) -> None:
    """Show shops, devices and the ends of logs, as they lie on disk. Works while the relay runs."""
    from crdtsync.cli.output import print_json
    from crdtsync_server.folder import DataFolder
    from crdtsync_server.open import opened

    with opened(data) as (access, store):
        facts = {
            "data": str(data),
            "served_by_pid": DataFolder(data).served_by(),
            "relay": access.relay_device,
            "shops": [_shop_facts(access, store, shop) for shop in access.shops()],
        }
    if as_json:
        print_json(facts)
    else:
        _print(facts)


def _shop_facts(access: Access, store: Store, shop: ShopRow) -> dict[str, Any]:
    from crdtsync_server.owner import OwnerChain

    log = store.shop(shop.id)
    directory = OwnerChain.read(log).directory
    documents = log.documents()
    return {
        "shop": shop.id,
        "name": shop.name,
        "log": log.log_id,
        "log_end": log.end.seq,
        "documents": len(documents),
        "records_bytes": sum(document.records_bytes for document in documents),
        "set_apart": len(log.apart()),
        "open_codes": access.codes.count_open(shop.id),
        "devices": [
            {
                "device": certificate.device,
                "name": certificate.name,
                "role": certificate.role,
                "series": certificate.series,
                "revoked": directory.is_revoked(certificate.device),
            }
            for certificate in directory.certificates()
            if certificate.role != "relay"
        ],
    }


def _print(facts: dict[str, Any]) -> None:
    from crdtsync.cli.output import print_table

    pid = facts["served_by_pid"]
    click.echo(
        f"{facts['data']}: " + ("not served at present" if pid is None else f"served by process {pid}")
    )
    for shop in facts["shops"]:
        click.echo(
            f"\n{shop['name']} ({shop['shop'].hex()}): {shop['log_end']} records, "
            f"{shop['records_bytes'] / 1e6:.1f} MB, {shop['set_apart']} set apart, "
            f"{shop['open_codes']} open pairing codes"
        )
        rows = [
            (d["name"], d["role"], d["series"] or "", "revoked" if d["revoked"] else "", d["device"].hex())
            for d in shop["devices"]
        ]
        print_table(("device", "role", "series", "", "id"), rows)
