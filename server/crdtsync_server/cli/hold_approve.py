"""``crdtsync-relay hold approve``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "approve",
    epilog=epilog(
        "crdtsync-relay hold approve 'Cave du Port' --device 'Caisse 2' --reason 'battery, not theft' "
        "--data /var/lib/crdtsync",
        "approved",
        (errors.InvalidName, "no such entry is on hold"),
        errors.UnknownShop,
        (errors.SetupError, "the owner's key is kept elsewhere"),
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.argument("what", nargs=-1)
@click.option("--device", default="", help="All that this device (its name or id) has on hold now.")
@click.option("--reason", default="", help="Why, for whoever asks later.")
@common_options
def command(shop: str, what: tuple[str, ...], device: str, reason: str, data: Path, as_json: bool) -> None:
    """Let entries on hold in SHOP in: WHAT are ticket numbers, or the beginnings of links.

    The approval is signed with the owner's key and names the entries; the relay and every register admit
    exactly these. Works while the relay runs, and may be repeated. It cannot be taken back.
    """
    from crdtsync.cli.output import money, print_json
    from crdtsync.said import many
    from crdtsync_server.open import opened
    from crdtsync_server.shops.hold import approve, find_entries, find_hold, on_hold

    if not what and not device:
        raise errors.WrongCommandLine("say what to approve: ticket numbers, links, or --device DEVICE")
    with opened(data) as (access, store):
        found = access.find_shop(shop)
        holds = on_hold(store.shop(found.id))
        entries = find_entries(holds, what)
        if device:
            entries += [one for one in find_hold(holds, device).entries if one not in entries]
        approved = approve(access, store, found.id, entries, reason)
    if as_json:
        print_json(
            {
                "tickets": approved.admitted.sales,
                "amount_minor": approved.admitted.amount_minor,
                "entries": len(approved.links),
                "links": approved.links,
                "left": [one.entry.link for one in approved.left],
            }
        )
        return
    tickets = many(approved.admitted.sales, "ticket")
    entries_text = many(len(approved.links), "entry", "entries")
    click.echo(f"Approved: {tickets}, {money(approved.admitted.amount_minor)} ({entries_text}).")
    for one in approved.left:
        why = one.reason if one.is_signed else "it is not signed by its device"
        click.echo(f"Not approved: {one.entry.kind} {one.number or one.entry.link.hex()[:12]}: {why}")
