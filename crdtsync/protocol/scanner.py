"""Admission of Yjs bytes: the rules that an update must keep before the CRDT engine may see it.

The format is read strictly by ``protocol.yjs``; here is what each document may hold. Admitting is a fact
about the bytes alone: the same bytes get the same answer on every replica. Only what depends on the state
of a document (a block whose parent or origin is missing, or is no container) is left to the engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from crdtsync.errors import NotPermitted, UnsafeUpdate
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.protocol.yjs import (
    ANY,
    DELETED,
    HAS_KEY,
    SKIP,
    STATE_LIMITS,
    UPDATE_LIMITS,
    Id,
    Limits,
    UpdateReader,
)

CATALOGUE_ROOTS = frozenset(("products",))
_SCALARS = frozenset(b"\x77\x78\x79\x7a\x7b\x7c\x7d\x7e\x74")


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of an update that was read to its end.

    ``clients`` are (client, first clock, clock after the last); ``deleted`` (client, clock, length);
    ``roots`` the names of the roots that blocks name as their parent. A block with an origin takes its
    parent from there, and names none. ``has_holes`` is true when clocks are left out inside a client's run.
    """

    clients: tuple[tuple[int, int, int], ...]
    deleted: tuple[tuple[int, int, int], ...]
    blocks: int
    roots: frozenset[str]
    has_holes: bool


def scan_update(
    update: bytes, *, roots: frozenset[str] | None, limits: Limits = UPDATE_LIMITS, flat: bool = False
) -> Scan:
    """Read an update to its end, or refuse it.

    ``roots`` are the root names that may be written, None allows any. ``flat`` allows nothing but map
    entries directly in a root, each one plain value (text, number, boolean, null or bytes), as the
    catalogue has them: ``root[key] = value``, or an overwrite (then it has a left origin alone, and takes
    root and key from there); what was overwritten is ``DELETED``.
    Raises ``RecordTooBig`` and ``UnsafeUpdate``. Idempotent; touches nothing.
    """
    reader = UpdateReader(update, limits)
    clients: list[tuple[int, int, int]] = []
    named: set[str | Id | None] = set()
    blocks = 0
    has_holes = False
    client = start = end = -1
    for block in reader.blocks():
        of, clock, length, kind, _, right_origin, parent, _, info, content, _ = block
        if of != client:
            if blocks:
                clients.append((client, start, end))
            client, start = of, clock
        blocks += 1
        end = clock + length
        if kind == SKIP:
            has_holes = True
        named.add(parent)
        if flat and not (
            info & HAS_KEY
            and right_origin is None
            and (kind == DELETED or (kind == ANY and length == 1 and update[content] in _SCALARS))
        ):
            raise UnsafeUpdate(
                f"client {of}, clock {clock}: only plain values of map entries are allowed here"
            )
    if blocks:
        clients.append((client, start, end))
    names = _root_names(named, roots, flat=flat)
    return Scan(tuple(clients), tuple(reader.deletions()), blocks, names, has_holes)


def _root_names(
    parents: set[str | Id | None], allowed: frozenset[str] | None, *, flat: bool
) -> frozenset[str]:
    names = frozenset(parent for parent in parents if isinstance(parent, str))
    if flat and any(isinstance(parent, tuple) for parent in parents):
        raise UnsafeUpdate(
            "the update writes into a container inside a root: only map entries are allowed here"
        )
    if allowed is not None and not names <= allowed:
        raise UnsafeUpdate(f"the update writes to {sorted(names - allowed)}: {sorted(allowed)} is allowed")
    return names


def scan_document(document: str, yjs: bytes, *, state: bool = False) -> Scan:
    """Scan an update (or, with ``state``, a compacted state) by the rules of the document that it is for.

    The catalogue is flat; ``x/*`` may hold any type that the format knows but subdocuments. Ledgers are
    made of sealed entries and never take Yjs bytes: ``NotPermitted``. Else as ``scan_update``.
    """
    limits = STATE_LIMITS if state else UPDATE_LIMITS
    if document == CATALOGUE_DOCUMENT:
        return scan_update(yjs, roots=CATALOGUE_ROOTS, limits=limits, flat=True)
    if document.startswith("x/"):
        return scan_update(yjs, roots=None, limits=limits)
    raise NotPermitted(f"{document} is made of sealed entries and takes no Yjs updates")
