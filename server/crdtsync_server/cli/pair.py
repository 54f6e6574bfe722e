"""`crdtsync-relay pair`."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options, valid_minutes_option
from crdtsync_server.cli.show import code_facts, print_code

ROLES = ("register", "backoffice", "display")


@click.command(
    epilog=epilog(
        "crdtsync-relay pair 'Cave du Port' --role backoffice --data /var/lib/crdtsync",
        "made",
        errors.UnknownShop,
        NO_RELAY,
    )
)
@common_options
@click.argument("shop")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="register",
    show_default=True,
    help="What the device will be: it sells, it manages, or it only shows.",
)
@valid_minutes_option
def command(data: Path, as_json: bool, shop: str, role: str, valid_minutes: int) -> None:
    """Print a pairing code for one more device of SHOP (its id or its name).

    A code lets one device in, once. Works while the relay runs.
    """
    from crdtsync.cli.output import print_json
    from crdtsync_server.open import opened

    with opened(data) as (access, _):
        found = access.find_shop(shop)
        issued = access.issue_code(found.id, role, valid_minutes=valid_minutes)
    if as_json:
        print_json({"shop": found.id, "name": found.name} | code_facts(issued))
        return
    print_code(issued)
