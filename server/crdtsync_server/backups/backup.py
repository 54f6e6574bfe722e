"""A backup of a relay while it runs: its databases as they were at one moment, and its keys if asked.

Of the back office it has the people, who changed what, and the invoices, not who is signed in where: whoever
finds a backup finds no session in it, and after a restore everybody signs in again.

Rows are read in the order of their keys inside one read transaction per database, which no writer waits for.
They are put together to pieces that end where the keys say so, not at every so many rows: what was not
changed gives the same pieces as last time, and those are in the file already (``backup_file``).

Only the newest backup in a file can be put back. So none takes the place of a better one: what is damaged
here, or is less than the file holds, is written into a file of its own, unless a person says otherwise.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Final

from crdtsync.errors import CrdtsyncError, DamagedStore, SetupError
from crdtsync.model.certificate import Directory
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.filing.completeness import CompleteTo, complete_to
from crdtsync.runtime.folder.role import hold_role
from crdtsync.said import many
from crdtsync.storage.database import Database
from crdtsync.storage.log import ShopLog
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.backups.file import MAGIC, BackupFile, BackupWriter, Manifest, named_pieces
from crdtsync_server.backups.keys import keys_left_out, sealed_keys
from crdtsync_server.backups.lost import RunHeld, entries_lost, lost_rows, runs_of
from crdtsync_server.backups.rows import ACCESS, OFFICE, RELAY, pieces_of, tables_of
from crdtsync_server.dashboard.database import APPLICATION_ID as OFFICE_APPLICATION_ID
from crdtsync_server.dashboard.database import MIGRATIONS as OFFICE_MIGRATIONS
from crdtsync_server.database import APPLICATION_ID, BUSY_TIMEOUT_S, MIGRATIONS
from crdtsync_server.folder import BACKUP_LOCK, DataFolder
from crdtsync_server.keys import KeyFolder, relay_device_id
from crdtsync_server.shops.devices import device_names, machines_of
from crdtsync_server.shops.owner import OwnerChain

OF_OFFICE: Final = ("account", "product_change", "price_author", "company", "invoice")
"""Tables of the back office that are kept."""

WASTE_BYTES_MIN: Final = 1 << 20
"""A file is written anew when more than half of it, and more than this, is in no present backup."""


@dataclass(frozen=True, slots=True)
class DeviceHeld:
    """Up to where a backup has what a device recorded: ``number`` is its last ticket up to there, if any.
    ``device`` and ``series`` are None where an earlier version made the backup.
    """

    name: str
    number: str | None
    at_ms: int | None
    device: bytes | None = None
    series: str | None = None


@dataclass(frozen=True, slots=True)
class ShopHeld:
    """What a backup holds of a shop: its log up to record ``log_end``. ``runs``: which entries of its chains
    are among it, as (chain, first, last, link of the last); empty where an earlier version made the backup,
    and without links where one did that is not quite as old.
    """

    shop: bytes
    name: str
    log: bytes
    log_end: int
    devices: tuple[DeviceHeld, ...]
    runs: tuple[RunHeld, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A backup that is on the disk. ``backups``: how many whole ones the file has seen since it was written
    anew, which this one did where ``is_anew``. ``torn_bytes``: what an interrupted one had left, and is gone.
    ``damages``: what is damaged on the relay; it is in the backup as it can still be read. ``keys_left_out``:
    the key files that are not in it.
    """

    made_at_ms: int
    backups: int
    is_anew: bool
    written_bytes: int
    file_bytes: int
    torn_bytes: int
    has_keys: bool
    shops: tuple[ShopHeld, ...]
    damages: tuple[str, ...] = ()
    keys_left_out: tuple[str, ...] = ()


def back_up(
    folder: DataFolder,
    path: Path,
    *,
    passphrase: bytes | None = None,
    replace: bool = False,
    clock: Clock | None = None,
    random: RandomBytes = system_random,
) -> BackupReport:
    """Bring what is new since the last backup in ``path`` there; durable on return. O(everything) to read,
    O(what is new) to write. ``passphrase``: put the keys in as well, sealed with it; without one, those that
    are in the file stay in it. ``replace``: also where the file holds a better backup than this one would be.

    Raises ``RoleTaken`` (another backup is under way), ``NotAStore``, ``SetupError`` (a file of another
    relay, or of more than this one has), ``DamagedStore`` (the relay's stores are damaged, and the file holds
    a backup already; or they cannot be read), ``StorageError``; then the file is as good as before.
    """
    clock = clock or SystemClock()
    with ExitStack() as held:
        held.enter_context(
            hold_role(
                folder.root / BACKUP_LOCK,
                f"{folder.root} is being backed up by another process",
                hint="wait for that one",
            )
        )
        relay = _relay_of(folder, random)
        before = held.enter_context(closing(BackupFile(path))) if path.exists() else None
        _refuse_another_relay(before, relay)
        reading = held.enter_context(ExitStack())
        store, databases = _as_of_now(folder, reading)
        damages = _damages(store, databases)
        if before is not None and before.manifest is not None and not replace:
            _refuse_worse(before, shops_held(before.manifest), store, databases.get(OFFICE), damages)
        is_anew = before is None or _is_wasteful(before)
        writer = BackupWriter(path, None if is_anew else before)
        try:
            manifest = _take_all(databases, store, writer)
            manifest |= {"made_at_ms": clock.now_ms(), "relay": relay}
            manifest["keys"] = sealed_keys(
                folder.keys, passphrase, before.manifest if before is not None else None, random
            )
            reading.close()  # SQLite may tell of damage at the very end.
            writer.finish(manifest)
        except BaseException:
            writer.abandon()
            raise
    return BackupReport(
        manifest["made_at_ms"],
        1 if is_anew or before is None else before.backups + 1,
        is_anew,
        writer.written_bytes,
        path.stat().st_size,
        before.torn_bytes if before is not None else 0,
        manifest["keys"] is not None,
        shops_held(manifest),
        damages,
        keys_left_out(folder.keys, manifest["keys"]),
    )


def _as_of_now(folder: DataFolder, reading: ExitStack) -> tuple[SqliteStore, dict[str, Database]]:
    """The relay's databases as they are at this moment, until ``reading`` ends."""
    databases = {}
    for name, path, open_it in ((ACCESS, folder.access, _open_access), (OFFICE, folder.office, _open_office)):
        if path.exists():
            databases[name] = reading.enter_context(closing(open_it(folder)))
    store = reading.enter_context(closing(SqliteStore(folder.store, read_only=True, create=False)))
    # The log last: what the books know of it was in it before.
    databases[RELAY] = store.database
    for database in databases.values():
        reading.enter_context(database.snapshot())
    return store, databases


def _take_all(databases: dict[str, Database], store: SqliteStore, writer: BackupWriter) -> Manifest:
    taken = {
        name: _take(database, writer, OF_OFFICE if name == OFFICE else None)
        for name, database in databases.items()
    }
    shops = [_held(store.shop(shop)) for shop in store.shops()]
    return {"format": 1, "databases": taken, "shops": shops}


def shops_held(manifest: Manifest) -> tuple[ShopHeld, ...]:
    """What a backup says that it holds."""
    return tuple(
        ShopHeld(
            shop["shop"],
            shop["name"],
            shop["log"],
            shop["log_end"],
            tuple(
                DeviceHeld(*device, *ids)
                for device, ids in zip_longest(shop["devices"], shop.get("ids", ()), fillvalue=())
            ),
            tuple((chain, lo, hi, *link) for chain, lo, hi, *link in shop.get("runs", ())),
        )
        for shop in manifest["shops"]
    )


def open_database(path: Path, application_id: int, migrations: tuple[str, ...]) -> Database:
    """A database of a relay that is there, to be read beside whoever writes it."""
    return Database(
        str(path),
        read_only=True,
        create=False,
        busy_timeout_s=BUSY_TIMEOUT_S,
        application_id=application_id,
        migrations=migrations,
    )


def _open_access(folder: DataFolder) -> Database:
    return open_database(folder.access, APPLICATION_ID, MIGRATIONS)


def _open_office(folder: DataFolder) -> Database:
    return open_database(folder.office, OFFICE_APPLICATION_ID, OFFICE_MIGRATIONS)


def _relay_of(folder: DataFolder, random: RandomBytes) -> bytes | None:
    keys = KeyFolder(folder.keys, random)
    return relay_device_id(keys.relay_key().public) if keys.has_relay_key() else None


def _refuse_another_relay(before: BackupFile | None, relay: bytes | None) -> None:
    if before is None or before.manifest is None:
        return
    if "shop" in before.manifest:
        raise SetupError(f"{before.path} is the export of a shop", hint="name another file")
    other = before.manifest["relay"]
    if other is not None and relay is not None and other != relay:
        raise SetupError(
            f"{before.path} is the backup of another relay, {other.hex()}",
            hint="give each relay a file of its own",
        )


def _damages(store: SqliteStore, databases: dict[str, Database]) -> tuple[str, ...]:
    """What is damaged of what a backup would take. O(everything). Raises ``StorageError``."""
    books = (database for name, database in databases.items() if name != RELAY)
    found = (damage for database in books for damage in database.check_structure())
    return tuple(str(damage) for damage in chain(found, store.check()))


def _refuse_worse(
    before: BackupFile,
    before_held: tuple[ShopHeld, ...],
    store: SqliteStore,
    office: Database | None,
    damages: tuple[str, ...],
) -> None:
    """Raises where the newest backup in a file is better than one of now would be."""
    path = before.path
    if damages:
        found = f"{many(len(damages), 'defect')}, the first: {damages[0]}"
        raise DamagedStore(
            f"this relay's stores are damaged ({found}): {path} has an earlier backup, and is left as it is",
            hint="`crdtsync-relay verify` names all of it; name a new file for what can still be read, or "
            "say --replace; to mend the relay, serve it, or put that earlier backup back",
        )
    shops = set(store.shops())
    for held in before_held:
        now = store.shop(held.shop).end.seq if held.shop in shops else 0
        if now < held.log_end:
            what = f"{many(now, 'record')} of it" if held.shop in shops else "nothing of it"
            raise SetupError(
                f"{path} holds {held.name} up to record {held.log_end}, and this relay has {what}: "
                "the file is left as it is",
                hint="name a new file, or say --replace where that is not wanted any more",
            )
        if held.shop in shops and (gone := entries_lost(held.runs, store.shop(held.shop))):
            raise _lacks(path, many(gone, "entry", "entries"), held.name)
    names = {held.shop: held.name for held in before_held}
    for what, shop in lost_rows(before, store, office):
        raise _lacks(path, what, names.get(shop, shop.hex()))


def _lacks(path: Path, what: str, shop_name: str) -> SetupError:
    return SetupError(
        f"{path} holds {what} of {shop_name} that this relay has no more: the file is left as it is",
        hint="they come back with the register that made them, and with who else has them "
        "(`crdtsync-relay missing`); else put that backup back, name a new file, or say --replace",
    )


def _is_wasteful(before: BackupFile) -> bool:
    """Whether a file is better written anew: damaged, without a whole backup, or full of what is past."""
    if before.manifest is None or before.is_damaged:
        return True
    live = sum(before.pieces[digest].size for digest in set(named_pieces(before.manifest)))
    waste = before.whole_bytes - len(MAGIC) - live
    return waste > max(WASTE_BYTES_MIN, live)


def _take(database: Database, writer: BackupWriter, only: tuple[str, ...] | None) -> dict[str, Any]:
    version = database.row("PRAGMA user_version") or (0,)
    tables = {}
    for name, (columns, key) in tables_of(database).items():
        if only is not None and name not in only:
            continue
        rows = 0
        digests = []
        for piece, count in pieces_of(database, name, columns, key):
            digests.append(writer.add(piece))
            rows += count
        tables[name] = {"columns": columns, "rows": rows, "pieces": digests}
    return {"version": version[0], "tables": tables}


def _held(log: ShopLog) -> dict[str, Any]:
    complete: dict[bytes, CompleteTo] = {}
    directory = Directory(log.shop)
    # A damaged record is a reason to have a backup, not to have none; `verify` names it.
    with suppress(CrdtsyncError):
        directory = OwnerChain.read(log).directory
        complete = complete_to(log)
    runs: tuple[RunHeld, ...] = ()
    with suppress(CrdtsyncError):
        runs = runs_of(log)
    names, devices, ids = device_names(directory), [], []
    for certificate in machines_of(directory):
        up_to = complete.get(certificate.device)
        devices.append(
            [names[certificate.device], up_to.number if up_to else None, up_to.at_ms if up_to else None],
        )
        ids.append([certificate.device, certificate.series])
    return {
        "shop": log.shop,
        "name": directory.shop_name,
        "log": log.log_id,
        "log_end": log.end.seq,
        "devices": devices,
        "ids": ids,
        "runs": runs,
    }
