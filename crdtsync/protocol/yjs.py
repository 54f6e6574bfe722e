"""A strict reader of the Yjs update format (version 1, lib0 encoding), without any CRDT code.

What it accepts is what ``yrs`` and Yjs write: minimal variable-length integers, text in UTF-8, every
client once, delete ranges ascending and apart, no byte left over. Anything that is not fully understood is
refused with ``UnsafeUpdate``; nothing is guessed. It runs before the CRDT engine has seen a byte, because
the engine accepts 27 % of damaged updates in silence and is killed by nested or crowded ones.

Layout: ``clients, (structs, client, first clock, struct…)…, clients, (client, ranges, (clock, length)…)…``.
A struct is an info byte, then origins, then (without origins) the parent and the map key, then the content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from crdtsync.errors import RecordTooBig
from crdtsync.protocol.lib0 import (
    ANY_FALSE,
    ANY_FLOAT32,
    ANY_STRING,
    ANY_TRUE,
    CLOCKS,
    ValueReader,
    read_name,
    read_text,
    read_varuint,
    refuse,
)
from crdtsync.protocol.limits import RECORD_BYTES_MAX, STATE_BYTES_MAX

Id = tuple[int, int]
"""Client and clock of one item."""

GC, DELETED, BINARY, STRING, EMBED, FORMAT, TYPE, ANY, SKIP = 0, 1, 3, 4, 5, 6, 7, 8, 10
HAS_KEY, HAS_RIGHT_ORIGIN, HAS_ORIGIN = 0x20, 0x40, 0x80

_XML_ELEMENT = 3
_TYPES = frozenset((0, 1, 2, _XML_ELEMENT, 4, 6))
"""Array, Map, Text, XmlElement, XmlFragment, XmlText. Not: hooks, weak links, subdocuments."""

_MERGED = frozenset((ANY, STRING))
"""Kinds that the engine joins when they lie side by side, at a cost that is quadratic in their number."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one update may hold; each keeps the engine far from a cost or a depth that hurts."""

    update_bytes: int
    clients: int
    blocks: int
    deleted_ranges: int
    values: int
    """Values inside contents, counted at every depth."""
    depth: int = 32
    """Levels of objects and arrays; the engine's stack ends near 26,000."""
    side_by_side: int = 500
    """Blocks that continue the one before: 4,000 of them cost the engine 370 MB."""
    name_bytes: int = 512
    """Length of a root's name and of a map key."""


UPDATE_LIMITS = Limits(
    update_bytes=RECORD_BYTES_MAX, clients=256, blocks=2048, deleted_ranges=2048, values=4096
)
"""For one update, as a device makes it in one transaction."""

STATE_LIMITS = Limits(
    update_bytes=STATE_BYTES_MAX,
    clients=100_000,
    blocks=2_000_000,
    deleted_ranges=1_000_000,
    values=4_000_000,
)
"""For a compacted state of a document."""


class Block(NamedTuple):
    """One struct. ``start`` and ``end`` bound its content in the update (without count or length prefix
    for ``STRING``); ``parent`` is a root's name, an item's id, or None where it is taken from an origin.
    """

    client: int
    clock: int
    length: int
    kind: int
    origin: Id | None
    right_origin: Id | None
    parent: str | Id | None
    key: str | None
    info: int
    start: int
    end: int


_SHORT = {ANY_FLOAT32: 6, ANY_FALSE: 2, ANY_TRUE: 2}
"""Values of a fixed size: where they end, from the count before them on."""

_block = tuple.__new__
"""Makes a ``Block`` in half the time that its constructor takes."""


def read_id(data: bytes, pos: int) -> tuple[Id, int]:
    """The item id at ``pos``, and the position after it."""
    client, pos = read_varuint(data, pos)
    clock, pos = read_varuint(data, pos, CLOCKS)
    return (client, clock), pos


class UpdateReader(ValueReader):
    """Reads one update from front to back: first ``blocks()``, exhausted, then ``deletions()``.

    Both raise ``UnsafeUpdate``; the update is sound only when both have come to their end.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        if len(data) > limits.update_bytes:
            raise RecordTooBig(f"an update of {len(data)} bytes: {limits.update_bytes} are allowed")
        super().__init__(data, values_max=limits.values, depth_max=limits.depth)
        self._limits = limits
        self._pos = 0

    def blocks(self) -> Iterator[Block]:
        """All structs, in the order of the update."""
        data, limits = self._data, self._limits
        blocks_left, side_by_side = limits.blocks, limits.side_by_side
        seen: set[int] = set()
        try:
            clients, pos = self._count(0, limits.clients, "clients")
            for _ in range(clients):
                structs, pos = self._count(pos, blocks_left, "blocks")
                if not structs:
                    refuse(pos, "a client without blocks")
                blocks_left -= structs
                client, pos = read_varuint(data, pos)
                if client in seen:
                    refuse(pos, f"client {client} comes twice")
                seen.add(client)
                clock, pos = read_varuint(data, pos, CLOCKS)
                before = -1
                for _ in range(structs):
                    block = self._entry(client, clock, pos) or self._block(client, clock, pos)
                    _, _, length, kind, origin, _, _, _, _, _, pos = block
                    if kind == before:
                        if kind == SKIP:
                            refuse(pos, "two holes side by side")
                        if origin is not None and origin == (client, clock - 1) and kind in _MERGED:
                            side_by_side -= 1
                            if side_by_side < 0:
                                refuse(pos, "too many blocks that should be one")
                    before = kind
                    clock += length
                    if clock >= CLOCKS:
                        refuse(pos, "a clock is out of range")
                    yield block
                if before == SKIP:
                    refuse(pos, "a hole at the end")
            self._pos = pos
        except IndexError:
            refuse(len(data), "the update is cut short")

    def _entry(self, client: int, clock: int, pos: int) -> Block | None:
        """The shortest way through the commonest block: one short text, number or truth under a key of a
        root, all lengths in one byte. None where the block is anything else; it never refuses.
        """
        data = self._data
        if data[pos] != ANY | HAS_KEY or data[pos + 1] != 1:
            return None
        size = data[pos + 2]
        key_at = pos + 3 + size
        key_size = data[key_at]
        value_at = key_at + 1 + key_size
        if size | key_size >= 0x80 or data[value_at] != 1:
            return None
        tag = data[value_at + 1]
        if tag == ANY_STRING:
            value_size = data[value_at + 2]
            end = value_at + 3 + value_size
        elif tag in _SHORT:
            value_size = 0
            end = value_at + _SHORT[tag]
        else:
            return None
        if value_size >= 0x80 or end > len(data) or not self._values_left:
            return None
        try:
            root = data[pos + 3 : key_at].decode()
            key = data[key_at + 1 : value_at].decode()
            if value_size:
                data[value_at + 3 : end].decode()
        except UnicodeDecodeError:
            return None
        self._values_left -= 1
        return _block(Block, (client, clock, 1, ANY, None, None, root, key, 0x28, value_at + 1, end))

    def _block(self, client: int, clock: int, pos: int) -> Block:
        if self._data[pos] in (GC, SKIP):
            return self._filler(client, clock, pos)
        return self._item(client, clock, pos)

    def _filler(self, client: int, clock: int, pos: int) -> Block:
        """A collected block, or a hole."""
        length, end = read_varuint(self._data, pos + 1, CLOCKS)
        if not length:
            refuse(pos, "an empty block")
        info = self._data[pos]
        return Block(client, clock, length, info, None, None, None, None, info, end, end)

    def _item(self, client: int, clock: int, start: int) -> Block:
        data = self._data
        info = data[start]
        pos = start + 1
        origin = right_origin = parent = key = None
        if info & 0x10:
            refuse(start, "an unknown kind of block")
        if info & HAS_ORIGIN:
            origin, pos = read_id(data, pos)
            if origin[0] == client and origin[1] >= clock:
                refuse(start, "a block comes before its origin")
        if info & HAS_RIGHT_ORIGIN:
            right_origin, pos = read_id(data, pos)
            if right_origin[0] == client and right_origin[1] >= clock:
                refuse(start, "a block comes before its origin")
        if not info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN):
            parent, pos = self._parent(client, clock, pos)
            if info & HAS_KEY:
                key, pos = read_name(data, pos, self._limits.name_bytes)
        kind = info & 0x0F
        length, begin, end = self._content(kind, pos)
        return Block(client, clock, length, kind, origin, right_origin, parent, key, info, begin, end)

    def _parent(self, client: int, clock: int, pos: int) -> tuple[str | Id, int]:
        named = self._data[pos]
        if named == 1:
            return read_name(self._data, pos + 1, self._limits.name_bytes)
        if named:
            refuse(pos, "an unknown kind of parent")
        parent, after = read_id(self._data, pos + 1)
        if parent[0] == client and parent[1] >= clock:
            refuse(pos, "a block comes before its parent")
        return parent, after

    def _content(self, kind: int, pos: int) -> tuple[int, int, int]:
        """Length in clocks, and the bounds of the content."""
        data = self._data
        if kind == ANY:
            count, begin = self._values(pos, 1)
            end = begin
            for _ in range(count):
                end = self._any(end, 0)
            return count, begin, end
        if kind == STRING:
            text, end = read_text(data, pos)
            if not text:
                refuse(pos, "an empty block")
            size = len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
            return size, end - len(text.encode()), end
        if kind == DELETED:
            length, end = read_varuint(data, pos, CLOCKS)
            if not length:
                refuse(pos, "an empty block")
            return length, end, end
        if kind == BINARY:
            return 1, pos, self._bytes(pos)
        if kind == TYPE:
            return 1, pos, self._type(pos)
        if kind == FORMAT:
            _, after = read_name(data, pos, self._limits.name_bytes)
            return 1, pos, self._json(after)
        if kind == EMBED:
            return 1, pos, self._json(pos)
        # Among them 2, lists of JSON as Yjs wrote them before version 13: yrs reads one text more than there
        # are, and so takes what comes after for something else than it was admitted as.
        return refuse(pos, f"content of kind {kind} is not allowed")

    def _type(self, pos: int) -> int:
        kind = self._data[pos]
        if kind not in _TYPES:
            refuse(pos, f"a type of kind {kind} is not allowed")
        if kind == _XML_ELEMENT:
            return read_name(self._data, pos + 1, self._limits.name_bytes)[1]
        return pos + 1

    def deletions(self) -> Iterator[tuple[int, int, int]]:
        """The delete set: (client, clock, length), after all ``blocks()``."""
        data = self._data
        try:
            clients, pos = self._count(self._pos, self._limits.clients, "clients")
            ranges_left = self._limits.deleted_ranges
            seen: set[int] = set()
            for _ in range(clients):
                client, pos = read_varuint(data, pos)
                if client in seen:
                    refuse(pos, f"client {client} comes twice")
                seen.add(client)
                ranges, pos = self._count(pos, ranges_left, "deleted ranges")
                if not ranges:
                    refuse(pos, "a client without deletions")
                ranges_left -= ranges
                end = -1
                for _ in range(ranges):
                    clock, pos = read_varuint(data, pos, CLOCKS)
                    length, pos = read_varuint(data, pos, CLOCKS)
                    if clock <= end or not length or clock + length >= CLOCKS:
                        refuse(pos, "deleted ranges overlap, touch, or are empty")
                    end = clock + length
                    yield client, clock, length
            if pos != len(data):
                refuse(pos, "bytes are left over")
        except IndexError:
            refuse(len(data), "the update is cut short")
