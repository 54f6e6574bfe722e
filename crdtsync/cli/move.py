"""``crdtsync move``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register, settings_of
from crdtsync.cli.output import print_json
from crdtsync.cli.syncing import tell_asking, try_to_sync


@click.command(
    "move",
    epilog=epilog(
        "crdtsync move wss://new.example 4Q7RK-… --data /var/lib/till",
        "it belongs to that relay",
        errors.InvalidName,
        (errors.SetupError, "it has no relay yet"),
        errors.NoRegister,
        errors.PairingRefused,
        (errors.RoleTaken, "a process synchronises this register"),
        errors.TooManyAttempts,
        (errors.RelayUnreachable, "nobody answers there"),
        errors.LinkClosed,
        (errors.AccessDenied, "it belongs to that relay, which refuses it"),
        (errors.WrongRelayKey, "another relay answers there"),
        errors.UnsupportedVersion,
    ),
)
@click.argument("url")
@click.argument("code", required=False)
@common_options
def command(url: str, code: str | None, data: Path, as_json: bool) -> int:
    """Let this register go over to another relay of its shop: by a pairing code of that relay, or, where only
    the address of its relay has changed, without one.

    It keeps its key, its numbers and everything that it has. What the old relay had confirmed counts as
    pending until the new one has it. What does not answer, or does not prove its key, changes nothing: the
    register belongs to its relay as before. Then it synchronises, and ends with the exit code of what stops
    that.
    """
    from crdtsync.runtime.belonging.moving import move_register
    from crdtsync.runtime.clock import system_random

    tell_asking(url, as_json=as_json)
    identity = move_register(data, url, code, random_bytes=system_random, tls_ca=settings_of(data)["tls_ca"])
    with open_register(data) as register:
        outcome, error = try_to_sync(register)
    # Not everything there yet: it is on its way, and the register has moved.
    exit_code = 0 if error is None or isinstance(error, errors.NotSynchronised) else error.exit_code
    if as_json:
        print_json({"device": identity.device, "shop": identity.shop, "url": url, "sync": outcome})
        return exit_code
    click.echo(f"{identity.device_name} of {identity.shop_name} belongs to the relay at {url} now.")
    click.echo(outcome)
    return exit_code
