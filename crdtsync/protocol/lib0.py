"""The lib0 encoding that Yjs updates are written in: integers, text and plain values, read strictly.

Integers are minimal and bounded, text is UTF-8, values are counted and never nested beyond a small depth.
Everything else is refused with ``UnsafeUpdate``; past the end of the bytes ``IndexError`` may be raised,
which the reader of the whole update turns into a refusal.
"""

from __future__ import annotations

from typing import Any, NoReturn

import orjson

from crdtsync.errors import UnsafeUpdate

CLOCKS = 2**31
"""Clocks stay below it: yrs holds them in 32 bits and wraps in silence."""

CLIENT_IDS = 2**53
"""Client ids stay below it: the integers that a Yjs client in a browser can hold."""

ANY_STRING, ANY_BYTES, ANY_ARRAY, ANY_OBJECT = 0x77, 0x74, 0x75, 0x76
ANY_FLOAT32, ANY_TRUE, ANY_FALSE = 0x7C, 0x78, 0x79
_VARINT, _BIGINT = 0x7D, 0x7A
_WITHOUT_CONTENT = frozenset((ANY_TRUE, ANY_FALSE, 0x7E, 0x7F))
"""true, false, null, undefined"""


def refuse(pos: int, why: str) -> NoReturn:
    """Raise ``UnsafeUpdate`` naming the place."""
    raise UnsafeUpdate(f"byte {pos} of the update: {why}")


def read_varuint(data: bytes, pos: int, bound: int = CLIENT_IDS) -> tuple[int, int]:
    """The integer at ``pos``, minimal and below ``bound``, and the position after it."""
    byte = data[pos]
    if byte < 0x80:
        return byte, pos + 1
    value, shift, start = byte & 0x7F, 7, pos
    while True:
        pos += 1
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 56:
            refuse(start, "an integer is too long")
    if not byte:
        refuse(start, "an integer is not minimal")
    if value >= bound:
        refuse(start, f"{value} is out of range")
    return value, pos + 1


def read_text(data: bytes, pos: int) -> tuple[str, int]:
    """The length-prefixed UTF-8 string at ``pos``, and the position after it."""
    length, pos = read_varuint(data, pos)
    end = pos + length
    if end > len(data):
        refuse(pos, "a string is cut short")
    try:
        return data[pos:end].decode(), end
    except UnicodeDecodeError:
        refuse(pos, "a string is not UTF-8")


def read_name(data: bytes, pos: int, bytes_max: int) -> tuple[str, int]:
    """As ``read_text``, for a name of at most ``bytes_max`` bytes."""
    length, _ = read_varuint(data, pos)
    if length > bytes_max:
        refuse(pos, "a name is too long")
    return read_text(data, pos)


class ValueReader:
    """Reads the values in one update, counting them all against one allowance.

    Every method takes a position and returns the position after what it read.
    """

    def __init__(self, data: bytes, *, values_max: int, depth_max: int) -> None:
        self._data = data
        self._values_left = values_max
        self._depth_max = depth_max

    def _count(self, pos: int, left: int, what: str) -> tuple[int, int]:
        """A count of things that take at least a byte each."""
        count, after = read_varuint(self._data, pos, CLOCKS)
        if count > left or count > len(self._data) - after:
            refuse(pos, f"{count} {what} are too many")
        return count, after

    def _bytes(self, pos: int) -> int:
        length, pos = read_varuint(self._data, pos)
        if pos + length > len(self._data):
            refuse(pos, "bytes are cut short")
        return pos + length

    def _values(self, pos: int, least: int) -> tuple[int, int]:
        count, after = self._count(pos, self._values_left, "values")
        if count < least:
            refuse(pos, "an empty block")
        self._values_left -= count
        return count, after

    def _any(self, pos: int, depth: int) -> int:
        """The position after the value at ``pos``."""
        data = self._data
        tag = data[pos]
        pos += 1
        if tag == ANY_STRING:
            return read_text(data, pos)[1]
        if tag in _WITHOUT_CONTENT:
            return pos
        if tag == _VARINT:
            return self._varint(pos)
        if _BIGINT <= tag <= ANY_FLOAT32:
            end = pos + (4 if tag == ANY_FLOAT32 else 8)
            if end > len(data):
                refuse(pos, "a number is cut short")
            return end
        if tag == ANY_BYTES:
            return self._bytes(pos)
        if tag not in (ANY_ARRAY, ANY_OBJECT):
            refuse(pos - 1, "an unknown kind of value")
        if depth >= self._depth_max:
            refuse(pos, "values are nested too deep")
        count, pos = self._values(pos, 0)
        keys: set[str] = set()
        for _ in range(count):
            if tag == ANY_OBJECT:
                key, pos = read_text(data, pos)
                if key in keys:
                    refuse(pos, "a key comes twice")
                keys.add(key)
            pos = self._any(pos, depth + 1)
        return pos

    def _varint(self, pos: int) -> int:
        """The position after a signed integer (6 bits in its first byte), minimal and below 2^53."""
        data, start = self._data, pos
        value, shift = data[pos] & 0x3F, 6
        while data[pos] >= 0x80:
            pos += 1
            value |= (data[pos] & 0x7F) << shift
            shift += 7
            if shift > 62:
                refuse(start, "an integer is too long")
        if pos > start and not data[pos]:
            refuse(start, "an integer is not minimal")
        if value >= CLIENT_IDS:
            refuse(start, "an integer is out of range")
        return pos + 1

    def _json(self, pos: int) -> int:
        text, end = read_text(self._data, pos)
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            refuse(pos, "a string is not JSON")
        self._json_value(value, 0, pos)
        return end

    def _json_value(self, value: Any, depth: int, pos: int) -> None:
        if isinstance(value, dict):
            value = list(value.values())
        elif not isinstance(value, list):
            return
        self._values_left -= len(value)
        if depth >= self._depth_max or self._values_left < 0:
            refuse(pos, "values are nested too deep, or too many")
        for item in value:
            self._json_value(item, depth + 1, pos)
