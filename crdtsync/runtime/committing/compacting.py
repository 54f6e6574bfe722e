"""Compacting the Yjs documents of a log: many updates make room for one state that holds the same.

One replica of a shop makes states: the relay, or a register that has none. A state is a record like any
other, so that everybody gets it, and those who lag too. The registers of a relay make none of their own (each
would send its own to all others); they drop what a state *from* the relay was found to hold, as far as the
relay has acknowledged it. Ledgers are never compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import IntegrityDefect, NotSynchronised, UnsafeUpdate
from crdtsync.ids import (
    CATALOGUE_DOCUMENT,
    STATE,
    Item,
    record_digest,
    split_update_record,
    update_record,
)
from crdtsync.model.compaction import compact
from crdtsync.protocol.causal import in_causal_order
from crdtsync.protocol.fingerprint import content_fingerprint
from crdtsync.protocol.limits import STATE_BYTES_MAX
from crdtsync.protocol.scanner import Scan, scan_document
from crdtsync.runtime.folder.identity import load_relay
from crdtsync.storage.log import ShopLog

RECORDS_MIN: Final = 512
"""A document of fewer records is loaded as it is."""

Rows = Sequence[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Compaction:
    """A state, and the seqs of the records that it replaces."""

    state: Item
    replaces: tuple[int, ...]


def is_compactable(document: str) -> bool:
    """Whether a document is one of those that are compacted."""
    return document == CATALOGUE_DOCUMENT or document.startswith("x/")


def plan_compaction(log: ShopLog, document: str, *, records_min: int = RECORDS_MIN) -> Compaction | None:
    """What to replace in a document, if it is worth it; changes nothing. O(the document), and slow.

    Worth it is at least ``records_min`` records that hold as many bytes as the last state has, so that all
    states together never cost more than the updates did.
    """
    totals = log.document(document)
    if totals is None or totals.records < records_min:
        return None
    rows = list(log.document_records(document))
    states = [len(record) for _, record in rows if record[:1] == STATE]
    if sum(len(record) for _, record in rows) < 2 * max(states, default=0):
        return None
    try:
        relay = load_relay(log)
        return _lead(document, rows) if relay is None else _follow(log, relay.log_id, document, rows)
    except (NotSynchronised, UnsafeUpdate, IntegrityDefect):
        # Something waits for what has not arrived, or cannot be read: it stays as it is.
        return None


def _lead(document: str, rows: Rows) -> Compaction | None:
    ready, waiting = in_causal_order(_scanned(document, record) for _, record in rows)
    if waiting:
        return None
    record = update_record(document, compact(ready, fingerprint=content_fingerprint).state, state=True)
    if len(record) > STATE_BYTES_MAX:
        return None
    replaces = tuple(seq for seq, replaced in rows if replaced != record)
    return Compaction(Item(record, document, record_digest(record)), replaces)


def _follow(log: ShopLog, relay_log: bytes | None, document: str, rows: Rows) -> Compaction | None:
    seq, record = max(((s, r) for s, r in rows if r[:1] == STATE), default=(0, b""))
    pending = {pending for pending, _ in log.unacknowledged(relay_log)}
    older = [(s, r) for s, r in rows if s < seq and s not in pending]
    if not older or seq in pending:
        return None
    state = split_update_record(record)[1]
    held = compact(
        [state, *(split_update_record(replaced)[1] for _, replaced in older)], fingerprint=content_fingerprint
    )
    if held.fingerprint != content_fingerprint(state):
        return None  # Some of them are not in it: the relay's next state will hold them.
    return Compaction(Item(record, document, record_digest(record)), tuple(s for s, _ in older))


def _scanned(document: str, record: bytes) -> tuple[bytes, Scan]:
    update = split_update_record(record)[1]
    return update, scan_document(document, update, state=record[:1] == STATE)
