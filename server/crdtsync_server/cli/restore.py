"""`crdtsync-relay restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options, valid_minutes_option

if TYPE_CHECKING:
    from crdtsync.model.certificate import NeverArrived


@click.command(
    epilog=epilog(
        "crdtsync-relay restore 'Cave du Port' 'Caisse 1' --data /var/lib/crdtsync",
        "made",
        errors.UnknownShop,
        errors.InvalidName,
        NO_RELAY,
    )
)
@common_options
@click.argument("shop")
@click.argument("device")
@valid_minutes_option
def command(data: Path, as_json: bool, shop: str, device: str, valid_minutes: int) -> None:
    """Print a pairing code for the register that takes the place of a lost one.

    DEVICE is the lost register's id or name. Whoever joins with the code gets its name, the products and the
    history, a key of its own and numbers of its own. In that moment the lost one is cut off, not before. Says
    what the lost one had told of that never arrived. Works while the relay runs.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.runtime.filing.completeness import complete_to
    from crdtsync_server.cli.show import code_facts, print_code
    from crdtsync_server.open import opened
    from crdtsync_server.shops.replacing import never_arrived

    with opened(data) as (access, store):
        found = access.find_shop(shop)
        lost = access.find_device(store, found.id, device)
        issued = access.issue_code(found.id, lost.role, valid_minutes=valid_minutes, replaces=lost.device)
        log = store.shop(found.id)
        missing = never_arrived(log, lost.device)
        complete = complete_to(log).get(lost.device)
    if as_json:
        facts = {"device": lost.device, "lost": lost.name} | never_arrived_facts(missing)
        print_json({"shop": found.id, "name": found.name} | facts | code_facts(issued))
        return
    if complete is not None:
        from crdtsync_server.shops.devices import utc

        upto = complete.number or f"entry {complete.n}"
        click.echo(f"{lost.name} is here without a gap up to {upto}, {utc(complete.at_ms)}.")
    else:
        click.echo(f"Nothing that {lost.name} recorded is here.")
    click.echo(never_arrived_text(lost.name, missing))
    print_code(issued)
    click.echo(f"When it is used, {lost.name} as it was is cut off.")


def never_arrived_facts(missing: NeverArrived | None) -> dict[str, int | str | None]:
    """What a lost register had told of and never sent, as JSON."""
    from crdtsync_server.shops.devices import utc

    return {
        "never_arrived_sales": missing.sales if missing else 0,
        "never_arrived_amount_minor": missing.amount_minor if missing else 0,
        "never_arrived_told_at": utc(missing.told_at_ms) if missing else None,
    }


def never_arrived_text(name: str, missing: NeverArrived | None) -> str:
    """The same for a person."""
    from crdtsync.cli.output import money
    from crdtsync.said import many
    from crdtsync_server.shops.devices import utc

    if missing is None:
        return f"{name} had told of nothing more. What it sold with no connection it could not tell."
    return (
        f"! {name} had told at {utc(missing.told_at_ms)} of {many(missing.sales, 'more ticket')}, "
        f"{money(missing.amount_minor)}, which never arrived: only its own disk has them."
    )
