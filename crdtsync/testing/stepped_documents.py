"""The Yjs documents of a shop that is stepped by hand: genuine updates, each with words of its own.

Every change sets a key of its own, so that one can ask of any record what it brings, and a key that all
others set too, so that there is something to converge upon.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from pycrdt import Doc, Map

from crdtsync.errors import NotSynchronised
from crdtsync.ids import ENTRY, split_update_record
from crdtsync.model.compaction import compact
from crdtsync.protocol.causal import in_causal_order
from crdtsync.protocol.fingerprint import content_fingerprint
from crdtsync.protocol.scanner import Scan, scan_document

ROOT = "products"
SHARED = "price"
"""The key that everybody sets."""

Fact = bytes | tuple[str, str]
"""What a shop must not lose: an entry, or the words that a change of a document brought."""

_scan = lru_cache(maxsize=4096)(scan_document)


def change(records: Iterable[bytes], client_id: int, text: str) -> bytes:
    """The update of somebody who sees a document as these records make it, and writes ``text`` into it."""
    doc: Doc[Map[str]] = Doc(client_id=client_id)
    for update in _in_order(records)[0]:
        doc.apply_update(update)
    before = doc.get_state()
    products = doc.get(ROOT, type=Map)
    with doc.transaction():
        products[text] = text
        products[SHARED] = text
    return doc.get_update(before)


def compacted(records: Iterable[bytes]) -> bytes | None:
    """The state that can take the place of these records of a document; None while one waits for another."""
    ready, waiting = _in_order(records)
    if waiting or not ready:
        return None
    try:
        return compact(ready, fingerprint=content_fingerprint).state
    except NotSynchronised:
        return None


def content(records: Iterable[bytes]) -> tuple[bytes, int]:
    """What a document of these records holds, as one digest, and how many of them wait for others."""
    doc: Doc[Map[str]] = Doc(client_id=0)
    ready, waiting = _in_order(records)
    for update in ready:
        doc.apply_update(update)
    return content_fingerprint(doc.get_update()), waiting


@lru_cache(maxsize=4096)
def facts_of(record: bytes) -> frozenset[Fact]:
    """What a record brings: an entry itself, an update or a state the words in it."""
    if record[:1] == ENTRY:
        return frozenset((record,))
    document, update = split_update_record(record)
    doc: Doc[Map[str]] = Doc(client_id=0)
    doc.apply_update(update)
    return frozenset((document, key) for key in doc.get(ROOT, type=Map).to_py() or () if key != SHARED)


def facts_in(records: Iterable[bytes]) -> set[Fact]:
    """What all these records bring."""
    return {fact for record in records for fact in facts_of(record)}


def _in_order(records: Iterable[bytes]) -> tuple[list[bytes], int]:
    found: list[tuple[bytes, Scan]] = []
    for record in records:
        document, update = split_update_record(record)
        found.append((update, _scan(document, update, state=record[:1] == b"C")))
    return in_causal_order(found)
