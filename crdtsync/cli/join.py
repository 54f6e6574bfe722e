"""``crdtsync join``: enrol this register in a shop."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.coming_back import bring_back, came_back_facts, came_back_text
from crdtsync.cli.options import common_options, epilog, open_register, settings_of
from crdtsync.cli.output import print_json
from crdtsync.cli.syncing import tell_asking
from crdtsync.said import many


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
@click.option(
    "--name",
    default="",
    help="What this register is called in the shop; one that replaces a lost one has that one's name.",
)
@common_options
def command(url: str, code: str, name: str, data: Path, as_json: bool) -> None:
    """Enrol this register in a shop, with the pairing code that its relay gave (`crdtsync-relay pair`).

    A register that sold before brings its tickets along; the products are those of the shop. With a code of
    `crdtsync-relay restore` it takes the place of a lost register. Products and today come first: from then
    on it sells, beside this command, which goes on until the whole history is here. Ctrl-C ends it; `crdtsync
    run` goes on from there. If it fails, it can simply be repeated.
    """
    from crdtsync.runtime.belonging.join import join_shop
    from crdtsync.runtime.clock import SystemClock, system_random

    settings = settings_of(data)
    tell_asking(url, as_json=as_json)
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
        if not as_json:
            click.echo(f"{identity.device_name} is a {identity.role} of {identity.shop_name}.")

        def ready(records_left: int) -> None:
            if records_left and not as_json:
                register.replica.file_catalogue()
                products = many(sum(1 for _ in register.products.list()), "product")
                click.echo(
                    f"Ready: {products} and today are here; {many(records_left, 'record')} of before follow."
                )

        outcome = bring_back(register, ready, as_json=as_json)
        status, now_ms = register.status(with_documents=False), register.replica.clock.now_ms()
        utc_offset_min = register.replica.clock.utc_offset_min(now_ms)
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
                "replaces": came_back_facts(status.came_back),
                "history_records_left": status.history_left.records if status.history_left else 0,
            }
        )
        return
    if status.came_back is not None:
        for line in came_back_text(status.came_back, utc_offset_min):
            click.echo(line)
    click.echo(outcome)
