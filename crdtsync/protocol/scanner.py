"""Admission of Yjs bytes: the rules that an update must keep before the CRDT engine may see it.

The format is read strictly by ``protocol.yjs``; here is what each document may hold. Admitting is a fact
about the bytes alone: the same bytes get the same answer on every replica. Only what depends on the state
of a document is left to the engine (a block whose parent lies in an earlier update and is no container);
the catalogue has no such blocks.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from crdtsync.errors import NotPermitted, UnsafeUpdate
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.protocol.plain_keys import plain_keys
from crdtsync.protocol.yjs import (
    ANY,
    BINARY,
    DELETED,
    EMBED,
    FORMAT,
    GC,
    HAS_KEY,
    SKIP,
    STATE_LIMITS,
    STRING,
    TYPE,
    UPDATE_LIMITS,
    Block,
    Id,
    Limits,
    UpdateReader,
)

CATALOGUE_ROOTS = frozenset(("products",))
_SCALARS = frozenset(b"\x77\x78\x79\x7a\x7b\x7c\x7d\x7e\x74")

_LISTED = frozenset((DELETED, BINARY, TYPE, ANY))
_WRITTEN = frozenset((DELETED, STRING, EMBED, FORMAT, TYPE))
_MARKED_UP = frozenset((DELETED, TYPE))
_INSIDE = {0: _LISTED, 1: frozenset(), 2: _WRITTEN, 3: _MARKED_UP, 4: _MARKED_UP, 6: _WRITTEN}
"""What may lie in a container, by its type, other than under a key. Reading an array that holds text never
ends in the engine.
"""

_GONE = frozenset((DELETED, GC, SKIP))


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of an update that was read to its end.

    ``clients`` are (client, first clock, clock after the last); ``deleted`` (client, clock, length);
    ``roots`` the names of the roots that blocks name as their parent. A block with an origin takes its
    parent from there, and names none. ``needs`` are (client, clock): the update can be integrated whole where
    of each such client everything before that clock is (see ``protocol.causal``). ``is_plain``: its keys can
    be split (``plain_keys.split_keys``).
    """

    clients: tuple[tuple[int, int, int], ...]
    deleted: tuple[tuple[int, int, int], ...]
    blocks: int
    roots: frozenset[str]
    needs: tuple[tuple[int, int], ...]
    is_plain: bool = field(default=False, compare=False)


def scan_update(
    update: bytes, *, roots: frozenset[str] | None, limits: Limits = UPDATE_LIMITS, flat: bool = False
) -> Scan:
    """Read an update to its end, or refuse it.

    ``roots`` are the root names that may be written, None allows any. ``flat`` allows nothing but map
    entries directly in a root, each one plain value (text, number, boolean, null or bytes), as the
    catalogue has them: ``root[key] = value``, or an overwrite (then it has a left origin alone, and takes
    root and key from there); what was overwritten is ``DELETED``. Raises ``RecordTooBig`` and
    ``UnsafeUpdate``. Idempotent; touches nothing.
    """
    if flat and roots is not None and (known := _scan_plain(update, roots, limits)) is not None:
        return known
    reader = UpdateReader(update, limits)
    clients: list[tuple[int, int, int]] = []
    named: set[str] = set()
    tree = _Tree(update)
    needs: dict[int, int] = {}
    holes: dict[int, int] = {}
    blocks = 0
    client = start = end = -1
    for block in reader.blocks():
        of, clock, length, kind, origin, right_origin, parent, _, info, content, _ = block
        if of != client:
            if blocks:
                clients.append((client, start, end))
            client, start = of, clock
        blocks += 1
        end = clock + length
        if isinstance(parent, str):
            named.add(parent)
        if origin is not None and origin[1] >= needs.get(origin[0], 0):
            needs[origin[0]] = origin[1] + 1
        if not flat:
            tree.add(block)
            for name in (right_origin, parent):
                if isinstance(name, tuple) and name[1] >= needs.get(name[0], 0):
                    needs[name[0]] = name[1] + 1
            if kind == SKIP:
                holes[of] = end
        elif not (
            info & HAS_KEY
            and right_origin is None
            and parent.__class__ is not tuple
            and (kind == DELETED or (kind == ANY and length == 1 and update[content] in _SCALARS))
        ):
            raise UnsafeUpdate(f"client {of}, clock {clock}: only plain values of map entries are allowed")
    if blocks:
        clients.append((client, start, end))
    if roots is not None and not named <= roots:
        raise UnsafeUpdate(f"the update writes to {sorted(named - roots)}: {sorted(roots)} is allowed")
    tree.check()
    deleted = tuple(reader.deletions())
    return Scan(tuple(clients), deleted, blocks, frozenset(named), _outside(needs, clients, holes, deleted))


def _scan_plain(update: bytes, roots: frozenset[str], limits: Limits) -> Scan | None:
    """What is found in an update that writes new keys of one root and nothing else; None of any other."""
    if len(update) > limits.update_bytes:
        return None
    for root in roots:
        plain = plain_keys(update, root)
        if plain is not None and len(plain.parts) <= min(limits.blocks, limits.values):
            client, clock, blocks = plain.client, plain.clock, len(plain.parts)
            needs = ((client, clock),) if clock else ()
            clients = ((client, clock, clock + blocks),)
            return Scan(clients, (), blocks, frozenset((root,)), needs, is_plain=True)
    return None


def _outside(
    named: dict[int, int],
    clients: list[tuple[int, int, int]],
    holes: dict[int, int],
    deleted: tuple[tuple[int, int, int], ...],
) -> tuple[tuple[int, int], ...]:
    """What an update needs and does not bring itself. ``named`` are the clocks after what its blocks name."""
    needs = dict(named)
    for client, clock, length in deleted:
        needs[client] = max(needs.get(client, 0), clock + length)
    for client, start, end in clients:
        # What it names within its own run is there once the run begins where the document ends.
        if needs.get(client, 0) <= end:
            needs[client] = holes.get(client, start)
    return tuple((client, clock) for client, clock in needs.items() if clock)


class _Tree:
    """Containers and what names them as its parent, as far as both lie in one update."""

    def __init__(self, update: bytes) -> None:
        self._update = update
        self._children: list[tuple[Id, Block]] = []
        self._blocks: dict[int, tuple[list[int], list[Block]]] = {}

    def add(self, block: Block) -> None:
        """Take note of a block."""
        clocks, blocks = self._blocks.setdefault(block.client, ([], []))
        clocks.append(block.clock)
        blocks.append(block)
        if isinstance(block.parent, tuple):
            self._children.append((block.parent, block))

    def check(self) -> None:
        """Refuse a parent that is no container, and contents that its type does not hold."""
        for name, child in self._children:
            parent = self._find(name)
            if parent is None or parent.kind in _GONE:
                continue
            if parent.kind != TYPE or not (
                child.key is not None or child.kind in _INSIDE[self._update[parent.start]]
            ):
                raise UnsafeUpdate(f"client {child.client}, clock {child.clock}: does not fit in its parent")

    def _find(self, name: Id) -> Block | None:
        client, clock = name
        clocks, blocks = self._blocks.get(client, ([], []))
        place = bisect_right(clocks, clock) - 1
        if place < 0 or clock >= clocks[place] + blocks[place].length:
            return None
        return blocks[place]


def scan_document(document: str, yjs: bytes, *, state: bool = False) -> Scan:
    """Scan an update (or, with ``state``, a compacted state) by the rules of the document that it is for.

    The catalogue is flat; ``x/*`` may hold any type that Yjs 13 writes but subdocuments. Ledgers are
    made of sealed entries and never take Yjs bytes: ``NotPermitted``. Else as ``scan_update``.
    """
    limits = STATE_LIMITS if state else UPDATE_LIMITS
    if document == CATALOGUE_DOCUMENT:
        return scan_update(yjs, roots=CATALOGUE_ROOTS, limits=limits, flat=True)
    if document.startswith("x/"):
        return scan_update(yjs, roots=None, limits=limits)
    raise NotPermitted(f"{document} is made of sealed entries and takes no Yjs updates")
