"""``crdtsync-relay backup``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync_server.backups.backup import ShopHeld


@click.command(
    "backup",
    epilog=epilog(
        "crdtsync-relay backup /backup/relay.backup --data /var/lib/crdtsync",
        "the backup is on the disk",
        (errors.UsageError, "the passphrase is too short"),
        (errors.SetupError, "the file is the backup of another relay, or holds more than this one has"),
        (errors.DamagedStore, "the relay's stores are damaged, see above"),
        (errors.RoleTaken, "another backup is under way"),
        NO_RELAY,
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--with-keys",
    type=click.Path(path_type=Path),
    metavar="PASSPHRASE_FILE",
    help="Put the private keys in too, sealed with the passphrase in the first line of this file.",
)
@click.option("--replace", is_flag=True, help="Also where FILE holds a better backup than this one.")
@common_options
def command(file: Path, with_keys: Path | None, replace: bool, data: Path, as_json: bool) -> None:
    """Bring what is new of all shops into FILE, while the relay runs or not.

    The first time everything is written, later only what has changed. A backup that is interrupted is never
    taken for a whole one: FILE is as good as before. It says what it holds: of each register, up to which
    ticket. Without --with-keys no private key comes into FILE, and those that are there stay: copy the keys
    folder to a safe place once after each new shop then. Whoever can read FILE can read the shops' sales: it
    is made for its owner alone.

    Where this relay's stores are damaged, or have less of a shop than FILE, FILE is left as it is. A new FILE
    gets what can be read of a damaged relay, and the command fails all the same.
    """
    from crdtsync.cli.output import print_json, print_notices, size
    from crdtsync.said import many
    from crdtsync_server.backups.backup import back_up
    from crdtsync_server.backups.keys import read_passphrase
    from crdtsync_server.damage import in_a_relays_words
    from crdtsync_server.folder import DataFolder
    from crdtsync_server.shops.devices import utc

    passphrase = read_passphrase(with_keys) if with_keys is not None else None
    report = back_up(DataFolder.open(data), file, passphrase=passphrase, replace=replace)
    damaged = None
    if report.damages:
        what = f"{many(len(report.damages), 'defect')} in this relay's stores, the first: {report.damages[0]}"
        damaged = in_a_relays_words(errors.DamagedStore(f"{file} holds what can still be read: {what}"))
    if as_json:
        print_json(
            {
                "file": str(file),
                "made_at": utc(report.made_at_ms),
                "backups": report.backups,
                "written_anew": report.is_anew,
                "written_bytes": report.written_bytes,
                "file_bytes": report.file_bytes,
                "interrupted_bytes": report.torn_bytes,
                "keys": report.has_keys,
                "keys_left_out": list(report.keys_left_out),
                "damages": list(report.damages),
                "shops": held_facts(report.shops),
            }
        )
        if damaged is not None:
            raise damaged
        return
    if report.torn_bytes:
        print_notices([f"an interrupted backup had left {size(report.torn_bytes)} in {file}; they are gone"])
    click.echo(
        f"{file}: {size(report.written_bytes)} written, {size(report.file_bytes)} in all, "
        f"{many(report.backups, 'backup')} since it was written anew"
    )
    print_held(report.shops)
    if report.has_keys and report.keys_left_out:
        missing = ", ".join(report.keys_left_out)
        click.echo("The private keys are inside as an earlier backup sealed them.")
        print_notices([f"not inside, made since: {missing}; give --with-keys once"])
    elif report.has_keys:
        click.echo("The private keys are inside, sealed with the passphrase.")
    else:
        click.echo(f"No private key is inside: keep a copy of {data / 'keys'} in a safe place.")
    if damaged is not None:
        raise damaged


def held_facts(shops: tuple[ShopHeld, ...]) -> list[dict[str, Any]]:
    """What a backup holds, in JSON."""
    from crdtsync_server.shops.devices import utc

    return [
        {
            "shop": shop.shop,
            "name": shop.name,
            "log": shop.log,
            "log_end": shop.log_end,
            "devices": [
                {
                    "device": device.device,
                    "series": device.series,
                    "name": device.name,
                    "complete_to": device.number,
                    "complete_to_at": utc(device.at_ms) if device.at_ms is not None else None,
                }
                for device in shop.devices
            ],
        }
        for shop in shops
    ]


def print_held(shops: tuple[ShopHeld, ...]) -> None:
    """What a backup holds, for a person."""
    from crdtsync.said import many
    from crdtsync_server.shops.devices import utc

    for shop in shops:
        click.echo(f"{shop.name} ({shop.shop.hex()}): {many(shop.log_end, 'record')}")
        for device in shop.devices:
            if device.at_ms is None:
                click.echo(f"  {device.name}: nothing yet")
            else:
                click.echo(f"  {device.name}: up to {device.number or 'no ticket yet'}, {utc(device.at_ms)}")
