"""Updates that write new keys and nothing else, read in bulk.

Whoever imports ten thousand products makes 250 updates of one form: one writer, and in a row keys of the root
that nobody wrote before, each with a short text, a number or a truth. ``plain_keys`` splits such an update at
what stands before each key, in C, and looks whether each part is exactly one key and one value. It says
*certainly this form, to the last byte*, or nothing: it never refuses. What it is not certain of is read by
``yjs``, which alone says what an update is. A property test holds the two equal.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from crdtsync.errors import UnsafeUpdate
from crdtsync.protocol.lib0 import (
    ANY_FALSE,
    ANY_FLOAT32,
    ANY_STRING,
    ANY_TRUE,
    CLOCKS,
    ValueReader,
    read_varuint,
)
from crdtsync.protocol.yjs import ANY, HAS_KEY

FlatValue = str | float | bool | None
"""As the engine gives it: a whole number is a float."""

_WHOLE, _FLOAT64_TAG, _NULL = 0x7D, 0x7B, 0x7E
_FLOAT32: Final = struct.Struct(">f")
_FLOAT64: Final = struct.Struct(">d")
_SHORT: Final = 0x80
"""Lengths below it are one byte."""

REMEMBERED: Final = 4096


class PlainKeys(NamedTuple):
    """One writer's keys, the first with that clock. Each of ``parts`` is the length of its key, the key, and
    its value (the number of values, 1, before it).
    """

    client: int
    clock: int
    parts: list[bytes]


class Unsure(Exception):
    """Only the strict reader, or the engine, can say."""


def split_keys(update: bytes, root: str) -> PlainKeys:
    """What an update writes to the map ``root``, where ``plain_keys`` has said that it has this form."""
    _, client, clock, parts = _split(update, root)
    return PlainKeys(client, clock, parts[1:])


def plain_keys(update: bytes, root: str) -> PlainKeys | None:
    """What an update writes to the map ``root``, if it has this form: all its text is UTF-8 then."""
    try:
        if update[0] != 1 or update[-1] != 0:
            return None
        structs, client, clock, parts = _split(update, root)
        if parts.pop(0) or len(parts) != structs or clock + structs >= CLOCKS:
            return None
        texts = list[bytes]()
        for part in parts:
            at = part[0] + 1
            if at > _SHORT:
                return None
            if part[at + 1] == ANY_STRING:
                size = part[at + 2]
                if part[at] != 1 or size >= _SHORT or at + 3 + size != len(part):
                    return None
                texts.append(part)
            else:
                read_number(part[at:])
                texts.append(part[:at])
        # A length below 128 is a letter of its own: together they are UTF-8 only if each of them is.
        b"".join(texts).decode()
    except (IndexError, UnicodeDecodeError, UnsafeUpdate, Unsure, struct.error):
        return None
    return PlainKeys(client, clock, parts)


def _split(update: bytes, root: str) -> tuple[int, int, int, list[bytes]]:
    """How many keys an update says that it has, its writer, the first clock, and what stands between the
    places where a key of ``root`` begins.
    """
    name = root.encode()
    structs, pos = read_varuint(update, 1)
    client, pos = read_varuint(update, pos)
    clock, pos = read_varuint(update, pos, CLOCKS)
    return structs, client, clock, update[pos:-1].split(bytes((ANY | HAS_KEY, 1, len(name))) + name)


@lru_cache(maxsize=REMEMBERED)
def read_number(value: bytes) -> float | bool | None:
    """The number or truth that exactly these bytes are, with the number of values before it; read once for
    the years and sizes that thousands of products share. Raises ``Unsure``, ``UnsafeUpdate``, ``IndexError``
    or ``struct.error`` for anything else.
    """
    number, end = read_scalar(value, 1)
    if value[0] != 1 or end != len(value) or _Strict(value).end() != end:
        raise Unsure
    return number


class _Strict(ValueReader):
    """One value, as the strict reader takes it."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value, values_max=1, depth_max=0)

    def end(self) -> int:
        """The position after it. Raises ``UnsafeUpdate``, ``IndexError``."""
        return self._any(1, 0)


def read_scalar(data: bytes, pos: int) -> tuple[float | bool | None, int]:
    """The number, the truth or the null at ``pos``, which was admitted, and the position after it. Raises
    ``Unsure`` for any other value.
    """
    tag = data[pos]
    pos += 1
    if tag == ANY_FLOAT32:
        return _FLOAT32.unpack_from(data, pos)[0], pos + 4
    if tag in (ANY_TRUE, ANY_FALSE):
        return tag == ANY_TRUE, pos
    if tag == _WHOLE:
        return _read_whole(data, pos)
    if tag == _FLOAT64_TAG:
        return _FLOAT64.unpack_from(data, pos)[0], pos + 8
    if tag == _NULL:
        return None, pos
    raise Unsure


def _read_whole(data: bytes, pos: int) -> tuple[float, int]:
    """A signed integer: six bits and the sign in its first byte, then seven bits in each."""
    byte = data[pos]
    value, shift, sign = byte & 0x3F, 6, -1.0 if byte & 0x40 else 1.0
    while byte >= 0x80:
        pos += 1
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        shift += 7
    return sign * value, pos + 1
