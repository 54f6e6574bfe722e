"""``crdtsync-relay quarantine show``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "show",
    epilog=epilog(
        "crdtsync-relay quarantine show 'Cave du Port' 5e0a77c1 --data /var/lib/crdtsync",
        "shown",
        errors.InvalidName,
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.argument("digest")
@common_options
def command(shop: str, digest: str, data: Path, as_json: bool) -> None:
    """Show all of one record in quarantine: why it is there, what it says, what to do, its bytes.

    DIGEST is the beginning of its digest, as `crdtsync-relay quarantine list` shows it.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.cli.quarantine_text import print_quarantined, quarantined_facts
    from crdtsync.runtime.damage.quarantine import find, quarantined
    from crdtsync_server.open import opened
    from crdtsync_server.shops.devices import utc

    with opened(data) as (access, store):
        row = find(quarantined(store.shop(access.find_shop(shop).id), None), digest)
    if as_json:
        print_json(quarantined_facts(row, whole=True))
    else:
        print_quarantined(row, lambda at_ms: utc(at_ms) if at_ms else "–")
