"""`crdtsync-relay shop`: a group of commands."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options, valid_minutes_option
from crdtsync_server.cli.shop_moving import erase, export, take_in
from crdtsync_server.cli.show import code_facts, print_code


@click.group()
def command() -> None:
    """Make shops, list them, and bring them to another relay."""


command.add_command(export)
command.add_command(take_in)
command.add_command(erase)


@command.command(
    epilog=epilog(
        "crdtsync-relay shop create 'Cave du Port' --data /var/lib/crdtsync",
        "made",
        (errors.InvalidName, "the name cannot be or is taken"),
    )
)
@common_options
@click.argument("name")
@valid_minutes_option
def create(data: Path, as_json: bool, name: str, valid_minutes: int) -> None:
    """Make the shop NAME and print its id and a pairing code for its first register.

    Works while the relay runs. The shop's owner key is made in the data folder: whoever can read that folder
    can enrol devices in the shop.
    """
    from crdtsync.cli.output import print_json
    from crdtsync_server.open import opened

    with opened(data, create=True) as (access, store):
        shop = access.create_shop(store, name)
        issued = access.issue_code(shop.id, "register", valid_minutes=valid_minutes)
    if as_json:
        print_json({"shop": shop.id, "name": shop.name} | code_facts(issued))
        return
    click.echo(f"Shop {shop.name} has the id {shop.id.hex()}")
    print_code(issued)


@command.command(
    name="list",
    epilog=epilog("crdtsync-relay shop list --data /var/lib/crdtsync", "listed", NO_RELAY),
)
@common_options
def list_shops(data: Path, as_json: bool) -> None:
    """List the shops of this relay."""
    from crdtsync.cli.output import print_json, print_table
    from crdtsync_server.open import opened
    from crdtsync_server.shops.devices import utc

    with opened(data) as (access, _):
        shops = access.shops()
    if as_json:
        print_json(
            {"shops": [{"shop": s.id, "name": s.name, "created_at": utc(s.created_ms)} for s in shops]}
        )
        return
    print_table(("id", "name", "made"), [(s.id.hex(), s.name, utc(s.created_ms)) for s in shops])
