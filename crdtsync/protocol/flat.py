"""What a flat document holds, read from its updates without the CRDT engine.

The catalogue is one map of plain values, and most of its keys are written once. Whoever reads ten thousand
products for the first time, while somebody waits to sell them, need not build the engine's document for it.
``flat_content`` says *certainly this is what the map holds*, or nothing: where two writers did not see one
another, where something is missing or comes twice, and for whatever else it does not know, the engine is
asked, which alone decides. A property test holds the two equal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from crdtsync.protocol.lib0 import ANY_STRING, read_varuint
from crdtsync.protocol.plain_keys import (
    REMEMBERED,
    FlatValue,
    PlainKeys,
    Unsure,
    plain_keys,
    read_number,
    read_scalar,
)
from crdtsync.protocol.yjs import ANY, DELETED, HAS_KEY, HAS_ORIGIN, Id, read_id

_ENTRY: Final = ANY | HAS_KEY
_GONE_ENTRY: Final = DELETED | HAS_KEY

GONE_MAX: Final = 1 << 17
"""So many items that are gone are looked at one by one, in all updates together. A few bytes can say that
two thousand million are: the engine takes them as one.
"""

STROKE: Final = "/"
_STROKE: Final = STROKE.encode()
_NO_KEY: Final = bytes(1 << 10)
"""Longer than a key and its value of a plain update: none begins so."""

Grouped = dict[str | None, dict[str, FlatValue]]
"""What a map holds: by what stands before the first stroke of its keys, and then by what stands behind it.
Under None the keys without a stroke.
"""


def flat_content(root: str, updates: Iterable[bytes | PlainKeys]) -> Grouped | None:
    """What the map ``root`` holds once these updates are applied; None where only the engine can say. Of one
    that the scanner found plain the keys may be given instead, see ``split_keys``.

    All of them were admitted by the scanner as those of a flat document: their bytes are not judged here.
    """
    reader = _Reader(root)
    try:
        for update in updates:
            if isinstance(update, PlainKeys):
                reader.take(update)
            else:
                reader.read(update)
        return reader.content()
    except (Unsure, IndexError, UnicodeDecodeError, struct.error):
        return None


class _Reader:
    """Keys and values by the item that brought them. Of each key there is one item that begins it; others
    follow one another, each in the place of the one before.
    """

    def __init__(self, root: str) -> None:
        name = root.encode()
        self._root = root
        self._begin = bytes((1, len(name))) + name
        self._found: Grouped = {}
        self._begun = 0
        """How many items begin a key: as many keys as are found, if none is begun twice."""
        self._names: dict[bytes, str] = {}
        self._keys: dict[int, list[str | bytes | None]] = {}
        """By client and clock: the key that an item begins, or the part of an update that begins with it;
        None of one that follows another.
        """
        self._after: dict[Id, tuple[Id, FlatValue, bool]] = {}
        """By the item that is replaced: which one does, its value, and whether it has one."""
        self._gone: set[Id] = set()
        self._gone_left = GONE_MAX

    def read(self, update: bytes) -> None:
        """Take one update. Raises ``Unsure``."""
        if plain := plain_keys(update, self._root):
            self.take(plain)
            return
        clients, pos = read_varuint(update, 0)
        for _ in range(clients):
            pos = self._read_client(update, pos)
        if self._read_deleted(update, pos) != len(update):
            raise Unsure

    def take(self, plain: PlainKeys) -> None:
        """As ``read``, of keys that were split already: most often those of a product follow one another."""
        begun = self._keys.setdefault(plain.client, [])
        if plain.clock != len(begun):
            raise Unsure
        begun += plain.parts
        self._begun += len(plain.parts)
        found, names = self._found, self._names
        keys, before, name_at = dict[str, FlatValue](), _NO_KEY, 1
        for part in plain.parts:
            end = part[0] + 1
            if name_at > end or not part.startswith(before, 1):
                name_at = part.find(_STROKE, 1, end) + 1 or 1
                before = part[1:name_at] or _NO_KEY
                keys = found.setdefault(before[:-1].decode() if name_at > 1 else None, {})
            spelled = part[name_at:end]
            name = names.get(spelled)
            if name is None:
                name = spelled.decode()
                if len(names) < REMEMBERED and _STROKE not in spelled:
                    names[spelled] = name
            if part[end + 1] == ANY_STRING:
                keys[name] = part[end + 3 :].decode()
            else:
                keys[name] = read_number(part[end:])

    def content(self) -> Grouped:
        """What is there after all of them. Raises ``Unsure``."""
        gone = self._gone
        if sum(map(len, self._found.values())) != self._begun:
            raise Unsure
        for client, clock in gone:
            key = self._key(client, clock)
            if key is not None:
                keys, name = self._place(key)
                keys.pop(name, None)
        followed = 0
        for origin in list(self._after):
            key = self._key(*origin)
            if key is None:
                continue
            last: tuple[Id, FlatValue, bool] | None = self._after[origin]
            while last is not None:
                (item, value, has_value), last = last, self._after.get(last[0])
                followed += 1
            keys, name = self._place(key)
            if has_value and item not in gone:
                keys[name] = value
            else:
                keys.pop(name, None)
        if followed != len(self._after):
            raise Unsure
        return self._found

    def _place(self, key: str) -> tuple[dict[str, FlatValue], str]:
        """Where a key is found."""
        before, stroke, name = key.partition(STROKE)
        return self._found.setdefault(before if stroke else None, {}), name if stroke else key

    def _begin_key(self, key: str, value: FlatValue) -> None:
        keys, name = self._place(key)
        keys[name] = value
        self._begun += 1

    def _key(self, client: int, clock: int) -> str | None:
        keys = self._keys.get(client)
        if keys is None or clock >= len(keys):
            raise Unsure
        key = keys[clock]
        return key[1 : key[0] + 1].decode() if isinstance(key, bytes) else key

    def _read_client(self, data: bytes, pos: int) -> int:
        begin, size = self._begin, len(self._begin)
        structs, pos = read_varuint(data, pos)
        client, pos = read_varuint(data, pos)
        clock, pos = read_varuint(data, pos)
        keys = self._keys.setdefault(client, [])
        if clock != len(keys):  # Something is missing, or comes twice.
            raise Unsure
        for _ in range(structs):
            info = data[pos]
            if info == _ENTRY and data.startswith(begin, pos + 1):
                key, pos = _text(data, pos + 1 + size)
                value, pos = _value(data, pos)
                self._begin_key(key, value)
                keys.append(key)
            else:
                pos = self._read_other(data, pos, info, (client, len(keys)), keys)
        return pos

    def _read_other(self, data: bytes, pos: int, info: int, item: Id, keys: list[str | bytes | None]) -> int:
        """An item that takes the place of another, or items that are gone, each in the place of the last."""
        kind = info & 0x0F
        value: FlatValue = None
        length = 1
        if info & ~0x0F == HAS_KEY | HAS_ORIGIN and kind in (ANY, DELETED):
            origin, pos = read_id(data, pos + 1)
            value, pos = _value(data, pos) if kind == ANY else (None, pos)
            self._follow(origin, item, value, has_value=kind == ANY)
            keys.append(None)
        elif info == _GONE_ENTRY and data.startswith(self._begin, pos + 1):
            key, pos = _text(data, pos + 1 + len(self._begin))
            self._begin_key(key, None)
            self._gone.add(item)
            keys.append(key)
        else:
            raise Unsure
        if kind == DELETED:
            length, pos = read_varuint(data, pos)
            self._look_at(length)
        client, clock = item
        for at in range(clock + 1, clock + length):
            self._follow((client, at - 1), (client, at), None, has_value=False)
            keys.append(None)
        return pos

    def _follow(self, origin: Id, item: Id, value: FlatValue, *, has_value: bool) -> None:
        if origin in self._after:
            raise Unsure
        self._after[origin] = item, value, has_value

    def _look_at(self, gone: int) -> None:
        self._gone_left -= gone
        if self._gone_left < 0:
            raise Unsure

    def _read_deleted(self, data: bytes, pos: int) -> int:
        clients, pos = read_varuint(data, pos)
        for _ in range(clients):
            client, pos = read_varuint(data, pos)
            ranges, pos = read_varuint(data, pos)
            for _ in range(ranges):
                clock, pos = read_varuint(data, pos)
                length, pos = read_varuint(data, pos)
                if clock + length > len(self._keys.get(client, ())):
                    raise Unsure
                self._look_at(length)
                self._gone.update((client, at) for at in range(clock, clock + length))
        return pos


def _text(data: bytes, pos: int) -> tuple[str, int]:
    """The text with its length before it, and the position after it."""
    length = data[pos]
    if length < 0x80:
        end = pos + 1 + length
        return data[pos + 1 : end].decode(), end
    length, pos = read_varuint(data, pos)
    return data[pos : pos + length].decode(), pos + length


def _value(data: bytes, pos: int) -> tuple[FlatValue, int]:
    """One value, with the number of values before it, and the position after it."""
    if data[pos] != 1:
        raise Unsure
    if data[pos + 1] == ANY_STRING:
        return _text(data, pos + 2)
    return read_scalar(data, pos + 1)
