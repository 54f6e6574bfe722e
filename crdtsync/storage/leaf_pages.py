"""Rows on leaf pages of an SQLite file to which nothing leads any more, because an inner page is damaged.

A leaf page of a table holds whole rows, with their keys; only which table it is of it does not say. So every
leaf page of the file is read, whoever it belongs to, and whoever asks knows his rows by their checksum. Pages
that were given up hold rows of before: those too are what was written, once.

The form of the file is SQLite's (https://www.sqlite.org/fileformat2.html, 1.3 and 1.6, 2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

HEADER_BYTES: Final = 100
_LEAF_OF_A_TABLE: Final = 0x0D
_INTEGER_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)
"""By serial type, up to 6."""


class Leaves:
    """The leaf pages of ``image``, the bytes of a database file. Never raises for what is damaged."""

    def __init__(self, image: bytes) -> None:
        self._image = image
        size = int.from_bytes(image[16:18], "big")
        self._page = 65536 if size == 1 else size
        self._usable = self._page - (image[20] if len(image) > HEADER_BYTES else 0)

    def rows(self, columns: int) -> Iterator[tuple[Any, ...]]:
        """Every row of so many columns that has its bytes, with its key in the place of the first one. A row
        may come several times, in versions of before, or be none at all.
        """
        if self._page < 512 or self._usable < 480:
            return
        for number in range(1, len(self._image) // self._page + 1):
            for place in self._cells(number):
                try:
                    row = self._row(place, columns)
                except (IndexError, ValueError):
                    continue
                if row is not None:
                    yield row

    def _cells(self, number: int) -> Iterator[int]:
        """Where the cells of a page lie in the file, if it is a leaf of a table."""
        start = (number - 1) * self._page
        head = start + (HEADER_BYTES if number == 1 else 0)
        if self._image[head] != _LEAF_OF_A_TABLE:
            return
        count = int.from_bytes(self._image[head + 3 : head + 5], "big")
        for at in range(head + 8, min(head + 8 + 2 * count, start + self._page - 1), 2):
            offset = int.from_bytes(self._image[at : at + 2], "big")
            if 8 <= offset < self._usable:
                yield start + offset

    def _row(self, place: int, columns: int) -> tuple[Any, ...] | None:
        size, place = self._varint(place)
        key, place = self._varint(place)
        payload = self._payload(place, size)
        if payload is None:
            return None
        types = self._types(payload, columns)
        if types is None:
            return None
        values, at = [], types[0]
        for kind in types[1:]:
            value, at = _value(payload, at, kind)
            values.append(value)
        return (key - (1 << 64) if key >> 63 else key, *values[1:]) if at == size else None

    def _payload(self, place: int, size: int) -> bytes | None:
        """The bytes of a row, with those that lie on pages of their own; None where they are not there."""
        most = self._usable - 35
        if size <= most:
            found = self._image[place : place + size]
            return found if len(found) == size else None
        if size > len(self._image):
            return None
        least = (self._usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (self._usable - 4)
        local = local if local <= most else least
        parts, left = [self._image[place : place + local]], size - local
        following = int.from_bytes(self._image[place + local : place + local + 4], "big")
        while left > 0:
            start = (following - 1) * self._page
            if following < 2 or start + self._page > len(self._image):
                return None
            take = min(left, self._usable - 4)
            parts.append(self._image[start + 4 : start + 4 + take])
            following, left = int.from_bytes(self._image[start : start + 4], "big"), left - take
        return b"".join(parts)

    def _types(self, payload: bytes, columns: int) -> list[int] | None:
        """Where the values begin, and the serial type of each; None where there are not so many."""
        end, at = _varint_of(payload, 0)
        types = [end]
        while at < end <= len(payload) and len(types) <= columns:
            kind, at = _varint_of(payload, at)
            types.append(kind)
        return types if at == end and len(types) == columns + 1 else None

    def _varint(self, place: int) -> tuple[int, int]:
        return _varint_of(self._image, place)


def _varint_of(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends. Raises ``IndexError``."""
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    """A value, and where it ends. Raises ``ValueError`` for a kind that no table of ours has."""
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind < len(_INTEGER_BYTES):
        end = at + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind < 12:
        raise ValueError(kind)
    end = at + (kind - 12) // 2
    data = payload[at:end]
    return (data.decode() if kind % 2 else data), end
