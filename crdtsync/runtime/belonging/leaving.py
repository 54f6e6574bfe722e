"""Leaving a shop, or resetting a folder: never while only this register has something. Nothing is deleted.

What is pending is looked at in the transaction with which the register stops recording, so that no sale can
come in between. Its files are then moved into a folder of their own, where they can be looked at, and written
into a rescue file, like those of any register.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from crdtsync.errors import StillPending, StorageError, StoreBusy
from crdtsync.ids import record_digest
from crdtsync.model.money import format_euros
from crdtsync.runtime.damage.rescue import body_of, digests_in, pending_records, read_own_rescue
from crdtsync.runtime.folder.identity import HEAD, LEFT, Identity, has_left, load_relay, present_shop
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, OWNER_KEY
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.folder.role import SYNC_LOCK, hold_role
from crdtsync.runtime.folder.whose import store_of_register
from crdtsync.runtime.register.status import Pending
from crdtsync.said import many
from crdtsync.storage.log import ShopLog
from crdtsync.storage.sqlite import SqliteStore

_MOVED: Final = (DEVICE_KEY, OWNER_KEY, f"{STORE}-shm", f"{STORE}-wal", STORE)
"""In this order: as long as the store is there, leaving again goes on."""

_NO_LOSS: Final = ("register", "owner", "certify")
"""Kinds that making a register writes: who has done nothing else has nothing to lose."""

_WAYS: Final = "run `crdtsync sync`"
_WAYS_ALONE: Final = "let it join a shop that has a relay (`crdtsync join`)"
_FILE: Final = (
    "; or write it into a file with `crdtsync rescue FILE`, keep that safe, and leave "
    "with `crdtsync leave --rescued FILE`"
)
_AGAIN: Final = "nothing is lost: repeat the command"


@dataclass(frozen=True, slots=True)
class Left:
    """Where everything went, and what the rescue file has of it that no relay had acknowledged."""

    identity: Identity
    folder: Path
    rescued: Pending


def leave(folder: Path, now_ms: int, *, rescued: Path | None = None) -> Left:
    """Stop belonging to a shop. Afterwards the folder is empty for a new register, and what was in it lies in
    a folder beside it, whole.

    Refused with ``StillPending`` while a record is pending, unless ``rescued`` names a rescue file that holds
    all of them: it is read. Can be repeated after a crash. Raises ``NoRegister``, ``RoleTaken`` while a
    process synchronises, ``StoreBusy`` while one reads and does not end, ``InvalidRescue``, ``StorageError``.
    """
    store_of_register(folder)
    hint = "stop `crdtsync run`, and any program that sells, first"
    with hold_role(folder / SYNC_LOCK, "a process synchronises this register", hint=hint):
        with closing(SqliteStore(folder / STORE, create=False)) as store:
            log, identity = present_shop(store)
            digests = digests_in(read_own_rescue(rescued, identity)) if rescued is not None else set()
            with store.transaction():
                pending = _refuse_what_is_missing(log, rescued, digests)
                leaves_now = not has_left(log)
                if leaves_now:
                    log.set_state(LEFT, log.state(HEAD) or b"")
                    log.set_state(HEAD, None)
            try:
                # What another process has open goes with the file; the file alone is whole from here on.
                _fold_in_journal(store)
            except StorageError:
                if leaves_now:
                    _stay(store, log)
                raise
        return Left(identity, _move(folder, identity, now_ms), pending)


def _stay(store: SqliteStore, log: ShopLog) -> None:
    """Who is refused has not left, and goes on selling. Nothing was recorded since."""
    with suppress(StorageError), store.transaction():
        if has_left(log) and log.state(HEAD) is None:
            log.set_state(HEAD, log.state(LEFT) or None)
            log.set_state(LEFT, None)


def _fold_in_journal(store: SqliteStore) -> None:
    """Raise ``StoreBusy`` where somebody keeps the newest sales from coming into the one file,
    ``StorageError`` where there is no room: moved one after the other, the two could be torn apart.
    """
    folded = store.database.row("PRAGMA wal_checkpoint(TRUNCATE)")
    if folded is None or folded[0]:
        raise StoreBusy(
            f"another process reads {store.path}, and does not end",
            hint="end it (a backup, a viewer of databases), and repeat the command: nothing is lost",
        )


def pending_of(log: ShopLog) -> Pending:
    """What the relay of a log has not acknowledged, without what is set apart. Raises ``DamagedStore``."""
    relay = load_relay(log)
    return _counted(record for _, record in log.unacknowledged(relay.log_id if relay is not None else None))


def in_words(pending: Pending) -> str:
    """``3 tickets, 127,40 € (5 records)``."""
    tickets, records = many(pending.sales, "ticket"), many(pending.records, "record")
    return f"{tickets}, {format_euros(pending.amount_minor)} ({records})"


def _refuse_what_is_missing(log: ShopLog, rescued: Path | None, digests: set[bytes]) -> Pending:
    """What is pending and in the file; raises ``StillPending`` for what is in none."""
    if rescued is None:
        pending = pending_of(log)
        if pending.records and _has_something_to_lose(log):
            raise StillPending(f"only this register has {in_words(pending)}", hint=_ways(log))
        return Pending()
    missing = _counted(record for record in pending_records(log) if record_digest(record) not in digests)
    if missing.records:
        raise StillPending(
            f"{rescued} lacks {in_words(missing)} that only this register has", hint=_ways(log)
        )
    return _counted(pending_records(log))


def _ways(log: ShopLog) -> str:
    """What there is to do first: to synchronise takes a relay."""
    return (_WAYS if load_relay(log) is not None else _WAYS_ALONE) + _FILE


def _has_something_to_lose(log: ShopLog) -> bool:
    relay = load_relay(log)
    for _, record in log.unacknowledged(relay.log_id if relay is not None else None):
        body = body_of(record)
        if body is None or body["kind"] not in _NO_LOSS:
            return True
    return False


def _counted(records: Iterable[bytes]) -> Pending:
    pending = Pending()
    for record in records:
        pending.add(body_of(record))
    return pending


def _move(folder: Path, identity: Identity, now_ms: int) -> Path:
    target = _make_folder(folder, identity, now_ms)
    try:
        for name in _MOVED:
            if (folder / name).exists():
                os.rename(folder / name, target / name)
        for place in (target, folder):
            handle = os.open(place, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
    except OSError as error:
        raise StorageError(f"{folder} cannot be emptied: {error.strerror}", hint=_AGAIN) from error
    return target


def _make_folder(folder: Path, identity: Identity, now_ms: int) -> Path:
    day = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d")
    for number in count(1):
        name = f"left-{day}-{identity.device.hex()}" + (f"-{number}" if number > 1 else "")
        try:
            (folder / name).mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise StorageError(f"{folder / name} cannot be made: {error.strerror}", hint=_AGAIN) from error
        return folder / name
    raise AssertionError("numbers do not end")
