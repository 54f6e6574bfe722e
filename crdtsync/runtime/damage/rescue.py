"""Rescuing what only this register has: everything that no relay has acknowledged goes into one file.

It is read beside a running till, from a disk that cannot be written, and from a store that is damaged: then
with what can still be read, and what cannot is named. The file is signed by the device, because Yjs bytes
bear no signature of their own; entries do. The relay that takes it judges everything as if a connection
brought it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

from crdtsync.errors import (
    CrdtsyncError,
    DamagedStore,
    InvalidRescue,
    NoRegister,
    NotAStore,
    RecordError,
)
from crdtsync.ids import ENTRY, OWNER_DOCUMENT, record_digest
from crdtsync.model.admission import signature_holds
from crdtsync.model.certificate import Directory, directory_of_what_is_left
from crdtsync.model.chain import ChainHead
from crdtsync.model.entry import SOFTWARE, Entry, is_owner_kind, read_entry
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.runtime.folder.identity import HEAD, IDENTITY, Identity, load_relay, present_shop, read_identity
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, private_key
from crdtsync.runtime.folder.whose import store_of_register
from crdtsync.runtime.register.status import Pending
from crdtsync.storage.log import ShopLog
from crdtsync.storage.remains import Remains
from crdtsync.storage.rescue_file import CERTIFICATES, RescueFile, RescueWriter, read_rescue, rescued_records
from crdtsync.storage.sqlite import SqliteStore

ENROL_ANEW: Final = (
    "keep the folder, and enrol a register in an empty one, with a code of `crdtsync-relay restore`: what "
    "the relay has comes back"
)
"""What to do where nothing can be read that tells whose store it was."""

PURPOSE: Final = "rescue"
"""What a device signs: ``crdtsync/rescue/v1`` 0x00 and the SHA-256 of the file."""


_CONTRADICTIONS: Final = (LookupError, ValueError, TypeError, AttributeError, AssertionError)
"""What reading ends with where damage has made tables contradict one another in ways that nothing checks."""


@dataclass(slots=True)
class Rescued:
    """What a file holds. ``pending``: tickets, what they come to, and all records, certificates apart.
    ``unreadable``: what could not be read. ``is_signed``: the device's key was there.
    """

    file: Path
    bytes: int = 0
    pending: Pending = field(default_factory=Pending)
    certificates: int = 0
    unreadable: list[str] = field(default_factory=list)
    is_signed: bool = False


@dataclass(slots=True)
class _Source:
    """Where the records come from: an identity, as far as it is known, and the records themselves."""

    identity: Identity | None
    shop: bytes
    log_id: bytes
    certificates: list[bytes]
    records: Iterator[bytes]
    unreadable: list[str]


def rescue(folder: Path, file: Path, now_ms: int) -> Rescued:
    """Write everything of the register in ``folder`` that its relay has not acknowledged into a new file:
    its own entries, others' that are known only here, Yjs records, and what is set apart. Durable on return;
    nothing in the folder is changed.

    Raises ``NoRegister``, ``InvalidRescue`` where there is such a file, ``StorageError`` where it cannot be
    written, or nothing at all can be read.
    """
    path = store_of_register(folder)
    try:
        with closing(SqliteStore(path, read_only=True, create=False)) as store:
            log, identity = present_shop(store)
            if identity.shop != log.shop:  # A relay would look for that shop in vain.
                raise DamagedStore("the store says another shop than its register is of")
            certificates = [record for _, record in log.document_records(OWNER_DOCUMENT)]
            records, missing = pending_records(log), _missing(log, identity)
            source = _Source(identity, log.shop, log.log_id, certificates, records, missing)
            return _write(source, file, folder, now_ms)
    except (DamagedStore, NoRegister, NotAStore, RecordError, *_CONTRADICTIONS):
        with closing(Remains(path)) as remains:
            return _write(_salvaged(remains), file, folder, now_ms)


def pending_records(log: ShopLog) -> Iterator[bytes]:
    """Everything that the relay of a log has not acknowledged, and what is set apart here with its bytes;
    each once. Raises ``DamagedStore``.
    """
    relay = load_relay(log)
    pending = log.unacknowledged(relay.log_id if relay is not None else None)
    seen: set[bytes] = set()
    for record in chain((record for _, record in pending), _apart(log)):
        digest = record_digest(record)
        if digest not in seen:
            seen.add(digest)
            yield record


def _apart(log: ShopLog) -> Iterator[bytes]:
    """What is set apart; of what was found damaged, entries that are genuine all the same and came back from
    nobody.
    """
    directory: Directory | None = None
    for one in log.apart():
        if one.code != "damaged":
            if one.record:
                yield one.record
            continue
        entry = _entry(one.record)
        if entry is None or log.links_at(entry.facts.chain, entry.facts.n):
            continue
        if directory is None:
            directory = Directory(log.shop)
            for _, record in log.document_records(OWNER_DOCUMENT):
                directory = directory.with_entry(read_entry(record[1:]), admitted=True)
        if signature_holds(entry, directory):
            yield one.record


def _missing(log: ShopLog, identity: Identity) -> list[str]:
    """Entries of this register that are not on its disk: they were damaged, and came back from nobody."""
    missing = []
    for run in log.runs():
        if not any(read_entry(sealed).author == identity.device for sealed in log.entry(run.chain, run.hi)):
            continue
        below = [one.hi for one in log.runs(run.chain) if one.hi < run.lo]
        if run.lo > max(below, default=0) + 1:
            missing.append(f"of this register its entries {max(below, default=0) + 1} to {run.lo - 1}")
    return missing


def _write(source: _Source, file: Path, folder: Path, now_ms: int) -> Rescued:
    made = Rescued(file, unreadable=source.unreadable)
    writer = RescueWriter(file)
    try:
        for record in source.certificates:
            writer.add(record, CERTIFICATES)
            made.certificates += 1
        for record in source.records:
            writer.add(record)
            made.pending.add(body_of(record))
        key = _key(folder, source, made)
        footer = _footer(source, made, now_ms)
        sign = partial(sign_with_purpose, key, PURPOSE) if key is not None else None
        made.bytes = writer.finish(footer, sign)
    finally:
        writer.give_up()
    return made


def body_of(record: bytes) -> dict[str, Any] | None:
    """What an entry says, None for anything else."""
    if record[:1] != ENTRY:
        return None
    try:
        return read_entry(record[1:]).body
    except RecordError:
        return None


def _key(folder: Path, source: _Source, made: Rescued) -> PrivateKey | None:
    try:
        key = private_key(folder / DEVICE_KEY)
    except CrdtsyncError as error:
        made.unreadable.append(f"the device's key, so that the file is not signed: {error}")
        return None
    if source.identity is not None and key.public != source.identity.public_key:
        made.unreadable.append("the device's own key: another one lies there, so that the file is not signed")
        return None
    made.is_signed = True
    return key


def _footer(source: _Source, made: Rescued, now_ms: int) -> dict[str, Any]:
    identity = source.identity
    return {
        "shop": source.shop.hex(),
        "shop_name": identity.shop_name if identity else "",
        "device": identity.device.hex() if identity else "",
        "name": identity.device_name if identity else "",
        "log": source.log_id.hex(),
        "made_at_ms": now_ms,
        "software": SOFTWARE,
        "records": made.pending.records,
        "tickets": made.pending.sales,
        "amount_minor": made.pending.amount_minor,
        "unreadable": len(made.unreadable),
    }


# -- a damaged store -----------------------------------------------------------------------------------------


def _salvaged(remains: Remains) -> _Source:
    """Everything that can be read: what was acknowledged cannot be told from a store that is damaged, and a
    relay drops what it has.
    """
    found = [(no, shop, _identity(remains.state(no, IDENTITY))) for no, shop in remains.shops()]
    if not found:
        raise NoRegister("nothing in the store tells which shop it is of", hint=ENROL_ANEW)
    no, named, identity = next((one for one in found if one[2] is not None), found[0])
    whole: dict[bytes, bytes] = {}
    doubtful: list[bytes] = []
    for _, record, is_whole in remains.records(no):
        if is_whole:
            whole.setdefault(record_digest(record), record)
        else:
            doubtful.append(record)
    entries = list(filter(None, map(_entry, [*whole.values(), *doubtful])))
    shop = _shop(named, identity, entries)
    directory = directory_of_what_is_left(shop, entries)
    for record in doubtful:
        entry = _entry(record)
        # What its device signed is what it wrote, whatever the checksum says. Yjs bytes say nothing.
        if entry is not None and signature_holds(entry, directory):
            whole.setdefault(entry.link, record)
    _name_what_the_head_knows(remains, no, whole)
    certificates = [record for record in whole.values() if _is_owners(record)]
    others = [record for record in whole.values() if not _is_owners(record)]
    return _Source(identity, shop, b"", certificates, iter(others), remains.unreadable)


def _shop(named: bytes | None, identity: Identity | None, entries: list[Entry]) -> bytes:
    """Whose records they are: as the register knows, as the store says, or as the owner signed. Raises
    ``NoRegister``.
    """
    owners = [entry.author for entry in entries if entry.kind == "owner"]
    shop = identity.shop if identity is not None else named or next(iter(owners), None)
    if shop is None:
        raise NoRegister("nothing in the store tells which shop it is of", hint=ENROL_ANEW)
    return shop


def _name_what_the_head_knows(remains: Remains, no: int, whole: dict[bytes, bytes]) -> None:
    """The head of the register's own chain is written with every entry: what lies up to it was there."""
    data = remains.state(no, HEAD)
    if data is None:
        return
    try:
        head = ChainHead.from_bytes(data)
    except DamagedStore:
        return
    entries = (_entry(record) for record in whole.values())
    last = max((one.facts.n for one in entries if one and one.facts.chain == head.chain), default=0)
    if last < head.n:
        remains.unreadable.append(f"of this register its entries {last + 1} to {head.n}")


def _identity(data: bytes | None) -> Identity | None:
    try:
        return None if data is None else read_identity(data)
    except DamagedStore:
        return None


def _entry(record: bytes) -> Entry | None:
    if record[:1] != ENTRY:
        return None
    try:
        return read_entry(record[1:])
    except RecordError:
        return None


def _is_owners(record: bytes) -> bool:
    entry = _entry(record)
    return entry is not None and is_owner_kind(entry.kind)


# -- looking into a file -------------------------------------------------------------------------------------


def digests_in(rescue_file: RescueFile) -> set[bytes]:
    """The digests of all records in a file. Raises ``InvalidRescue``."""
    return {record_digest(record) for _, rows in rescued_records(rescue_file) for _, record in rows}


def read_own_rescue(file: Path, identity: Identity) -> RescueFile:
    """A whole file that was made of this register. Raises ``InvalidRescue``."""
    found = read_rescue(file)
    if (found.footer.get("shop"), found.footer.get("device")) != (identity.shop.hex(), identity.device.hex()):
        raise InvalidRescue(
            f"{file} was made of another register",
            hint="write one of this register with `crdtsync rescue FILE`",
        )
    return found
