"""A shop goes from one relay to another: exported into a file, imported there, erased here.

An export is a file as ``backup_file`` writes it, with the records of one shop instead of tables; repeated to
the same file, only what is new is added. An import judges every record as if a device had brought it, and
verifies every signature, so that nobody has to trust the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgpack

from crdtsync.errors import DamagedStore, NotAStore, NotPermitted, SetupError, StillPending
from crdtsync.ids import ENTRY, ID_BYTES, Item, record_digest
from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.runtime.belonging.revoked import in_log, other_version
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.committing.admission import Admission, Rejection
from crdtsync.runtime.folder.keyfile import write_key
from crdtsync.runtime.folder.role import hold_role
from crdtsync.storage.log import DAMAGED, Refusal, ShopLog, Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.backups.file import BackupFile, BackupWriter
from crdtsync_server.backups.keys import sealed_keys, unsealed_keys
from crdtsync_server.backups.restored import begin_generation
from crdtsync_server.dashboard.database import erase_office
from crdtsync_server.folder import BACKUP_LOCK, DataFolder
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.owner import OwnerChain, owner_item
from crdtsync_server.shops.waiting import waiting, write_waiting

PIECE_ROWS: Final = 256
BATCH_BYTES: Final = 4 << 20

Row = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that is on the disk: the log up to record ``log_end``, and ``apart`` records kept apart."""

    log_end: int
    apart: int
    has_keys: bool
    written_bytes: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought. ``records`` are new in the log; ``not_admitted`` are kept apart with their
    reasons. ``is_certified``: the owner's key has certified this relay; otherwise that waits for it.
    """

    shop: bytes
    name: str
    records: int
    not_admitted: int
    is_certified: bool


def export_shop(
    folder: DataFolder,
    shop: bytes,
    path: Path,
    *,
    passphrase: bytes | None = None,
    clock: Clock | None = None,
    random: RandomBytes = system_random,
) -> Exported:
    """Bring what is new of a shop into ``path``, beside whoever serves it; durable on return.
    ``passphrase``: the shop's owner key too, sealed with it. Raises as ``backup.back_up``; then the file is
    as good as before.
    """
    clock = clock or SystemClock()
    with ExitStack() as held:
        held.enter_context(
            hold_role(folder.root / BACKUP_LOCK, f"{folder.root} is being backed up", hint="wait for that")
        )
        before = held.enter_context(closing(BackupFile(path))) if path.exists() else None
        known = _export_of(before, shop) if before is not None and before.manifest is not None else None
        store = held.enter_context(closing(SqliteStore(folder.store, read_only=True, create=False)))
        held.enter_context(store.database.snapshot())
        log = store.shop(shop)
        writer = BackupWriter(path, before if known is not None else None)
        try:
            pieces = [writer.add(msgpack.packb(rows)) for rows in _pieces(log)]
            apart, end = log.apart(), log.end
            pieces_apart = [
                writer.add(msgpack.packb([row.record, row.code, row.reason, row.held, row.at_ms]))
                for row in apart
            ]
            keys = sealed_keys(folder.keys, passphrase, known, random, only=shop.hex())
            manifest = {
                "format": 1,
                "made_at_ms": clock.now_ms(),
                "relay": None,
                "shop": shop,
                "log": log.log_id,
                "log_end": [end.seq, end.h],
                "keys": keys,
                "databases": {
                    "shop": {"tables": {"records": {"pieces": pieces}, "apart": {"pieces": pieces_apart}}}
                },
            }
            writer.finish(manifest)
        except BaseException:
            writer.abandon()
            raise
    return Exported(end.seq, len(apart), keys is not None, writer.written_bytes, path.stat().st_size)


def import_shop(
    access: Access,
    store: Store,
    path: Path,
    *,
    passphrase: bytes | None = None,
    random: RandomBytes = system_random,
) -> Imported:
    """Take a shop in from an export; durable on return. It can be repeated, also after an interruption, and
    with a newer export. The log here has an id of its own. Raises ``NotAStore``, ``DamagedStore``,
    ``SetupError``.
    """
    with closing(BackupFile(path)) as file:
        manifest = _export_of(file, None)
        shop: bytes = manifest["shop"]
        keys = unsealed_keys(manifest, passphrase) if passphrase is not None else {}
        with store.transaction():
            is_new = shop not in store.shops()
            log = store.create_shop(shop, random(ID_BYTES))
            if is_new:
                begin_generation(log, random, access.clock.now_ms())
        admission, taken = Admission(shop), 0
        tables = manifest["databases"]["shop"]["tables"]
        for digest in tables["records"]["pieces"]:
            rows: list[Row] = [tuple(row) for row in msgpack.unpackb(file.piece(digest))]
            taken += _take(store, log, admission, rows, manifest["log"], access.clock.now_ms())
        for digest in tables["apart"]["pieces"]:
            row = msgpack.unpackb(file.piece(digest))
            taken += _take_apart(store, log, admission, row, manifest["log"], access.clock.now_ms())
    for name, key in keys.items():
        if not (access.keys.folder / name).exists():
            write_key(access.keys.folder / name, key)
    access.index_shops(store)
    access.moved.note(shop, None)
    is_certified = certify_relay(access, store, shop)
    return Imported(shop, OwnerChain.read(log).directory.shop_name, taken, len(log.apart()), is_certified)


def erase_shop(
    access: Access, folder: DataFolder, shop: bytes, *, exported: Path | None, told: str
) -> Path | None:
    """Erase a shop from this relay, which must not be served; durable on return. ``exported``: an export that
    holds everything; None: whoever calls has asked a person. ``told``: what its registers are told. Where
    the owner's key of the shop is now, if it was here. It can be repeated after an interruption.

    Raises ``RoleTaken``, ``StillPending`` (the export lacks something), ``NotAStore``, ``StorageError``.
    """
    with ExitStack() as held:
        held.enter_context(folder.serving())
        store = held.enter_context(closing(SqliteStore(folder.store, create=False)))
        if shop in store.shops() and exported is not None:
            _check_holds_all(store.shop(shop), exported)
        # First what its registers are told: a relay that was interrupted here still has all of it.
        access.moved.note(shop, told)
        kept = access.keys.retire_owner_keys(shop)
        erase_office(folder, shop)
        if shop in store.shops():
            with store.transaction():
                store.erase_shop(shop)
        store.database.write("VACUUM")
        store.database.write("PRAGMA wal_checkpoint(TRUNCATE)")
        # Last, so that whoever was interrupted finds it by its name, and nothing is left in the file then.
        access.moved.forget(shop)
    return kept


def _check_holds_all(log: ShopLog, exported: Path) -> None:
    with closing(BackupFile(exported)) as file:
        manifest = _export_of(file, log.shop)
        file.check()
    apart = len(manifest["databases"]["shop"]["tables"]["apart"]["pieces"])
    if (manifest["log"], manifest["log_end"], apart) != (
        log.log_id,
        [log.end.seq, log.end.h],
        len(log.apart()),
    ):
        raise StillPending(
            f"{exported} does not hold everything that this relay has of the shop",
            hint="export it once more while the relay is stopped",
        )


def _export_of(file: BackupFile, shop: bytes | None) -> dict[str, Any]:
    manifest = file.manifest
    if manifest is None:
        raise DamagedStore(f"there is no whole export in {file.path}", hint="export the shop again")
    if "shop" not in manifest:
        raise NotAStore(f"{file.path} is the backup of a relay, not the export of a shop")
    if shop is not None and manifest["shop"] != shop:
        raise SetupError(f"{file.path} is the export of another shop", hint="name another file")
    return manifest


def _pieces(log: ShopLog) -> Iterator[list[Row]]:
    """All records, in pieces that end at fixed numbers, so that a longer log has the same ones."""
    after, rows = 0, list[Row]()
    while after < log.end.seq:
        batch = log.read(after, bytes_max=BATCH_BYTES)
        for row in batch.records:
            if rows and row[0] // PIECE_ROWS != rows[-1][0] // PIECE_ROWS:
                yield rows
                rows = []
            rows.append(row)
        after = batch.to.seq
    if rows:
        yield rows


def _take(
    store: Store, log: ShopLog, admission: Admission, rows: list[Row], log_id: bytes, now_ms: int
) -> int:
    taken, tops = 0, dict[bytes, int]()
    with store.transaction():
        admission.is_stale = True
        admission.refresh(log)
        judged = admission.judge([record for _, record in rows], "relay")
        for (seq, record), alone in zip(rows, judged, strict=True):
            # What was on hold on the relay before is on hold here, and what is here stays.
            if isinstance(alone, Item):
                verdict = other_version(log, alone, admission.directory, tops) or alone
            else:
                verdict = in_log(log, record, alone, admission.item_of) or alone
            if isinstance(verdict, Item):
                taken += log.append(verdict) is not None
            else:
                log.refuse(log_id, _refusal(seq, verdict), record, now_ms)
    return taken


def _take_apart(
    store: Store, log: ShopLog, admission: Admission, row: list[Any], log_id: bytes, now_ms: int
) -> int:
    """Judge again what the relay before kept apart, or keep it as it is. An entry bears a signature. Of a
    change nothing tells here who brought it, and whether it is what somebody wrote if it was damaged.
    """
    record, code, reason, held, at_ms = row
    if record[:1] == ENTRY or code not in (NotPermitted.code, DAMAGED):
        return _take(store, log, admission, [(0, record)], log_id, now_ms)
    with store.transaction():
        log.refuse(log_id, Refusal(0, record_digest(record), code, reason, held), record, at_ms)
    return 0


def _refusal(seq: int, verdict: Rejection) -> Refusal:
    return Refusal(seq, verdict.digest, verdict.code, verdict.reason, verdict.held)


def certify_relay(access: Access, store: Store, shop: bytes) -> bool:
    """Let the owner certify this relay, now or, where his key is kept elsewhere, with his next signatures."""
    log = store.shop(shop)
    with store.transaction():
        chain = OwnerChain.read(log)
        known = chain.directory.certificate(access.relay_device)
        if known is not None and known.public == access.relay_key.public:
            return True
        relay = Certificate(access.relay_device, "relay", "relay", access.relay_key.public, shop)
        payload = build_certify(relay)
        if access.keys.has_owner_key(shop):
            key = access.keys.owner_key_named(shop, chain.directory.owner_public)
            log.append(owner_item(chain.next_entry("certify", payload, key, access.clock)))
            return True
        code = f"relay {access.relay_device.hex()}"
        others = [one for one in waiting(log) if one["code"] != code]
        device, public = access.relay_device.hex(), access.relay_key.public.hex()
        write_waiting(log, [*others, {"code": code, "device": device, "public": public, "payload": payload}])
        return False
