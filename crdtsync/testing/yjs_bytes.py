"""Yjs updates written by hand, byte by byte: those that no engine would write, and those that would hurt one.

The format is that of Yjs, version 1; see ``protocol.yjs`` for how it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def varuint(number: int) -> bytes:
    """A whole number as lib0 writes it."""
    data = b""
    while number >= 0x80:
        data, number = data + bytes([number & 0x7F | 0x80]), number >> 7
    return data + bytes([number])


def text(words: str) -> bytes:
    """A text as lib0 writes it: its length in bytes, and UTF-8."""
    data = words.encode()
    return varuint(len(data)) + data


def update(*blocks: bytes, client: int = 5, clock: int = 0, deleted: bytes = b"\0") -> bytes:
    """An update of one client: its blocks from a clock on, and the set of what is deleted."""
    return b"\1" + varuint(len(blocks)) + varuint(client) + varuint(clock) + b"".join(blocks) + deleted


def entry(key: str, value: bytes, root: str = "products") -> bytes:
    """The block of ``root[key] = value``; the value with its lib0 tag."""
    return b"\x28\1" + text(root) + text(key) + b"\1" + value


def item(kind: int, content: bytes, root: str = "list") -> bytes:
    """An item at the beginning of a root."""
    return bytes([kind]) + b"\1" + text(root) + content


def nested_values(levels: int) -> bytes:
    """A list in a list in a list, as a value."""
    return update(entry("k", b"\x75\1" * levels + b"\x7e"))


def nested_json(levels: int) -> bytes:
    """The same in JSON, as text has it embedded."""
    return update(item(5, text("[" * levels + "]" * levels)))


def hidden_behind_json(levels: int) -> bytes:
    """A list of JSON as Yjs once wrote them, and bytes under a key. The engine reads one text more than the
    list has, so that the bytes are no value to it but a block: values within values.
    """
    # The engine takes 0x28, the block after the list, for the length of that text, which ends before the size
    # of the bytes. The size is the next block to it: 0x88, a value with an origin.
    hidden = b"\0\1" + b"\x75\1" * levels + b"\x7e"
    size = len(hidden) + (8 - len(hidden)) % 128
    value = b"\x74" + varuint(size) + hidden.ljust(size, b"\0")
    return update(item(2, b"\1" + text("1"), root="a"), entry("k" * 34, value, root="a"))


NAME: Final = entry("A/name", b"\x77" + text("Sancerre"))
"""The block that gives a product its name."""

HALF_A_CHARACTER: Final = update(item(4, text("\U0001f377!"), root="text"), deleted=b"\1\5\1\1\1")
"""A text whose first character has two places in UTF-16, the second of them deleted. It is sound, and the
engine makes a state of it that no reader takes.
"""

MALFORMED: Final[Mapping[str, bytes]] = {
    "nothing at all": b"",
    "bytes left over": update(NAME) + b"\0",
    "an integer that is not minimal": b"\x81\0" + update(NAME)[1:],
    "an integer without an end": b"\xff" * 1000,
    "a length that is not minimal": update(entry("k", b"\x77\x83\0abc")),
    "a client id of 2^53": update(NAME, client=2**53),
    "a clock of 2^31": update(NAME, clock=2**31),
    "a clock that grows to 2^31": update(NAME, clock=2**31 - 1),
    "a client twice": b"\2" + update(NAME)[1:-1] + update(NAME, clock=1)[1:],
    "a client without blocks": b"\1\0\5\0\0",
    "more blocks than bytes": b"\1\x7f\5\0" + NAME + b"\0",
    "a string that is not UTF-8": update(entry("k", b"\x77\1\xff")),
    "a key that is not UTF-8": update(b"\x28\1" + text("products") + b"\1\xff\1\x78"),
    "a key that is too long": update(entry("k" * 513, b"\x78")),
    "a value of an unknown kind": update(entry("k", b"\x73")),
    "a value that is cut short": update(entry("k", b"\x7b\0\0"))[:-1],
    "bytes that are cut short": update(entry("k", b"\x74\x7f")),
    "a number that is too long": update(entry("k", b"\x7d" + b"\xff" * 9 + b"\1")),
    "a number that is not minimal": update(entry("k", b"\x7d\x81\0")),
    "a number beyond 2^53": update(entry("k", b"\x7d" + b"\xff" * 7 + b"\x3f")),
    "an object with a key twice": update(entry("k", b"\x76\2\1a\x78\1a\x78")),
    "no values": update(b"\x28\1" + text("products") + text("k") + b"\0"),
    "an empty text": update(item(4, text(""))),
    "an empty deletion": update(item(1, b"\0")),
    "an empty collected block": update(b"\0\0"),
    "a subdocument": update(item(9, text("guid") + b"\x76\0")),
    "a moved range": update(item(11, b"\0\0\0")),
    "an unknown kind of block": update(item(0x15, b"\0")),
    "an item of kind collected": update(b"\x20\1" + text("products") + text("k") + b"\1"),
    "a weak link": update(item(7, b"\x07\0")),
    "a hook": update(item(7, b"\x05" + text("hook"))),
    "an unknown parent": update(b"\x08\2" + text("list") + b"\1\x78"),
    "an embed that is not JSON": update(item(5, text("{"))),
    "a format that is not JSON": update(item(6, text("bold") + text("NaN"))),
    "a block before its origin": update(b"\x88\5\0\1\x78"),
    "a block before its right origin": update(b"\x48\5\1\1\x78"),
    "a block before its parent": update(b"\x08\0\5\0\1\x78"),
    "a hole at the end": update(NAME, b"\x0a\1"),
    "two holes side by side": update(b"\x0a\1", b"\x0a\1", NAME),
    "a parent that is no container": update(NAME, b"\x08\0\5\0\1\x78"),
    "text in a list": update(item(7, b"\0"), b"\x04\0\5\0" + text("a")),
    "items of a map without a key": update(item(7, b"\1"), b"\x08\0\5\0\1\x78"),
    "values in markup": update(item(7, b"\x03" + text("p")), b"\x08\0\5\0\1\x78"),
    "deletions that overlap": b"\0\1\5\2\0\2\1\1",
    "deletions that touch": b"\0\1\5\2\0\1\1\1",
    "deletions out of order": b"\0\1\5\2\5\1\0\1",
    "a deletion of nothing": b"\0\1\5\1\0\0",
    "a deletion beyond all clocks": b"\0\1\5\1\0" + varuint(2**31 - 1) + b"\0",
    "a client without deletions": b"\0\1\5\0",
    "a client deleted twice": b"\0\2\5\1\0\1\5\1\2\1",
    "more deletions than bytes": b"\0\1\5\x7f\0\1",
}
"""What no engine writes, by what is wrong with it: nothing of the sort is admitted to any document."""

HARMFUL: Final[Mapping[str, bytes]] = {
    "26,000 levels of values": nested_values(26_000),
    "26,000 levels of JSON": nested_json(26_000),
    "33 levels of values": nested_values(33),
    "33 levels of JSON": nested_json(33),
    "2,000 levels of JSON": nested_json(2000),
    "JSON of old": update(item(2, b"\1" + text("1"))),
    "30,000 levels behind JSON of old": hidden_behind_json(30_000),
    "12,000 blocks": update(item(8, b"\1\x78"), *[b"\x88\5\0\1\x78"] * 11_999),
    "60,000 values in one list": update(entry("k", b"\x75" + varuint(60_000) + b"\x7e" * 60_000)),
    "60,000 values in one block": update(item(8, varuint(60_000) + b"\x7e" * 60_000)),
    "5,000 values in JSON": update(item(5, text("[" + "1," * 5000 + "1]"))),
    "a count of 2^31": update(entry("k", b"\x75" + varuint(2**31 - 1))),
    "a string of 2^50 bytes": update(entry("k", b"\x77" + varuint(2**50))),
    "100 KB of 0xff": b"\xff" * 100_000,
    "20,000 deletions": b"\0\1\5" + varuint(20_000) + b"".join(varuint(2 * n) + b"\1" for n in range(20_000)),
    "600 blocks that should be one": update(
        item(8, b"\1\x78"), *[b"\x88\5" + varuint(n) + b"\1\x78" for n in range(600)]
    ),
    "300 clients": varuint(300) + b"".join(update(NAME, client=n)[1:-1] for n in range(300)) + b"\0",
}
"""What would cost the engine seconds, gigabytes or its life, by what it is. Never give it to one."""

NOT_FLAT: Final[Mapping[str, bytes]] = {
    "a list as a value": update(entry("k", b"\x75\0")),
    "an object as a value": update(entry("k", b"\x76\0")),
    "undefined": update(entry("k", b"\x7f")),
    "a list item": update(item(8, b"\1\x78", root="products")),
    "text": update(item(4, text("a"), root="products")),
    "a nested map": update(b"\x27\1" + text("products") + text("k") + b"\1"),
    "an entry of a nested map": update(b"\x28\0\7\0" + text("k") + b"\1\x78"),
    "two values in one entry": update(b"\x28\1" + text("products") + text("k") + b"\2\x78\x78"),
    "bytes outside of values": update(b"\x23\1" + text("products") + text("k") + b"\1a"),
    "an entry with a right neighbour": update(b"\xe8\7\0\7\1\1\x78"),
    "an overwrite that is no entry": update(b"\x88\7\0\1\x78"),
    "a collected block": update(b"\0\1"),
    "a hole": update(NAME, b"\x0a\1", NAME),
}
"""Sound updates that a catalogue does not take, since it is a flat map of plain values."""
