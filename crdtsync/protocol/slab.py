"""Rows that are sent to many peers, encoded once.

What a commit brought goes to every register of the shop, to each without what it sent itself. A ``Slab``
keeps the rows as they are in a frame; a ``Portion`` of it names those that one peer does not get. Its frame
is made of whole pieces of the slab, so that it costs what is left out, not what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import overload

import msgpack

from crdtsync.ids import Position

_pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack

NEXT = b"\x01"
"""A record number, told as its distance from the one before: most often 1."""


class Slab:
    """Consecutive rows from number ``first`` on; there is at least one."""

    __slots__ = ("_data", "_ends", "_head", "_whole", "first", "records")

    def __init__(self, first: int, records: Sequence[bytes]) -> None:
        self.first = first
        self.records = records
        encoded = [_pack(record) for record in records]
        self._data = memoryview(b"".join(encoded))
        self._ends = [0, *accumulate(map(len, encoded))]
        self._whole: tuple[bytes, bytes] = (b"", b"")
        self._head: tuple[Position, Position, bytes] | None = None

    def head(self, start: Position, to: Position, make: Callable[[Position, Position], bytes]) -> bytes:
        """What ``make`` makes of these positions. Those who keep up are all told the same: it is kept."""
        kept = self._head
        if kept is None or kept[0] != start or kept[1] != to:
            self._head = kept = start, to, make(start, to)
        return kept[2]

    def frame(self, head: bytes, left_out: Sequence[int], tail: bytes) -> bytes:
        """A frame of the rows but for those at the places ``left_out``, ascending: the numbers and the
        records, with what stands before and after them. The last whole one is kept.
        """
        if left_out:
            return b"".join([head, *self._pieces(left_out), tail])
        around, frame = self._whole
        if around != head + tail:
            frame = b"".join([head, *self._pieces(()), tail])
            self._whole = head + tail, frame
        return frame

    def _pieces(self, left_out: Sequence[int]) -> list[bytes | memoryview]:
        numbers: list[bytes] = []
        records: list[memoryview] = []
        before, start, ends = -self.first, 0, self._ends  # The first number is told as it is.
        for gap in (*left_out, len(self.records)):
            if gap > start:
                numbers.append(_pack(start - before))
                numbers.append(NEXT * (gap - start - 1))
                records.append(self._data[ends[start] : ends[gap]])
                before = gap - 1
            start = gap + 1
        count = _array_head(len(self.records) - len(left_out))
        return [count, *numbers, count, *records]


class Portion(Sequence[tuple[int, bytes]]):
    """(number, record) of the rows of a slab but for those at the places ``left_out``."""

    __slots__ = ("left_out", "slab")

    def __init__(self, slab: Slab, left_out: Sequence[int] = ()) -> None:
        self.slab = slab
        self.left_out = left_out

    def __len__(self) -> int:
        return len(self.slab.records) - len(self.left_out)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        absent = set(self.left_out)
        for place, record in enumerate(self.slab.records):
            if place not in absent:
                yield self.slab.first + place, record

    @overload
    def __getitem__(self, place: int) -> tuple[int, bytes]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[int, bytes]]: ...
    def __getitem__(self, place: int | slice) -> tuple[int, bytes] | Sequence[tuple[int, bytes]]:
        return tuple(self)[place]


def _array_head(length: int) -> bytes:
    """What stands before the values of an array."""
    if length < 16:
        return bytes((0x90 | length,))
    if length < 1 << 16:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")
