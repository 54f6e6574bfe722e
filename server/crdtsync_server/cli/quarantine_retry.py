"""``crdtsync-relay quarantine retry``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "retry",
    epilog=epilog(
        "crdtsync-relay quarantine retry 'Cave du Port' --data /var/lib/crdtsync",
        "judged",
        errors.InvalidName,
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.argument("digest", required=False)
@common_options
def command(shop: str, digest: str | None, data: Path, as_json: bool) -> None:
    """Judge records of SHOP in quarantine again, all or the one whose DIGEST begins so, by the rules of now.

    This version of the program may admit what another one refused. Works while the relay runs: what is
    admitted goes out to the registers at once, and its owner is told at the next connection.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.cli.quarantine_text import print_retried
    from crdtsync.runtime.damage.quarantine import find, quarantined, retry
    from crdtsync_server.open import opened

    with opened(data) as (access, store):
        log = store.shop(access.find_shop(shop).id)
        chosen = [find(quarantined(log, None), digest).digest] if digest is not None else []
        admitted = retry(store, log, chosen)
        left = len(log.apart())
    if as_json:
        print_json({"admitted": admitted, "left": left})
    else:
        print_retried(admitted, left)
