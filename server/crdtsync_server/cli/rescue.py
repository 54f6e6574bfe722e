"""``crdtsync-relay rescue``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync.runtime.register.status import Pending
    from crdtsync_server.shops.rescue import TakenIn


@click.command(
    "rescue",
    epilog=epilog(
        "crdtsync-relay rescue till-1.rescue --data /var/lib/crdtsync",
        "taken: everything is here, or on hold",
        (errors.InvalidRescue, "no rescue file, or not a whole one"),
        (errors.RecordError, "some records were refused, or had no room"),
        errors.UnknownShop,
        NO_RELAY,
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@common_options
def command(file: Path, data: Path, as_json: bool) -> None:
    """Take what `crdtsync rescue` wrote into FILE on a register: its sales that no relay had acknowledged.

    Everything is checked as if the register had connected. Sales of a register that was cut off go on hold
    (`crdtsync-relay hold list`). Works while the relay runs; taking a file again changes nothing.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.runtime.clock import SystemClock
    from crdtsync.said import many
    from crdtsync.storage.rescue_file import read_rescue
    from crdtsync_server.open import opened
    from crdtsync_server.shops.rescue import quota_of_environment, take_rescue

    try:
        quota = quota_of_environment()
    except ValueError as error:
        raise errors.UsageError(f"a limit in the environment is no number: {error}") from error
    found = read_rescue(file)
    with opened(data) as (access, store):
        taken = take_rescue(access, store, found, quota, SystemClock().now_ms())
    if as_json:
        print_json(_facts(file, taken))
    else:
        _print(file, taken)
    if taken.stopped:
        raise errors.RecordError(f"not all of {file} was taken: {taken.stopped}", hint=_KEEP)
    if taken.refused.records:
        refused = many(taken.refused.records, f"record of {file} was", f"records of {file} were")
        raise errors.RecordError(f"{refused} refused", hint=_KEEP)


_KEEP = "keep the file; `crdtsync-relay quarantine list SHOP` shows what was refused"


def _facts(file: Path, taken: TakenIn) -> dict[str, Any]:
    return {
        "file": str(file),
        "shop": taken.shop.id,
        "shop_name": taken.shop.name,
        "device": taken.device,
        "name": taken.name,
        "signed": taken.is_signed,
        "new": _counted(taken.new),
        "known": _counted(taken.known),
        "held": _counted(taken.held),
        "refused": _counted(taken.refused),
        "certificates": taken.certificates,
        "why": [
            {"held": held, "code": code, "reason": reason, "records": records}
            for (held, code, reason), records in sorted(taken.why.items())
        ],
        "stopped": taken.stopped or None,
    }


def _counted(pending: Pending) -> dict[str, int]:
    return {
        "tickets": pending.sales,
        "amount_minor": pending.amount_minor,
        "records": pending.records,
    }


def _print(file: Path, taken: TakenIn) -> None:
    from crdtsync.cli.output import money
    from crdtsync.said import many

    name = "".join(char if char.isprintable() else " " for char in taken.name)
    signed = "" if taken.is_signed else ", not signed by it"
    click.echo(f"{file}: of {name or 'a register without a name'}{signed}, shop {taken.shop.name}")
    parts = (
        ("new", taken.new),
        ("known before", taken.known),
        ("on hold", taken.held),
        ("refused", taken.refused),
    )
    for words, pending in parts:
        tickets, all_records = many(pending.sales, "ticket"), many(pending.records, "record")
        click.echo(f"  {words:<12} {tickets}, {money(pending.amount_minor)} ({all_records})")
    for (held, code, reason), records in sorted(taken.why.items()):
        click.echo(f"  {'on hold' if held else 'refused'}: {many(records, 'record')}, {code}: {reason}")
    if taken.held.records:
        click.echo("What is on hold waits for a person: crdtsync-relay hold list SHOP")
