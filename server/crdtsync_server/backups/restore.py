"""Putting a relay back from a backup, into a folder of its own.

The databases are made again from the rows of the backup, checked, and put in place at the end, so that a
restore that was interrupted can be repeated. Each shop's log goes on under a new id as a log that has met
nobody: its registers compare with it, and bring what the backup lacks. What lay in the folder before is moved
aside, never deleted.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import apsw
import msgpack
import orjson

from crdtsync.errors import DamagedStore, SetupError, StorageError, StoreBusy, StoreTooNew
from crdtsync.ids import ID_BYTES
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.folder.keyfile import write_key
from crdtsync.storage import schema
from crdtsync.storage.database import Database
from crdtsync.storage.log import ShopLog
from crdtsync.storage.sqlite import SqliteStore, make_for_owner_alone
from crdtsync_server.backups.backup import ShopHeld, shops_held
from crdtsync_server.backups.file import BackupFile, Manifest, sync_folder, translated
from crdtsync_server.backups.keys import unsealed_keys
from crdtsync_server.backups.rows import ACCESS, OFFICE, RELAY, tables_of
from crdtsync_server.dashboard.database import APPLICATION_ID as OFFICE_APPLICATION_ID
from crdtsync_server.dashboard.database import MIGRATIONS as OFFICE_MIGRATIONS
from crdtsync_server.database import APPLICATION_ID, BUSY_TIMEOUT_S, MIGRATIONS
from crdtsync_server.folder import PLACE, DataFolder
from crdtsync_server.keys import RELAY_KEY, KeyFolder, relay_device_id
from crdtsync_server.open import opened
from crdtsync_server.shops.moving import certify_relay

RESTORED: Final = "restored"
"""State of a shop's log: when it was put back, and from what. See ``Restored``."""

KINDS: Final = {
    RELAY: (schema.APPLICATION_ID, schema.MIGRATIONS),
    ACCESS: (APPLICATION_ID, MIGRATIONS),
    OFFICE: (OFFICE_APPLICATION_ID, OFFICE_MIGRATIONS),
}
"""The databases of a relay: what their headers say, and their tables."""

COMMIT_BYTES: Final = 64 << 20
"""So much at a time: the journal of one transaction is on the disk as well."""

_DRAFT: Final = "restoring"
_SUFFIXES: Final = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Restored:
    """A shop's log was put back at ``at_ms`` from a backup made at ``made_at_ms``, which had it up to
    ``log_end``; its id was ``log_before``.
    """

    at_ms: int
    made_at_ms: int
    log_end: int
    log_before: bytes

    def to_bytes(self) -> bytes:
        """For the small state of a log."""
        facts = {"at_ms": self.at_ms, "made_at_ms": self.made_at_ms, "log_end": self.log_end}
        return orjson.dumps(facts | {"log_before": self.log_before.hex()})


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was put back. ``damages``: rows that were damaged on the relay already when the backup was made;
    its registers bring them back. ``aside``: where what lay in the folder before is now.
    """

    made_at_ms: int
    torn_bytes: int
    has_new_key: bool
    shops: tuple[ShopHeld, ...]
    damages: tuple[str, ...]
    aside: Path | None


def read_restored(log: ShopLog) -> Restored | None:
    """When the log was last put back with ``restore-from``; None if it never was."""
    data = log.state(RESTORED)
    if data is None:
        return None
    facts = orjson.loads(data)
    return Restored(**facts | {"log_before": bytes.fromhex(facts["log_before"])})


def restore_from(
    path: Path,
    root: Path,
    *,
    passphrase: bytes | None = None,
    replace: bool = False,
    new_key: bool = False,
    clock: Clock | None = None,
    random: RandomBytes = system_random,
) -> RestoreReport:
    """Put the newest whole backup in ``path`` into the folder ``root``; durable on return.

    ``passphrase`` opens the keys in it; without it the keys must lie in ``root`` already, or ``new_key`` says
    to go on without: then every register has to be moved to this relay. ``replace``: move what is there
    aside. Raises ``SetupError`` (a folder with shops; no keys, or other ones), ``RoleTaken`` (it is served),
    ``DamagedStore``, ``StorageError``; then the relay in the folder is the one that was there, if any.
    """
    clock = clock or SystemClock()
    with ExitStack() as held:
        backup = held.enter_context(closing(BackupFile(path)))
        if backup.manifest is None:
            raise DamagedStore(
                f"there is no whole backup in {path}", hint="it was interrupted, or cut off: use another"
            )
        manifest = backup.manifest
        if "shop" in manifest:
            raise SetupError(
                f"{path} is the export of a shop, not the backup of a relay",
                hint="`crdtsync-relay shop import` takes it in",
            )
        folder = DataFolder.create(root)
        held.enter_context(folder.serving())
        if not replace and _has_shops(folder):
            raise SetupError(
                f"{root} is the folder of a relay with shops",
                hint="name a new folder with --data, or move what is there aside with --replace",
            )
        keys = _keys(folder, manifest, passphrase, random, new_key=new_key)
        draft = root / _DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        try:
            with translated(draft):
                draft.mkdir(mode=0o700)
            for name in KINDS:
                if name in manifest["databases"]:
                    _make_again(draft / name, name, manifest["databases"][name], backup)
            damages = _begin_anew(draft / RELAY, manifest, clock.now_ms(), random)
            for name, key in keys.items():
                if not (folder.keys / name).exists():
                    write_key(folder.keys / name, key)
            with translated(root):
                aside = _put_in_place(folder, draft, clock.now_ms())
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    # Another place: series and pairing codes begin anew, see ``restored``.
    with opened(root) as (access, store):
        if new_key:
            for shop in store.shops():
                certify_relay(access, store, shop)
    return RestoreReport(
        manifest["made_at_ms"], backup.torn_bytes, new_key, shops_held(manifest), damages, aside
    )


def _has_shops(folder: DataFolder) -> bool:
    if not folder.store.exists():
        return False
    with closing(SqliteStore(folder.store, read_only=True, create=False)) as store:
        return bool(store.shops())


def _keys(
    folder: DataFolder,
    manifest: Manifest,
    passphrase: bytes | None,
    random: RandomBytes,
    *,
    new_key: bool,
) -> dict[str, bytes]:
    """The keys to be written; those that lie in the folder already are not replaced."""
    files = unsealed_keys(manifest, passphrase) if passphrase is not None else {}
    for name, key in files.items():
        there = folder.keys / name
        if there.exists() and there.read_bytes() != key:
            raise SetupError(
                f"{there} is another key than the one in the backup",
                hint="move it away, or name a new folder",
            )
    present = KeyFolder(folder.keys, random)
    if RELAY_KEY not in files and not present.has_relay_key() and not new_key:
        raise SetupError(
            "the relay's own key is missing: registers would take this one for another relay",
            hint="give --with-keys and the passphrase, put the old keys folder into the data folder first, "
            "or say --new-key and move every register afterwards",
        )
    if present.has_relay_key() and not new_key and manifest["relay"] is not None:
        device = relay_device_id(present.relay_key().public)
        if device != manifest["relay"]:
            raise SetupError(
                f"the key in {folder.keys} is that of another relay than the backup's",
                hint="name the folder with the right keys, or say --new-key and move its registers",
            )
    return files


def _make_again(path: Path, name: str, facts: dict[str, Any], backup: BackupFile) -> None:
    application_id, migrations = KINDS[name]
    make_for_owner_alone(path)
    version = facts["version"]
    if version > len(migrations):
        raise StoreTooNew(f"the backup in {backup.path} was made by a newer version of crdtsync")
    database = Database(
        str(path),
        read_only=False,
        create=True,
        busy_timeout_s=BUSY_TIMEOUT_S,
        application_id=application_id,
        migrations=migrations[:version],
    )
    with closing(database):
        known = tables_of(database)
        for table, content in facts["tables"].items():
            if table not in known or known[table][0] != content["columns"]:
                raise StorageError(f"{backup.path} has a table {table} that is not of version {version}")
            _fill(database, table, content, backup)


def _fill(database: Database, table: str, content: dict[str, Any], backup: BackupFile) -> None:
    digests = iter(content["pieces"])
    done = rows = 0
    while not done:
        size, done = 0, 1
        with database.whole_transaction():
            for digest in digests:
                piece = backup.piece(digest)
                unpacker = msgpack.Unpacker(max_buffer_size=len(piece) or 1, use_list=False)
                unpacker.feed(piece)
                read = list(unpacker)
                database.insert_many(f"INSERT INTO {table}", read)
                rows += len(read)
                size += len(piece)
                if size >= COMMIT_BYTES:
                    done = 0
                    break
    if rows != content["rows"]:
        raise DamagedStore(f"{backup.path} has {rows} rows of {table}, and names {content['rows']}")


def _begin_anew(path: Path, manifest: Manifest, now_ms: int, random: RandomBytes) -> tuple[str, ...]:
    with closing(SqliteStore(path, create=False)) as store:
        damages = tuple(str(damage) for damage in store.check())
        for shop in store.shops():
            log = store.shop(shop)
            with store.transaction():
                restored = Restored(now_ms, manifest["made_at_ms"], log.end.seq, log.log_id)
                log.begin_anew(random(ID_BYTES))
                log.set_state(RESTORED, restored.to_bytes())
    return damages


def _put_in_place(folder: DataFolder, draft: Path, now_ms: int) -> Path | None:
    """Rename everything, the log last: without it there is no relay in the folder."""
    aside: Path | None = None
    for name in KINDS:
        _fold_in_journal(folder.root / name)
    # A backup of an older version has nothing of the back office: what is there of it stays.
    for name in (RELAY, ACCESS, *([OFFICE] if (draft / OFFICE).exists() else ())):
        for suffix in _SUFFIXES:
            old = folder.root / f"{name}{suffix}"
            if old.exists():
                aside = aside or _make_aside(folder.root, now_ms)
                os.replace(old, aside / old.name)
    # By another one it is seen that this is another relay than the one of the backup.
    (folder.root / PLACE).unlink(missing_ok=True)
    for name in (OFFICE, ACCESS, RELAY):
        if (draft / name).exists():
            with (draft / name).open("rb") as file:
                os.fsync(file.fileno())
            os.replace(draft / name, folder.root / name)
    sync_folder(folder.root)
    return aside


def _fold_in_journal(path: Path) -> None:
    """A relay that was killed left its newest commits beside its database: the file alone is to be whole,
    whenever moving it aside is cut off. Of a damaged one the journal is moved as it is. Raises ``StoreBusy``
    while another process reads it.
    """
    folded = None
    if path.exists():
        with suppress(apsw.Error), closing(apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)) as file:
            file.set_busy_timeout(int(BUSY_TIMEOUT_S * 1000))
            file.pragma("schema_version")  # Before the file was read there is no journal to be folded in.
            folded = file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if folded is not None and folded[0]:
        raise StoreBusy(f"another process reads {path}", hint="end it, and try again: nothing was changed")


def _make_aside(root: Path, now_ms: int) -> Path:
    at = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in count(1):
        aside = root / (f"before-{at}" + (f"-{number}" if number > 1 else ""))
        with suppress(FileExistsError):  # Never into one that is there: it would be written over.
            aside.mkdir(mode=0o700)
            return aside
    raise AssertionError("numbers do not end")
