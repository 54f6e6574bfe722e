"""``crdtsync join``: enrol this register in a shop."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register, settings_of
from crdtsync.cli.output import print_json
from crdtsync.cli.syncing import sync_on_the_way


@click.command(
    "join",
    epilog=epilog(
        'crdtsync join wss://relay.example 7K2M-… --data ./till-1 --name "Caisse 1"',
        "enrolled",
        errors.InvalidName,
        errors.AlreadyARegister,
        (errors.StillPending, "only this register has something of the shop that it is in"),
        errors.PairingRefused,
        errors.TooManyAttempts,
        errors.RelayUnreachable,
        errors.WrongRelayKey,
    ),
)
@click.argument("url")
@click.argument("code")
@click.option("--name", required=True, help="What this register is called in the shop.")
@common_options
def command(url: str, code: str, name: str, data: Path, as_json: bool) -> None:
    """Enrol this register in a shop, with the pairing code that its relay gave (`crdtsync-relay pair`).

    A register that sold before brings its tickets along; the products are those of the shop. If it
    fails, it can simply be repeated.
    """
    from crdtsync.runtime.clock import SystemClock, system_random
    from crdtsync.runtime.join import join_shop

    settings = settings_of(data)
    identity = join_shop(
        data,
        url,
        code,
        name=name,
        clock=SystemClock(),
        random_bytes=system_random,
        day_starts_min=settings["day_starts_min"],
        tls_ca=settings["tls_ca"],
    )
    with open_register(data) as register:
        outcome = sync_on_the_way(register)
    if as_json:
        print_json(
            {
                "device": identity.device,
                "name": identity.device_name,
                "role": identity.role,
                "shop": identity.shop,
                "shop_name": identity.shop_name,
                "series": identity.series,
                "sync": outcome,
            }
        )
        return
    click.echo(f"{identity.device_name} is a {identity.role} of {identity.shop_name}.")
    click.echo(outcome)
