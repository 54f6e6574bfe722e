"""What is safe, what is not yet, why, and what to do: computed from the log, with no network.

*Pending* is computed from the log and the relay's acknowledgements alone, never from a flag that somebody
forgot to set: everything that the present relay has not said to have on its disk. A register that never
met a relay has everything pending.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from crdtsync.ids import CATALOGUE_DOCUMENT, ENTRY, OWNER_DOCUMENT, ledger_document, record_digest
from crdtsync.model.entry import SOFTWARE
from crdtsync.runtime.identity import load_clock_offset, load_relay
from crdtsync.runtime.link_trouble import LinkTrouble, load_link_trouble, load_slowed, load_unmended
from crdtsync.runtime.replica import STORE, Replica
from crdtsync.runtime.role import SYNC_LOCK, holder_of
from crdtsync.runtime.signature_checks import bad_signatures, checked_up_to
from crdtsync.runtime.writer import read_head
from crdtsync.storage.log import ShopLog
from crdtsync.storage.view_queries import ChainRow, FlagRow

if TYPE_CHECKING:
    from crdtsync.model.chain import ChainHead

State = Literal["alone", "synced", "pending", "offline", "attention"]

OFFLINE_AFTER_MS = 60_000
"""Sales that wait for longer while a process synchronises: it does not reach the relay."""

FINGERPRINTED_MAX = 1000
"""Entries of a day up to which its fingerprint is computed without being asked for: some 5 ms."""

CLOCK_OFFSET_MAX_MS = 120_000

_SIGNATURE_BYTES = 87
"""The signature and the zero byte before it, see ``model.sealed``."""


@dataclass(slots=True)
class Pending:
    """Records that only this register may have: sales and refunds with their amount, and all records."""

    sales: int = 0
    amount_minor: int = 0
    records: int = 0
    oldest_at_ms: int | None = None

    def add(self, body: dict[str, Any] | None) -> None:
        """Count one more record; of an entry, ``body`` is what it says."""
        self.records += 1
        if body is None:
            return
        at_ms = body["ts"]
        self.oldest_at_ms = at_ms if self.oldest_at_ms is None else min(at_ms, self.oldest_at_ms)
        if body["kind"] in ("sale", "refund") and body["mode"] == "live":
            self.sales += 1
            self.amount_minor += _amount(body)


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """One document: records and bytes in the log. ``fingerprint`` names what it holds: the set of its
    entries, or the content of a Yjs document. Unless all documents were asked for it is None for the latter,
    and for a very busy day.
    """

    name: str
    entries: int
    bytes: int
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """A device of the shop, and when its newest entry that is here was made."""

    device: bytes
    name: str
    role: str
    revoked: bool
    last_entry_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a register. Times are Unix milliseconds, amounts minor units.

    =============  ====================================================================================
    state          meaning
    =============  ====================================================================================
    ``alone``      this register belongs to no relay: its disk has the only copy
    ``synced``     the relay has everything on its disk
    ``pending``    something is on its way to the relay
    ``offline``    something waits, and nothing carries it to the relay at the moment
    ``attention``  a person must look: ``concerns`` says why
    =============  ====================================================================================

    ``pending`` is all of it; ``pending_own`` was recorded here, ``pending_others`` came from other registers
    and is not known to be at the relay (this register may have the only copy of a broken neighbour's sales).
    ``slowed_since_ms``: since when the relay reads what this register sends more slowly than it is sent.
    ``link_trouble``: why the last attempts to reach the relay failed, None if none did since the last
    success.
    """

    state: State
    device: bytes
    name: str
    shop_name: str
    pending: Pending
    pending_own: Pending
    pending_others: Pending
    last_ack_at_ms: int | None
    relay_url: str | None
    syncing: bool
    devices: tuple[DeviceStatus, ...]
    documents: tuple[DocumentStatus, ...]
    store_bytes: int
    clock_offset_ms: int | None
    apart: int
    held: int
    refused_by_relay: int
    log_end: int
    signatures_checked_to: int
    concerns: tuple[str, ...] = field(default=())
    link_trouble: LinkTrouble | None = None
    slowed_since_ms: int | None = None


def read_status(replica: Replica, *, all_documents: bool = False) -> Status:
    """Compute the status; O(pending + today). Views that lag a little are brought up to date."""
    replica.views.catch_up_a_little()
    relay = replica.relay
    log = replica.log
    relay_log = relay.log_id if relay is not None else None
    if relay_log is None:
        own, others = _everything(replica)
    else:
        own, others = pending_at(log, relay_log, replica.identity.device)
    apart = log.apart()
    refused = log.refusals_received(relay_log) if relay_log else []
    acknowledged = log.acknowledged(relay_log) if relay_log else None
    offset = load_clock_offset(log)
    trouble = load_link_trouble(log, relay.public_key) if relay is not None else None
    unmended = load_unmended(log) if relay is not None else []
    syncing = is_syncing(replica.folder)
    total = _sum(own, others)
    concerns = (
        *_apart_concerns(len(apart), sum(row.held for row in apart)),
        *([f"the relay did not take {len(refused)} records: {refused[0].reason}"] if refused else []),
        *_signature_concerns(log),
        *_entry_concerns(replica),
        *_clock_concerns(offset.offset_ms if offset else None),
        *([f"synchronising has stopped: {trouble.message}"] if trouble and trouble.is_over else []),
        *(f"{name} differs from the relay's, and sending it again does not mend it" for name in unmended),
    )
    return Status(
        state=_state(replica, total, syncing, bool(concerns)),
        device=replica.identity.device,
        name=replica.identity.device_name,
        shop_name=replica.identity.shop_name,
        pending=total,
        pending_own=own,
        pending_others=others,
        last_ack_at_ms=acknowledged.at_ms if acknowledged else None,
        relay_url=relay.url if relay else None,
        syncing=syncing,
        devices=_devices(replica),
        documents=tuple(_documents(replica, all_documents)),
        store_bytes=store_bytes(replica.folder),
        clock_offset_ms=offset.offset_ms if offset else None,
        apart=len(apart),
        held=sum(row.held for row in apart),
        refused_by_relay=len(refused),
        log_end=log.end.seq,
        signatures_checked_to=checked_up_to(log),
        concerns=concerns,
        link_trouble=trouble,
        slowed_since_ms=load_slowed(log) if total.records else None,
    )


def pending_at(log: ShopLog, relay_log: bytes | None, device: bytes) -> tuple[Pending, Pending]:
    """What the relay with that log has not acknowledged: recorded by this device, and by others."""
    own, others = Pending(), Pending()
    for _, record in log.unacknowledged(relay_log):
        body = _body(record)
        (own if body is None or body["till"] == device.hex() else others).add(body)
    return own, others


def presence_of(log: ShopLog, device: bytes) -> dict[str, Any]:
    """What this register tells its relay of itself, for the back office to show. O(pending)."""
    relay, offset = load_relay(log), load_clock_offset(log)
    if relay is None or relay.log_id is None:
        return {}
    own, others = pending_at(log, relay.log_id, device)
    return {
        "pending_sales": own.sales + others.sales,
        "pending_amount_minor": own.amount_minor + others.amount_minor,
        "pending_records": own.records + others.records,
        "clock_offset_ms": offset.offset_ms if offset else 0,
        "software": SOFTWARE,
        # By which the relay knows later that it has all of this. Left out where it would only change.
        **({"log_end": log.end.seq} if own.records or others.records else {}),
    }


def is_syncing(folder: Path) -> bool:
    """Whether some process holds the role of syncing this folder."""
    return holder_of(folder / SYNC_LOCK) is not None


def store_bytes(folder: Path) -> int:
    """What the store takes on disk."""
    total = 0
    for suffix in ("", "-wal"):
        try:
            total += (folder / f"{STORE}{suffix}").stat().st_size
        except FileNotFoundError:
            continue
    return total


def _everything(replica: Replica) -> tuple[Pending, Pending]:
    """Own and others' records of a register whose log no relay has: all of them.

    Totals come from the views as far as these reach, so that this costs the same at every age; what lies
    beyond is read from the log.
    """
    log, device = replica.log, replica.identity.device
    pending = {True: Pending(), False: Pending()}
    for total in replica.queries.totals():
        part = pending[total.device == device]
        part.sales += total.tickets
        part.amount_minor += total.amount
        part.oldest_at_ms = min(total.oldest_at_ms, part.oldest_at_ms or total.oldest_at_ms)
    seq = replica.tables.seq(log.shop)
    while True:
        batch = log.read(seq, bytes_max=1 << 20)
        for _, record in batch.records:
            body = _body(record)
            pending[body is None or body["till"] == device.hex()].add(body)
        if batch.to.seq == seq:
            break
        seq = batch.to.seq
    # Of other registers' records only the tickets are told apart here.
    pending[False].records = pending[False].sales
    pending[True].records = seq - pending[False].records
    return pending[True], pending[False]


def _body(record: bytes) -> dict[str, Any] | None:
    """What an entry says, None for an update. Admitted entries have all common fields."""
    if record[:1] != ENTRY:
        return None
    body: dict[str, Any] = orjson.loads(record[1:-_SIGNATURE_BYTES])
    return body


def _amount(body: dict[str, Any]) -> int:
    """What a ticket comes to; nothing where it does not say."""
    parts = (body.get("ttc"), body.get("oos", 0))
    return sum(part for part in parts if type(part) is int)


def _sum(own: Pending, others: Pending) -> Pending:
    oldest = [part.oldest_at_ms for part in (own, others) if part.oldest_at_ms is not None]
    return Pending(
        own.sales + others.sales,
        own.amount_minor + others.amount_minor,
        own.records + others.records,
        min(oldest, default=None),
    )


def _state(replica: Replica, pending: Pending, syncing: bool, needs_attention: bool) -> State:
    if needs_attention:
        return "attention"
    if replica.relay is None:
        return "alone"
    if pending.records == 0:
        return "synced"
    waited_ms = replica.clock.now_ms() - (pending.oldest_at_ms or replica.clock.now_ms())
    return "pending" if syncing and waited_ms < OFFLINE_AFTER_MS else "offline"


def _devices(replica: Replica) -> tuple[DeviceStatus, ...]:
    newest: dict[bytes, int] = {}
    for chain in replica.queries.chains():
        if chain.series is not None:
            newest[chain.device] = max(chain.at_ms, newest.get(chain.device, 0))
    certified = {row.device: row for row in replica.queries.devices()}
    devices = [
        DeviceStatus(
            device=device,
            name=(certified[device].name if device in certified else None) or device.hex()[:8],
            role=(certified[device].role if device in certified else None) or "unknown",
            revoked=device in certified and certified[device].revoked,
            last_entry_at_ms=newest.get(device),
        )
        for device in certified.keys() | newest.keys()
    ]
    # For people: ids are random, and the relay sells nothing.
    return tuple(sorted(devices, key=lambda row: (row.role == "relay", row.name.casefold(), row.device)))


def _documents(replica: Replica, all_documents: bool) -> Iterable[DocumentStatus]:
    log = replica.log
    if all_documents:
        names = [row.name for row in log.documents()]
    else:
        newest = {(chain.device, chain.day) for chain in replica.queries.chains() if chain.series is not None}
        names = [CATALOGUE_DOCUMENT, OWNER_DOCUMENT, *sorted(ledger_document(*pair) for pair in newest)]
    for name in names:
        row = log.document(name)
        if row is None:
            continue
        is_ledger = name == OWNER_DOCUMENT or name.startswith("ledger/")
        fingerprint = None
        if is_ledger and (all_documents or row.records <= FINGERPRINTED_MAX):
            records = log.document_records(name)
            fingerprint = links_fingerprint({record_digest(record) for _, record in records})
        elif all_documents and not is_ledger:
            # pycrdt is slow to import, and a status that nobody asks for documents does without it.
            from crdtsync.runtime.register_documents import fingerprint_of

            fingerprint = fingerprint_of(replica, name)
        yield DocumentStatus(name, row.records, row.records_bytes, fingerprint)


def links_fingerprint(links: set[bytes]) -> str:
    """The name of a set of links, as ``model.ledger.fingerprint``, which needs pycrdt."""
    return hashlib.sha256(b"".join(sorted(links))).hexdigest()


def _apart_concerns(apart: int, held: int) -> Iterable[str]:
    if held:
        yield f"{held} received records are held until a certificate admits them: `crdtsync quarantine list`"
    if apart - held:
        yield f"{apart - held} records were set apart as refused or damaged: `crdtsync quarantine list`"


def _signature_concerns(log: ShopLog) -> Iterable[str]:
    bad = bad_signatures(log)
    if bad:
        yield f"{len(bad)} stored entries are not signed by their author: `crdtsync verify` names them"


def _entry_concerns(replica: Replica) -> Iterable[str]:
    # Not by way of `replica.writer`: a status needs neither cryptography nor the device's key.
    head = None if replica.identity.role == "display" else read_head(replica.log)
    if head is not None:
        yield from _hole_concerns(replica, head)
    yield from _chain_concerns(replica)
    yield from _series_concerns(replica)
    newest = max((chain.day for chain in replica.queries.chains()), default="")
    yield from _flag_concerns(replica, newest if head is None else head.bd)


def _hole_concerns(replica: Replica, head: ChainHead) -> Iterable[str]:
    """Entries of the own chain that are not on the own disk: nobody else can be waited for to bring them, and
    nobody can say here whether the relay has them.
    """
    reached = missing = 0
    for run in sorted(replica.log.runs(head.chain), key=lambda run: run.lo):
        missing += max(0, run.lo - reached - 1)
        reached = max(run.hi, reached)
    missing += max(0, head.n - reached)
    if missing:
        yield f"{missing} entries of this register are missing on its own disk: `crdtsync verify` names them"


def _chain_concerns(replica: Replica) -> Iterable[str]:
    reached: dict[bytes, int] = {}
    forked = set()
    for run in replica.log.runs():
        if run.lo <= reached.get(run.chain, 0):
            forked.add(run.chain)
        reached[run.chain] = max(run.hi, reached.get(run.chain, 0))
    names = {device.device: device.name for device in replica.queries.devices()}
    writers: dict[bytes, list[ChainRow]] = {}
    for row in replica.queries.chains():
        writers.setdefault(row.chain, []).append(row)
    for chain, rows in writers.items():
        # Whose it is says its first entry.
        owner, *others = sorted(rows, key=lambda row: not row.since)
        name = names.get(owner.device) or owner.device.hex()[:8]
        if others:
            who = ", ".join(names.get(row.device) or row.device.hex()[:8] for row in others)
            yield f"{who} wrote into the chain of {name}: `crdtsync verify` names the entries"
        elif chain in forked and owner.device != replica.log.shop:  # See ``Verification.notes``.
            yield f"two versions of the register {name} exist: both are kept, `crdtsync verify` names them"


def _series_concerns(replica: Replica) -> Iterable[str]:
    """Registers that number their tickets alike: a number of one may be there twice."""
    chains: dict[str, list[ChainRow]] = {}
    for row in replica.queries.chains():
        if row.series:
            chains.setdefault(row.series, []).append(row)
    names = {device.device: device.name for device in replica.queries.devices()}
    for series, rows in sorted(chains.items()):
        if len(rows) > 1:
            who = " and ".join(names.get(row.device) or row.device.hex()[:8] for row in rows)
            yield f"{who} number their tickets in one series, {series}: a number may be there twice"


def _flag_concerns(replica: Replica, day: str) -> Iterable[str]:
    """Entries of the running day that cannot be so: shown while somebody can still do something about it."""
    by_device: dict[bytes, list[FlagRow]] = {}
    for row in replica.queries.flags(day):
        by_device.setdefault(row.device, []).append(row)
    names = {device.device: device.name for device in replica.queries.devices()} if by_device else {}
    for device, rows in by_device.items():
        first, entries = rows[0], len({row.link for row in rows})
        what = f"ticket {first.number}" if first.number else f"entry {first.n}"
        more = f" ({entries - 1} more today)" if entries > 1 else ""
        said = first.detail or "it makes no sense"
        name = names.get(device) or device.hex()[:8]
        yield f"{name}, {what}: {said}{more}: it is kept and counted as it stands"


def _clock_concerns(offset_ms: int | None) -> Iterable[str]:
    if offset_ms is not None and abs(offset_ms) > CLOCK_OFFSET_MAX_MS:
        way = "ahead of" if offset_ms > 0 else "behind"
        yield f"the clock is {span(abs(offset_ms) // 1000)} {way} the relay's: set it right"


def span(seconds: int) -> str:
    """A length of time as one says it: ``40 days``, ``12 s``."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
