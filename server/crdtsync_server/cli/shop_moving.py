"""``crdtsync-relay shop export``, ``shop import`` and ``shop erase``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "export",
    epilog=epilog(
        "crdtsync-relay shop export 'Cave du Port' cave.shop --data /var/lib/crdtsync",
        "the export is on the disk",
        errors.UnknownShop,
        (errors.SetupError, "the file is another export or a backup"),
        (errors.RoleTaken, "another backup is under way"),
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--with-keys",
    type=click.Path(path_type=Path),
    metavar="PASSPHRASE_FILE",
    help="Put the shop's owner key in too, sealed with the passphrase in the first line of this file.",
)
@common_options
def export(shop: str, file: Path, with_keys: Path | None, data: Path, as_json: bool) -> None:
    """Write all of SHOP to FILE, for another relay: records, and what was refused or is held.

    Works while the relay runs. Repeated to the same file, only what is new is added. Without --with-keys the
    new relay can let nobody in until the owner has signed (`crdtsync-relay owner`).
    """
    from crdtsync.cli.output import print_json, size
    from crdtsync.said import many
    from crdtsync_server.backups.keys import read_passphrase
    from crdtsync_server.folder import DataFolder
    from crdtsync_server.open import opened
    from crdtsync_server.shops.moving import export_shop

    passphrase = read_passphrase(with_keys) if with_keys is not None else None
    with opened(data) as (access, _):
        found = access.find_shop(shop)
    report = export_shop(DataFolder.open(data), found.id, file, passphrase=passphrase)
    if as_json:
        print_json(
            {
                "shop": found.id,
                "name": found.name,
                "file": str(file),
                "log_end": report.log_end,
                "apart": report.apart,
                "keys": report.has_keys,
                "written_bytes": report.written_bytes,
                "file_bytes": report.file_bytes,
            }
        )
        return
    keys = "its owner key, sealed" if report.has_keys else "no key"
    click.echo(
        f"{file}: {found.name}, {many(report.log_end, 'record')}, {report.apart} in quarantine, {keys}; "
        f"{size(report.written_bytes)} written, {size(report.file_bytes)} in all"
    )


@click.command(
    "import",
    epilog=epilog(
        "crdtsync-relay shop import cave.shop --with-keys /etc/passphrase --data /srv/relay",
        "the shop is here",
        (errors.SetupError, "no key in the file, or another passphrase"),
        (errors.DamagedStore, "no whole export in the file, or it is damaged"),
        (errors.NotAStore, "the file is no export"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--with-keys",
    type=click.Path(path_type=Path),
    metavar="PASSPHRASE_FILE",
    help="Take the shop's owner key in too; its passphrase is the first line of this file.",
)
@common_options
def take_in(file: Path, with_keys: Path | None, data: Path, as_json: bool) -> None:
    """Take the shop in FILE in. Every record is judged and every signature verified, as from a device.

    It can be repeated, also with a newer export. Then print a pairing code for each register, and let it go
    over: `crdtsync move URL CODE`. It keeps its key, its numbers and everything that it has.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.said import many
    from crdtsync_server.backups.keys import read_passphrase
    from crdtsync_server.open import opened
    from crdtsync_server.shops.moving import import_shop

    passphrase = read_passphrase(with_keys) if with_keys is not None else None
    with opened(data, create=True) as (access, store):
        report = import_shop(access, store, file, passphrase=passphrase)
    if as_json:
        print_json(
            {
                "shop": report.shop,
                "name": report.name,
                "records": report.records,
                "not_admitted": report.not_admitted,
                "certified": report.is_certified,
            }
        )
        return
    click.echo(f"{report.name} ({report.shop.hex()}): {many(report.records, 'record')} taken")
    if report.not_admitted:
        click.echo(f"{report.not_admitted} are in quarantine: `crdtsync-relay quarantine list` shows them")
    if not report.is_certified:
        click.echo("The owner has to certify this relay: `crdtsync-relay owner request`")
    click.echo(f"Each register: `crdtsync-relay pair '{report.name}'`, then `crdtsync move URL CODE` on it")


@click.command(
    "erase",
    epilog=epilog(
        "crdtsync-relay shop erase 'Cave du Port' --exported cave.shop --told 'wss://new.example'",
        "erased",
        errors.UnknownShop,
        (errors.UsageError, "neither an export nor the name of the shop was given"),
        (errors.StillPending, "the export lacks something"),
        (errors.RoleTaken, "the relay runs"),
        (errors.NotAStore, "the file is no export"),
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.option(
    "--exported",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An export that holds everything; one that does not is refused.",
)
@click.option("--confirm", metavar="NAME", help="Without an export: the name of the shop, typed again.")
@click.option("--told", default="", metavar="TEXT", help="What its registers are told: where it is now.")
@common_options
def erase(
    shop: str, exported: Path | None, confirm: str | None, told: str, data: Path, as_json: bool
) -> None:
    """Erase SHOP from this relay, while it is stopped: all records, codes and names.

    Its registers lose nothing: they are refused politely, sell on, and keep everything. The owner key, if it
    is here, is only renamed. Backups and copies of the folder are not touched.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.errors import UsageError
    from crdtsync_server.folder import DataFolder
    from crdtsync_server.open import opened
    from crdtsync_server.shops.moving import erase_shop

    with opened(data) as (access, _):
        found = access.find_shop(shop)
        if exported is None and confirm != found.name:
            raise UsageError(
                f"nothing was erased: {found.name} may be nowhere else",
                hint="give --exported FILE, or type the name of the shop again with --confirm NAME",
            )
        kept = erase_shop(access, DataFolder.open(data), found.id, exported=exported, told=told)
    if as_json:
        print_json({"shop": found.id, "name": found.name, "owner_key": str(kept) if kept else None})
        return
    click.echo(f"{found.name} ({found.id.hex()}) is on this relay no more.")
    if kept is not None:
        click.echo(f"Its owner key is in {kept}: delete it where it is kept elsewhere too.")
