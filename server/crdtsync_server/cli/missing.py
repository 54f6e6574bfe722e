"""``crdtsync-relay missing``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync_server.backups.missing import Missing


@click.command(
    "missing",
    epilog=epilog(
        "crdtsync-relay missing 'Cave du Port' --data /var/lib/crdtsync",
        "shown",
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("shop")
@common_options
def command(shop: str, data: Path, as_json: bool) -> None:
    """Name what SHOP's registers recorded and this relay does not have, as far as anything here tells of it.

    Holes between the tickets of a register, tickets that a refund, a closing, a count or a revocation names,
    and registers that have not been here since the relay was put back. After a restore, when every register
    was here once, it is what nobody has any more. Works while the relay runs; reads everything.
    """
    from dataclasses import asdict

    from crdtsync.cli.output import print_json
    from crdtsync_server.backups.missing import missing_of
    from crdtsync_server.backups.restore import read_restored
    from crdtsync_server.open import opened
    from crdtsync_server.shops.devices import utc

    with opened(data) as (access, store):
        found = access.find_shop(shop)
        log = store.shop(found.id)
        restored = read_restored(log)
        rows = missing_of(log)
    if as_json:
        facts: dict[str, Any] = {
            "shop": found.id,
            "name": found.name,
            "restored_at": utc(restored.at_ms) if restored else None,
            "backup_made_at": utc(restored.made_at_ms) if restored else None,
            "missing": [],
        }
        for row in rows:
            one = asdict(row)
            at_ms = one.pop("last_contact_at_ms")
            facts["missing"].append(one | {"last_contact_at": utc(at_ms) if at_ms is not None else None})
        print_json(facts)
        return
    if restored is not None:
        of = utc(restored.made_at_ms)
        click.echo(f"{found.name}: put back at {utc(restored.at_ms)} from a backup made at {of}")
    for row in rows:
        click.echo(sentence(row))
    if not rows:
        click.echo(f"{found.name}: nothing that anything here tells of is missing.")


def sentence(row: Missing) -> str:
    """What is missing, for a person."""
    from crdtsync.cli.output import money
    from crdtsync.said import many
    from crdtsync_server.shops.devices import utc

    if row.sort == "hole":
        between = f"between tickets {row.after or '(none)'} and {row.before or '(none)'}"
        if row.first == row.last:
            return f"{row.name}: entry {row.first} is nowhere here, {between}"
        return f"{row.name}: entries {row.first} to {row.last} are nowhere here, {between}"
    if row.sort == "tail":
        end = f"ticket {row.number}" if row.number else f"entry {row.last}"
        held = f"ticket {row.after}" if row.after else f"entry {(row.first or 1) - 1}"
        return f"{row.name}: {end} is named by {row.named_by}; here it ends with {held}"
    if row.last_contact_at_ms is None:
        return f"{row.name}: has not been here since the relay was put back"
    told = "it had not said what was pending"
    if row.sales is not None:
        told = f"it had {many(row.sales, 'sale')} pending ({money(row.amount_minor)})"
    return (
        f"{row.name}: has not been here since the relay was put back; when it last was, at "
        f"{utc(row.last_contact_at_ms)}, {told}"
    )
