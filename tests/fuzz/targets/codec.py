"""Frames: ``decode`` of whatever a peer sends. What it takes comes back when it is encoded and read again."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgpack

from crdtsync.errors import MalformedMessage
from crdtsync.protocol.codec import decode, encode
from crdtsync.testing.messages import one_of_each
from tests.fuzz.mutation import EDGES, with_byte_changed, with_tree_changed
from tests.fuzz.target import Target, require

INPUT_BYTES_MAX: Final = 64 << 10

_VALUES: Final[tuple[Any, ...]] = (
    *EDGES[:-3],
    *(None, True, False, 1.5, float("nan"), "", "x" * 41, "x" * 401, "\0", "\u202e", "\x1b[2J", "é" * 400),
    *(b"", bytes(16), bytes(31), bytes(32), bytes(33), bytes(64), bytes(4097)),
    *([], [[]], [0, 0], [1, 1], [2, 1], [1] * 40, [[]] * 30, {}, {"a": 1}, {1: 2}, {"a": []}),
    *(msgpack.ExtType(5, b"x"), msgpack.Timestamp(1)),
)


def _run(data: bytes) -> None:
    try:
        message = decode(data)
    except MalformedMessage:
        return
    require(decode(encode(message)) == message, "a message does not come back as it was")


def _seeds() -> Iterator[bytes]:
    for message in one_of_each():
        yield encode(message)


def _mutate(data: bytes, rng: Random) -> bytes:
    try:
        tree = msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")
        changed = with_tree_changed(_opened(tree), rng, _VALUES)
        return bytes(msgpack.packb(_closed(changed), unicode_errors="surrogateescape"))
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
        return with_byte_changed(data, rng)


def _opened(tree: Any) -> Any:
    """A hello holds its body packed: unpack it, to change what is inside."""
    if isinstance(tree, list) and len(tree) == 3 and tree[0] == 2 and isinstance(tree[1], bytes):
        return [2, msgpack.unpackb(tree[1], strict_map_key=False), tree[2]]
    return tree


def _closed(tree: Any) -> Any:
    if isinstance(tree, list) and len(tree) == 3 and tree[0] == 2 and isinstance(tree[1], list):
        return [2, msgpack.packb(tree[1]), tree[2]]
    return tree


TARGET = Target("codec", _run, _seeds, _mutate, INPUT_BYTES_MAX)
