"""What is safe, what is not yet, why, and what to do: computed from the log, with no network.

*Pending* is computed from the log and the relay's acknowledgements alone, never from a flag that somebody
forgot to set: everything that the present relay has not said to have on its disk. A register that never
met a relay has everything pending.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from crdtsync.ids import CATALOGUE_DOCUMENT, ENTRY, OWNER_DOCUMENT, ledger_document
from crdtsync.model.entry import SOFTWARE
from crdtsync.model.money import AMOUNT_MINOR_MAX
from crdtsync.model.naming import names_apart, short_id
from crdtsync.runtime.committing.signature_checks import checked_up_to
from crdtsync.runtime.damage.not_back import is_back, not_back
from crdtsync.runtime.folder.identity import REPLACING, ClockOffset, load_clock_offset, load_relay
from crdtsync.runtime.folder.replica import STORE, Replica
from crdtsync.runtime.folder.role import SYNC_LOCK, holder_of
from crdtsync.runtime.register.concerns import (
    apart_concerns,
    clock_concerns,
    copied_told,
    entry_concerns,
    refused_concerns,
    signature_concerns,
    stopped_concerns,
    unmended_concerns,
)
from crdtsync.runtime.syncing.link_trouble import (
    LinkTrouble,
    load_link_trouble,
    load_relay_put_back,
    load_slowed,
    load_unmended,
)
from crdtsync.storage.log import ShopLog

if TYPE_CHECKING:
    from crdtsync.runtime.belonging.copies import CopiedTold
    from crdtsync.runtime.belonging.replacing import CameBack
    from crdtsync.runtime.register.document_status import DocumentStatus
    from crdtsync.runtime.syncing.progress import HistoryLeft

State = Literal["alone", "synced", "pending", "offline", "attention"]

OFFLINE_AFTER_MS = 60_000
"""Sales that wait for longer while a process synchronises: it does not reach the relay."""

FINGERPRINTED_MAX = 1000
"""Entries of a day up to which its fingerprint is computed without being asked for: some 5 ms."""

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
    ``history_left``: what of the time before this register came is still on its way, None if nothing is;
    ``came_back``: how much of the lost register that this one replaces, None if it replaces none.
    ``relay_put_back_at_ms``: when it was last noticed that the relay holds less than it had confirmed.
    ``clock_measured``: ``clock_offset_ms``, and when it was measured: what it says now, it knows itself.
    ``damaged_own``: how many of ``pending_own`` were damaged on this disk, and nobody has brought them back.
    ``apart_back``: how many of ``apart`` were damaged on this disk, and are here again from another's copy.
    ``on_hold_at_relay``: how many of ``refused_by_relay`` are kept there until a person decides.
    ``copied``: registers whose data was put back or copied, and that must be enrolled again.
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
    on_hold_at_relay: int
    log_end: int
    signatures_checked_to: int
    concerns: tuple[str, ...] = field(default=())
    link_trouble: LinkTrouble | None = None
    slowed_since_ms: int | None = None
    history_left: HistoryLeft | None = None
    came_back: CameBack | None = None
    copied: tuple[CopiedTold, ...] = ()
    relay_put_back_at_ms: int | None = None
    clock_measured: ClockOffset | None = None
    damaged_own: int = 0
    apart_back: int = 0


def read_status(replica: Replica, *, all_documents: bool = False, with_documents: bool = True) -> Status:
    """Compute the status; O(pending + today). Views that lag a little are brought up to date, and those that
    hold nothing yet begin: they name the devices. A whole past is filed by others.
    """
    replica.views.catch_up_a_little(lag_rows_max=replica.lag_rows_max)
    relay, log = replica.relay, replica.log
    relay_log = relay.log_id if relay is not None else None
    own, others = _pending(replica, relay_log)
    apart = log.apart()
    back = sum(is_back(log, row) for row in apart)
    refused = log.refusals_received(relay_log) if relay_log else []
    acknowledged = log.acknowledged(relay_log) if relay_log else None
    offset = load_clock_offset(log)
    trouble = load_link_trouble(log, relay.public_key) if relay is not None else None
    unmended = load_unmended(log) if relay is not None else []
    syncing = is_syncing(replica.folder)
    total = _sum(own, others)
    copied = copied_told(replica)
    held, now_ms = sum(row.held for row in apart), replica.clock.now_ms()
    concerns = (
        *apart_concerns(len(apart) - back, held),
        *refused_concerns(refused),
        *signature_concerns(log),
        *(one.says for one in copied),
        *entry_concerns(replica),
        *clock_concerns(offset.offset_at(now_ms) if offset else None),
        *stopped_concerns(trouble),
        *unmended_concerns(unmended),
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
        documents=_documents(replica, all_documents=all_documents, with_documents=with_documents),
        store_bytes=store_bytes(replica.folder),
        clock_offset_ms=offset.offset_ms if offset else None,
        apart=len(apart),
        held=held,
        refused_by_relay=len(refused),
        on_hold_at_relay=sum(one.code == "revoked" for one in refused),
        log_end=log.end.seq,
        signatures_checked_to=checked_up_to(log),
        concerns=concerns,
        link_trouble=trouble,
        slowed_since_ms=load_slowed(log) if total.records else None,
        history_left=_history_left(log, relay_log, now_ms) if relay_log else None,
        came_back=_came_back(replica),
        copied=copied,
        relay_put_back_at_ms=load_relay_put_back(log) if relay is not None else None,
        clock_measured=offset,
        apart_back=back,
        damaged_own=len(not_back(log)) if relay_log is not None else 0,
    )


def _pending(replica: Replica, relay_log: bytes | None) -> tuple[Pending, Pending]:
    if relay_log is None:
        return _everything(replica)
    return pending_at(replica.log, relay_log, replica.identity.device)


def pending_at(log: ShopLog, relay_log: bytes | None, device: bytes) -> tuple[Pending, Pending]:
    """What the relay with that log has not acknowledged: recorded by this device, and by others."""
    own, others, _ = _pending_with_own_entries(log, relay_log, device)
    return own, others


def _pending_with_own_entries(
    log: ShopLog, relay_log: bytes | None, device: bytes
) -> tuple[Pending, Pending, list[dict[str, Any]]]:
    """As ``pending_at``, and the bodies of this device's own entries among it, but the first of a chain."""
    own, others, entries, till = Pending(), Pending(), list[dict[str, Any]](), device.hex()
    for _, record in log.unacknowledged(relay_log):
        body = _body(record)
        if body is not None and body["till"] != till:
            others.add(body)
            continue
        own.add(body)
        if body is not None and "chain" in body:
            entries.append(body)
    for body in not_back(log):
        own.add(body)
    return own, others, entries


def presence_of(log: ShopLog, device: bytes) -> dict[str, Any]:
    """What this register tells its relay of itself, for the back office to show. O(pending)."""
    relay, offset = load_relay(log), load_clock_offset(log)
    if relay is None or relay.log_id is None:
        return {}
    own, others, entries = _pending_with_own_entries(log, relay.log_id, device)
    return {
        **(_own_presence(entries) if own.sales else {}),
        "pending_sales": own.sales + others.sales,
        "pending_amount_minor": own.amount_minor + others.amount_minor,
        "pending_records": own.records + others.records,
        "clock_offset_ms": offset.offset_ms if offset else 0,
        "software": SOFTWARE,
        # By which the relay knows later that it has all of this. Left out where it would only change.
        **({"log_end": log.end.seq} if own.records or others.records else {}),
    }


def _own_presence(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Which entries of its own the relay has not, from the last one backwards, and what they come to: if this
    register is never heard of again, so much is known to be missing. What the relay refused it has seen.
    """
    tail = Pending()
    last: dict[str, Any] | None = None
    for body in reversed(entries):
        if last is not None and (body["chain"], body["seq"]) != (last["chain"], last["seq"] - 1):
            break
        tail.add(body)
        last = body
    if last is None:
        return {}
    return {
        "own_sales": tail.sales,
        "own_amount_minor": tail.amount_minor,
        "own_chain": last["chain"],
        "own_from": last["seq"],
        "own_to": last["seq"] + tail.records - 1,
    }


def _came_back(replica: Replica) -> CameBack | None:
    if replica.log.state(REPLACING) is None:
        return None  # Most registers replace none: nothing is imported for it.
    from crdtsync.runtime.belonging.replacing import came_back

    return came_back(replica)


def _history_left(log: ShopLog, relay_log: bytes, now_ms: int) -> HistoryLeft | None:
    cursor = log.cursor(relay_log)
    if cursor is None or not cursor.wanted:
        return None  # As above.
    from crdtsync.runtime.syncing.progress import history_left

    return history_left(log, relay_log, now_ms)


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
    """What a ticket comes to; nothing where it does not say, or says what no amount is: some thousand such
    tickets of one hostile register would come to more than a message or a document can hold.
    """
    parts = (body.get("ttc"), body.get("oos", 0))
    return sum(part for part in parts if type(part) is int and abs(part) <= AMOUNT_MINOR_MAX)


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
    names = names_apart((row.device, row.name, row.series) for row in certified.values())
    devices = [
        DeviceStatus(
            device=device,
            name=names.get(device) or short_id(device),
            role=(certified[device].role if device in certified else None) or "unknown",
            revoked=device in certified and certified[device].revoked,
            last_entry_at_ms=newest.get(device),
        )
        for device in certified.keys() | newest.keys()
    ]
    # For people: ids are random, and the relay sells nothing.
    return tuple(sorted(devices, key=lambda row: (row.role == "relay", row.name.casefold(), row.device)))


def _todays_documents(replica: Replica) -> list[str]:
    """Names: the newest day of each register, and what all days share."""
    newest = {(chain.device, chain.day) for chain in replica.queries.chains() if chain.series is not None}
    return [CATALOGUE_DOCUMENT, OWNER_DOCUMENT, *sorted(ledger_document(*pair) for pair in newest)]


def _documents(replica: Replica, *, all_documents: bool, with_documents: bool) -> tuple[DocumentStatus, ...]:
    names = _todays_documents(replica)
    if not (all_documents or with_documents):
        _look_at_todays_entries(replica.log, names)
        return ()
    from crdtsync.runtime.register.document_status import document_status

    if all_documents:
        names = [row.name for row in replica.log.documents()]
    found = (document_status(replica, name, all_documents=all_documents) for name in names)
    return tuple(one for one in found if one is not None)


def _look_at_todays_entries(log: ShopLog, names: Iterable[str]) -> None:
    """Find out whether they are still as they were stored, by their checksums: what is packed stays packed.
    Little is read at a time: what lies behind the certificates is not today's. Raises ``DamagedStore``.
    """
    looked_at = 0
    for seq in sorted(seq for name in names if _is_looked_at(log, name) for seq in log.document_seqs(name)):
        if seq > looked_at:
            pack = log.pack_at(seq)
            looked_at = pack.to.seq if pack is not None else log.read(seq - 1, bytes_max=16 << 10).to.seq


def _is_looked_at(log: ShopLog, name: str) -> bool:
    row = log.document(name)
    return row is not None and has_entries(name) and row.records <= FINGERPRINTED_MAX


def has_entries(document: str) -> bool:
    """Whether that is a ledger: of a register, or the shop's owner."""
    return document == OWNER_DOCUMENT or document.startswith("ledger/")
