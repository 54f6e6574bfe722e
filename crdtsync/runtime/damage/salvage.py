"""Making a register's store anew from the records that can still be read.

For a store that does not open, or not for selling: the head of its log, what is held of a chain, or who the
register is cannot be read, while the sales are there. They enter a new store under a new log id, so that the
relay has to confirm every one of them again; what was lost comes back from it. The damaged file is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

from crdtsync.config import RegisterConfig
from crdtsync.errors import DamagedStore, NoRegister, RecordError, StorageError, UsageError
from crdtsync.ids import ENTRY, ID_BYTES, Item, record_digest, split_update_record
from crdtsync.model.certificate import KINDS, Directory, directory_of_what_is_left
from crdtsync.model.entry import read_entry
from crdtsync.model.jet import INTEGRITY_DEFECT, build_jet
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.belonging.copies import begin_own_chain
from crdtsync.runtime.belonging.join import BEFORE, identity_of
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.admission import entry_item
from crdtsync.runtime.damage.rescue import ENROL_ANEW
from crdtsync.runtime.folder.identity import (
    HEAD,
    LEFT,
    OWNER_HEAD,
    RELAY,
    REPLACING,
    Relay,
    has_left,
    load_relay,
    present_shop,
    save_identity,
    save_relay,
)
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, private_key
from crdtsync.runtime.folder.replica import STORE, Replica
from crdtsync.runtime.folder.role import SYNC_LOCK, hold_role
from crdtsync.runtime.folder.whose import SALVAGED, SALVAGING, store_of_register
from crdtsync.runtime.syncing.address import socket_url
from crdtsync.storage.log import ShopLog
from crdtsync.storage.salvage import Wreck
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.views import ViewTables

RECORDS_AT_ONCE = 1000

_OWNERS_KINDS: Final = [f'"kind":"{kind}"'.encode() for kind in KINDS]


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of a store. ``lost``: rows and packs that could not be read; ``relay_url`` is None where
    the relay's address was lost too, or there is none.
    """

    name: str
    shop_name: str
    records: int
    lost: int
    apart: int
    relay_url: str | None
    kept_as: Path


def salvage(
    folder: Path, clock: Clock, random_bytes: RandomBytes, *, relay_url: str | None = None
) -> Salvaged:
    """Put a new store in the place of the damaged one; durable on return. O(all records).

    ``relay_url``: where the relay is, if the store does not say it any more; its key stands in the shop's
    certificates. Raises ``UsageError`` where nothing is damaged, ``NoRegister`` where nothing tells whose
    store it is, ``RoleTaken`` or ``StoreBusy`` while another process uses it, ``StorageError``.
    """
    if relay_url is not None:
        socket_url(relay_url, "")
    path, new = folder / STORE, folder / SALVAGED
    if not (folder / SALVAGING).exists():
        store_of_register(folder)
    taken = "another process synchronises this register"
    with hold_role(folder / SYNC_LOCK, taken, hint="end it, and try again"):
        _end_exchange(path, clock.now_ms())
        _refuse_what_is_whole(store_of_register(folder))
        _refuse_without_links(folder)
        key = private_key(folder / DEVICE_KEY)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{new}{suffix}").unlink(missing_ok=True)
        # Alone with the damaged store until the new one is in its place: what somebody sold into it
        # meanwhile would be lost.
        with closing(Wreck(path)) as wreck:
            with closing(SqliteStore(new)) as store:
                made = _fill(store, wreck, key, random_bytes, relay_url)
                knows_last = present_shop(store)[0].state(HEAD) is not None
            _note(folder, clock, random_bytes, made, knows_last=knows_last)
            _refuse_journal(new)
            kept_as = _exchange(path, new, clock.now_ms())
    return replace(made, kept_as=kept_as)


def _note(folder: Path, clock: Clock, random_bytes: RandomBytes, made: Salvaged, *, knows_last: bool) -> None:
    """In the new store, before anybody else can write there: that it happened stands in the register's own
    chain, where that can go on. Where nothing tells any more which number was the last, and something is
    lost, it goes on in another one: no number is given twice.
    """

    def new_store(path: Path) -> SqliteStore:
        return SqliteStore(path.with_name(SALVAGED), create=False)

    with closing(Replica(RegisterConfig(folder), clock, random_bytes, new_store)) as replica:
        if replica.identity.role != "display" and not has_left(replica.log):
            with suppress(StorageError):
                if made.lost and not knows_last:
                    with replica.store.transaction():
                        begin_own_chain(
                            replica.log, replica.identity, replica.key, clock, replica.random_bytes
                        )
                facts = {"salvaged": made.records, "lost": made.lost}
                replica.writer.write("jet", build_jet(INTEGRITY_DEFECT, facts))


def _refuse_journal(new: Path) -> None:
    """Raise ``StorageError`` where not all of the new store is in its one file: SQLite says nothing of it if
    that cannot be done as it is closed, on a full disk for instance. Without its journal it would lack what
    came last, the last number among it.
    """
    journal = Path(f"{new}-wal")
    if journal.exists() and journal.stat().st_size:
        raise StorageError(
            f"the new store could not be written whole into {new}: everything is as before",
            hint="make room on the disk, end whoever has that file open, and try again",
        )


def _refuse_what_is_whole(path: Path) -> None:
    with suppress(StorageError, NoRegister):
        with closing(SqliteStore(path, create=False)) as store:
            present_shop(store)
            if not any(True for _ in store.check()):
                raise UsageError(f"nothing in {path} is damaged", hint="`crdtsync verify` checks the rest")


def _refuse_without_links(folder: Path) -> None:
    """Raise ``StorageError`` where a file cannot have two names for a moment, which the stores need to change
    places: on a stick (FAT, exFAT), or on some shares.
    """
    probe = folder / f"{SALVAGED}.link"
    try:
        probe.unlink(missing_ok=True)
        os.link(folder / STORE, probe)
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"{folder} lies on a disk where a file cannot have two names ({error.strerror}): nothing was "
            "changed",
            hint="copy the whole folder to a disk of this machine, run `crdtsync salvage --data` on it, "
            "and go on selling from it",
        ) from error


def _fill(
    store: SqliteStore, wreck: Wreck, key: PrivateKey, random_bytes: RandomBytes, relay_url: str | None
) -> Salvaged:
    made: Salvaged | None = None
    before: ShopLog | None = None
    records = apart = 0
    numbers = wreck.shops()
    wreck.count_from(0)  # All of it is read again.
    for number in numbers:
        # The last one is the shop that it works for. Where nothing tells who it is there, it must not go on
        # as who it was before: the numbers that it gave since would be given again.
        made, (directory, owners) = None, _directory(wreck, number)
        if directory is None:
            continue
        certificates = [one for one in directory.certificates() if one.public == key.public]
        log, count = _append_all(store, wreck, number, directory.shop_id, owners, random_bytes)
        records += count
        with store.transaction():
            apart += _carry_apart(store, wreck, number, log)
            if not certificates:
                continue
            identity = identity_of(
                directory.certificate(certificates[-1].device) or certificates[-1], directory
            )
            if before is not None:  # It joined this shop later: for the one before it works no longer.
                save_identity(before, None)
            save_identity(log, identity)
            before = log
            relay = _save_small_state(log, wreck, number, directory, relay_url)
            ViewTables(store.database).prepare()
        made = Salvaged(
            identity.device_name, identity.shop_name, 0, 0, 0, relay.url if relay else None, Path()
        )
    if made is None:
        raise NoRegister("nothing that can be read says whose store this is", hint=ENROL_ANEW)
    return replace(made, records=records, lost=wreck.lost, apart=apart)


def _directory(wreck: Wreck, number: int) -> tuple[Directory | None, list[bytes]]:
    """Who belongs to the shop of these records, whose id follows from its owner's first entry; and the
    owner's records, in the order of his chain. Without the first one none of them says anything.
    """
    lost = wreck.lost
    found = [read_entry(record[1:]) for record in wreck.records(number) if _is_owners(record)]
    wreck.count_from(lost)  # They are counted where all of them are read.
    entries = sorted(found, key=lambda entry: entry.facts.n)
    owners = [entry for entry in entries if entry.kind == "owner"]
    if not owners:
        return None, []
    return directory_of_what_is_left(owners[0].author, entries), [ENTRY + entry.sealed for entry in entries]


def _is_owners(record: bytes) -> bool:
    return record[:1] == ENTRY and any(kind in record for kind in _OWNERS_KINDS)


def _append_all(
    store: SqliteStore,
    wreck: Wreck,
    number: int,
    shop: bytes,
    owners: list[bytes],
    random_bytes: RandomBytes,
) -> tuple[ShopLog, int]:
    """The owner's records first: what is found on pages to which nothing leads comes in any order."""
    with store.transaction():
        log = store.create_shop(shop, random_bytes(ID_BYTES))
    others = (record for record in wreck.records(number) if not _is_owners(record))
    records, count = chain(owners, others), 0
    while part := list(islice(records, RECORDS_AT_ONCE)):
        with store.transaction():
            for item, request_id in _items(wreck, part):
                seq = log.append(item)
                count += seq is not None
                if request_id is not None and seq is not None:
                    log.set_request(request_id, item.digest, seq)
    return log, count


def _items(wreck: Wreck, records: list[bytes]) -> Iterator[tuple[Item, str | None]]:
    """Records as the log takes them, each entry with the request that it was made for."""
    for record in records:
        try:
            if record[:1] == ENTRY:
                entry = read_entry(record[1:])
                request_id = entry.body.get("req")
                yield entry_item(entry, record), request_id if isinstance(request_id, str) else None
            else:
                document, _ = split_update_record(record)
                yield Item(record, document, record_digest(record)), None
        except RecordError:
            wreck.lose()


def _carry_apart(store: SqliteStore, wreck: Wreck, number: int, log: ShopLog) -> int:
    found = store.database.row("SELECT no FROM shop WHERE id = ?", (log.shop,))
    return wreck.carry_apart(number, store.database, found[0]) if found is not None else 0


def _save_small_state(
    log: ShopLog, wreck: Wreck, number: int, directory: Directory, relay_url: str | None
) -> Relay | None:
    """Where that is whole: the end of the own chain, so that no number is given again, that it has left the
    shop, the relay, and which lost register it replaces.
    """
    for key in (HEAD, LEFT, OWNER_HEAD, RELAY, BEFORE, REPLACING):
        value = wreck.state(number, key)
        if value is not None:
            log.set_state(key, value)
    try:
        relay = load_relay(log)
    except DamagedStore:
        relay = None
    if relay_url is not None:
        keys = [one.public for one in directory.certificates() if one.role == "relay"]
        if relay is None and not keys:
            raise UsageError("no certificate of a relay can be read: its key is not known")
        relay = Relay(relay_url, relay.public_key if relay is not None else keys[-1])
    save_relay(log, relay)
    return relay


def _exchange(path: Path, new: Path, now_ms: int) -> Path:
    """The new store takes the place of the old one, which keeps its bytes under another name.

    Two files cannot change places at once, and an old store without its journal lacks its newest sales, as a
    new one with that of another would be spoilt. So between the two there is none: whoever is interrupted
    there is told to go on (``refuse_half_salvaged``), and finds both again (``_end_exchange``).
    """
    old, wal = path.with_name(SALVAGING), Path(f"{path}-wal")
    if wal.exists() and wal.stat().st_size:  # An empty journal is the trace of who only looked.
        os.link(wal, f"{old}-wal")
    os.link(path, old)
    _sync(path.parent)
    os.unlink(path)
    for beside in (wal, Path(f"{path}-shm")):
        beside.unlink(missing_ok=True)
    _sync(path.parent)
    os.rename(new, path)
    _sync(path.parent)
    return _keep(old, now_ms)


def _end_exchange(path: Path, now_ms: int) -> None:
    """Where an exchange was interrupted: before there was no store, in the midst of it, or after there was
    the new one.
    """
    old = path.with_name(SALVAGING)
    if not old.exists():
        Path(f"{old}-wal").unlink(missing_ok=True)  # Not begun, or put back: it lies beside its store too.
    elif not path.exists():
        # The journal first: with the store nobody is told any more to go on.
        wal = Path(f"{path}-wal")
        wal.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            os.link(f"{old}-wal", wal)
        _sync(path.parent)
        os.rename(old, path)
        _sync(path.parent)
        Path(f"{old}-wal").unlink(missing_ok=True)
    elif path.samefile(old):
        os.unlink(old)
        Path(f"{old}-wal").unlink(missing_ok=True)
    else:
        _keep(old, now_ms)


def _keep(old: Path, now_ms: int) -> Path:
    """The damaged store under the name that it keeps, with its journal. Interrupted, it may have two."""
    kept_as = _path_of_kept(old.parent, now_ms)
    with suppress(FileNotFoundError):
        os.link(f"{old}-wal", f"{kept_as}-wal")
    os.link(old, kept_as)
    _sync(old.parent)
    Path(f"{old}-wal").unlink(missing_ok=True)
    os.unlink(old)
    return kept_as


def _path_of_kept(folder: Path, now_ms: int) -> Path:
    """A name for a damaged store that none has yet."""
    first = folder / f"{STORE}.damaged-{now_ms // 1000}"
    others = (first.with_name(f"{first.name}-{number}") for number in range(2, 1 << 30))
    free = (path for path in chain([first], others) if not (path.exists() or Path(f"{path}-wal").exists()))
    return next(free)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
