"""``crdtsync-relay quarantine list``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "list",
    epilog=epilog(
        "crdtsync-relay quarantine list 'Cave du Port' --data /var/lib/crdtsync",
        "shown",
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("shop")
@common_options
def command(shop: str, data: Path, as_json: bool) -> None:
    """List records of SHOP that were refused or held, or found damaged here. Works while the relay runs."""
    from crdtsync.cli.output import print_json
    from crdtsync.cli.quarantine_text import print_quarantine, quarantined_facts
    from crdtsync.runtime.damage.quarantine import quarantined
    from crdtsync_server.open import opened
    from crdtsync_server.shops.devices import utc

    with opened(data) as (access, store):
        rows = quarantined(store.shop(access.find_shop(shop).id), None)
    if as_json:
        print_json([quarantined_facts(row) for row in rows])
    else:
        print_quarantine(rows, lambda at_ms: utc(at_ms) if at_ms else "–")
