"""``crdtsync init``: a register in a folder, a shop of one."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, settings_of
from crdtsync.cli.output import print_json


@click.command(
    "init",
    epilog=epilog(
        'crdtsync init --data ./till-1 --name "Caisse 1" --shop "Cave du Port"',
        "made",
        errors.InvalidName,
        errors.AlreadyARegister,
    ),
)
@click.option("--name", required=True, help="What this register is called.")
@click.option("--shop", "shop_name", help="What the shop is called; by default as the register.")
@common_options
def command(name: str, shop_name: str | None, data: Path, as_json: bool) -> None:
    """Make a register in a folder.

    It has a shop and an owner key of its own, and sells at once. Enrol it in a shop with `crdtsync join`
    whenever you like: it keeps its tickets, their numbers and its chain.
    """
    from crdtsync.runtime.register.register import Register

    with Register.init(data, name=name, shop_name=shop_name, **settings_of(data)) as register:
        identity = register.identity
    if as_json:
        print_json(
            {
                "folder": str(data),
                "device": identity.device,
                "name": identity.device_name,
                "shop": identity.shop,
                "shop_name": identity.shop_name,
                "series": identity.series,
            }
        )
        return
    click.echo(f"{identity.device_name} is ready in {data}. Its tickets are numbered {identity.series}-….")
    click.echo(f"Keep copies of {data / 'owner.key'} and {data / 'device.key'} in a safe place.")
