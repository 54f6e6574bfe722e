"""``crdtsync-relay account``: who may come into a shop's back office."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync_server.dashboard.accounts import Account
    from crdtsync_server.dashboard.reception import Books
    from crdtsync_server.shops.access import ShopRow

_WEB = click.option(
    "--web",
    default="http://127.0.0.1:8765",
    show_default=True,
    help="Where browsers reach this relay: the link begins with it.",
)


@click.group()
def command() -> None:
    """Let people into the back office of a shop, which browsers find at the relay's own address."""


@command.command(
    epilog=epilog(
        "crdtsync-relay account create 'Cave du Port' --owner Marie --data /var/lib/crdtsync",
        "made",
        (errors.InvalidName, "the name cannot be or is taken"),
        errors.UnknownShop,
        NO_RELAY,
    )
)
@common_options
@click.argument("shop")
@click.option("--owner", "owner", default="", help="Name of somebody who may look and change.")
@click.option("--staff", "staff", default="", help="Name of somebody who may only look.")
@_WEB
def create(data: Path, as_json: bool, shop: str, owner: str, staff: str, web: str) -> None:
    """Make an account in SHOP, and print a link with which its person chooses a password.

    The link works once, for three days. Works while the relay runs.
    """
    if bool(owner) == bool(staff):
        raise errors.UsageError("give a name with --owner or with --staff")
    with _books(data, shop) as (found, books):
        account, token = books.accounts.create(found.id, owner or staff, "owner" if owner else "staff")
    _tell(account, token, web, as_json=as_json)


@command.command(
    epilog=epilog(
        "crdtsync-relay account link 'Cave du Port' Marie --data /var/lib/crdtsync",
        "made",
        (errors.InvalidName, "nobody is called so"),
        errors.UnknownShop,
        NO_RELAY,
    )
)
@common_options
@click.argument("shop")
@click.argument("name")
@_WEB
def link(data: Path, as_json: bool, shop: str, name: str, web: str) -> None:
    """Print another link for NAME, whose password was forgotten. The old password works until it is used."""
    with _books(data, shop) as (found, books):
        account = books.accounts.find(found.id, name)
        token = books.accounts.new_link(account)
    _tell(account, token, web, as_json=as_json)


@command.command(
    name="list",
    epilog=epilog(
        "crdtsync-relay account list 'Cave du Port' --data /var/lib/crdtsync",
        "listed",
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@common_options
@click.argument("shop")
def list_accounts(data: Path, as_json: bool, shop: str) -> None:
    """List the people who may come into the back office of SHOP."""
    from crdtsync.cli.output import print_json, print_table

    with _books(data, shop) as (found, books):
        people = books.accounts.of_shop(found.id)
        sessions = {account.id: len(books.sessions.of_account(account)) for account in people}
    if as_json:
        facts = [
            {
                "name": account.name,
                "role": account.role,
                "has_password": account.has_password,
                "sessions": sessions[account.id],
            }
            for account in people
        ]
        print_json({"shop": found.id, "accounts": facts})
        return
    rows = [
        (account.name, account.role, "yes" if account.has_password else "not yet", str(sessions[account.id]))
        for account in people
    ]
    print_table(("name", "role", "password", "signed in"), rows, right=(3,))


@command.command(
    epilog=epilog(
        "crdtsync-relay account end 'Cave du Port' Paul --data /var/lib/crdtsync",
        "ended",
        (errors.InvalidName, "nobody is called so"),
        errors.UnknownShop,
        NO_RELAY,
    )
)
@common_options
@click.argument("shop")
@click.argument("name")
def end(data: Path, as_json: bool, shop: str, name: str) -> None:
    """Let NAME into the back office of SHOP no more, and sign the person out everywhere."""
    from crdtsync.cli.output import print_json

    with _books(data, shop) as (found, books):
        account = books.accounts.find(found.id, name)
        books.accounts.end(account.id)
    if as_json:
        print_json({"name": account.name, "ended": True})
        return
    click.echo(f"{account.name} is let in no more")


@contextmanager
def _books(data: Path, shop: str) -> Iterator[tuple[ShopRow, Books]]:
    from crdtsync.runtime.clock import SystemClock, system_random
    from crdtsync_server.dashboard.reception import Books
    from crdtsync_server.folder import DataFolder
    from crdtsync_server.open import opened

    with opened(data) as (access, _):
        found = access.find_shop(shop)
    with closing(Books(DataFolder(data), SystemClock(), system_random)) as books:
        yield found, books


def _tell(account: Account, token: str, web: str, *, as_json: bool) -> None:
    from crdtsync.cli.output import print_json

    address = f"{web.rstrip('/')}/welcome/{token}"
    if as_json:
        facts: dict[str, Any] = {"name": account.name, "role": account.role, "link": address}
        print_json(facts)
        return
    click.echo(f"With this link {account.name} ({account.role}) chooses a password; it works once:")
    click.echo(f"  {address}")
