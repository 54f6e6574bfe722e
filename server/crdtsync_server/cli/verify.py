"""`crdtsync-relay verify`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options

if TYPE_CHECKING:
    from crdtsync.errors import DamagedStore
    from crdtsync.runtime.register.verify import Finding
    from crdtsync.storage.sqlite import SqliteStore
    from crdtsync_server.verification import ShopReport

_COMPARE: Final = "keep the folder as it is; the registers have their own copies: `crdtsync verify` on each"


@click.command(
    epilog=epilog(
        "crdtsync-relay verify 'Cave du Port' --data /var/lib/crdtsync --json",
        "everything holds",
        errors.UnknownShop,
        NO_RELAY,
        errors.IntegrityDefect,
    )
)
@common_options
@click.argument("shop", required=False)
def command(data: Path, as_json: bool, shop: str | None) -> None:
    """Check every checksum, link, number, total and signature in the store, of SHOP or of all.

    Names each entry that fails. Works while the relay runs, and on a copy of its folder: nothing is written.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.errors import IntegrityDefect, NoRegister
    from crdtsync.runtime.folder.whose import is_there
    from crdtsync.runtime.register.verify import verify_file
    from crdtsync.said import many
    from crdtsync.storage.sqlite import SqliteStore
    from crdtsync_server.folder import DataFolder
    from crdtsync_server.verification import shop_names

    path = DataFolder(data).store
    if not is_there(path):
        raise NoRegister(f"there is no relay in {data}", hint="--data names the relay's folder")
    store = SqliteStore(path, read_only=True, create=False)
    try:
        names = _chosen(shop_names(store), shop)
        in_file = verify_file(store)
        reports, unread = _verified(store, names)
    finally:
        store.close()
    defects = [*in_file, *(finding for report in reports for finding in report.findings)]
    if as_json:
        print_json({"defects": len(defects), "store": in_file, "shops": reports})
    else:
        _print(in_file, reports, unread)
    if unread and not in_file:
        raise next(iter(unread.values()))
    if defects:
        raise IntegrityDefect(
            f"{many(len(defects), 'defect')} in {path}, the first: {_sentence(defects[0])}",
            hint=_hint(in_file),
        )


def _verified(
    store: SqliteStore, names: dict[bytes, str]
) -> tuple[list[ShopReport], dict[str, DamagedStore]]:
    """What was found of each shop; of some nothing can be read but what the file itself shows."""
    from crdtsync.errors import DamagedStore
    from crdtsync_server.verification import verify_shop

    reports, unread = [], {}
    for shop, name in names.items():
        try:
            reports.append(verify_shop(store, shop, name, _progress(name)))
        except DamagedStore as error:
            unread[name] = error
    return reports, unread


def _hint(in_file: list[Finding]) -> str:
    from crdtsync_server.damage import ONE_RECORD, RELAYS_WAY_OUT

    if not in_file:
        return _COMPARE
    return ONE_RECORD if all(finding.seq for finding in in_file) else RELAYS_WAY_OUT


def _chosen(names: dict[bytes, str], text: str | None) -> dict[bytes, str]:
    from crdtsync.errors import UnknownShop

    if text is None:
        return names
    chosen = {shop: name for shop, name in names.items() if shop.hex() == text.strip().lower()} or {
        shop: name for shop, name in names.items() if name.casefold() == text.strip().casefold()
    }
    if not chosen:
        raise UnknownShop(f"there is no shop {text!r} in this store")
    return chosen


def _print(in_file: list[Finding], reports: list[ShopReport], unread: dict[str, DamagedStore]) -> None:
    from crdtsync.said import many

    for finding in in_file:
        click.echo(_sentence(finding))
    for name in unread:
        click.echo(f"{name}: nothing else of it can be read as it is.")
    if not reports and not unread:
        click.echo("There are no shops in this store.")
    for report in reports:
        for finding in report.findings:
            click.echo(f"{report.name}: {_sentence(finding)}")
        click.echo(
            f"{report.name}: {many(report.records, 'record')}, {many(report.entries, 'entry', 'entries')} of "
            f"{many(report.chains, 'chain')}: "
            + (f"{many(len(report.findings), 'defect')}." if report.findings else "everything holds.")
        )
        if report.notes:
            click.echo(
                f"note: the owner's chain of {report.name} has branches, as after a restore from a backup; "
                "all certificates in them count"
            )


def _sentence(finding: Finding) -> str:
    name = finding.number or (f"entry {finding.seq}" if finding.seq else "")
    link = f" ({finding.link.hex()[:8]})" if finding.link else ""
    return ": ".join(part for part in (finding.place, name + link, finding.code, finding.message) if part)


def _progress(name: str) -> Callable[[int, int], None]:
    if not sys.stderr.isatty():
        return lambda *_: None
    return lambda done, total: click.echo(f"\r{name}: {done} of {total} records", nl=done == total, err=True)
