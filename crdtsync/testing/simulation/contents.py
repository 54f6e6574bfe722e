"""What the documents on a disk hold, read with the engine alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pycrdt import Doc, Map

from crdtsync.testing.simulation import reading


def contents_of(records: Iterable[bytes]) -> dict[str, dict[str, Any]]:
    """What documents hold, by name; changes that wait for others are left out until these come."""
    documents: dict[str, Doc[Any]] = {}
    updates = [reading.update_of(record) for record in records if record[:1] != b"E"]
    # Twice: of what came before something that it builds on, the engine may have kept only a part.
    for name, update in (*updates, *updates):
        documents.setdefault(name, Doc(client_id=0)).apply_update(update)
    return {name: _map_of(name, doc) for name, doc in documents.items()}


def is_in_a_state(record: bytes, held: Iterable[bytes]) -> bool:
    """Whether a change of a document is held in a compacted state that took its place."""
    if record[:1] == b"E":
        return False
    document, _ = reading.update_of(record)
    others = [other for other in held if other[:1] == b"C" and reading.update_of(other)[0] == document]
    return _facts(others) >= _facts([record])


def _facts(records: Iterable[bytes]) -> set[str]:
    """The keys that these changes of a document name."""
    return set().union(*(_keys(record) for record in records))


_KEYS: dict[bytes, frozenset[str]] = {}


def _keys(record: bytes) -> frozenset[str]:
    found = _KEYS.get(record)
    if found is None:
        if len(_KEYS) > 1 << 12:
            _KEYS.clear()
        found = _KEYS[record] = frozenset(contents_of([record]).get(reading.update_of(record)[0], {}))
    return found


def _map_of(name: str, doc: Doc[Any]) -> dict[str, Any]:
    root = "products" if name == "catalogue" else "root"
    return dict(doc.get(root, type=Map).to_py() or {})
