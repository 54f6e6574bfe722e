"""What a Yjs document holds, as one digest: equal on two replicas exactly when content and deletions are.

State vectors do not see deletions, and the bytes of a state depend on the order in which a hash map is
walked and on how items were cut into blocks. So the state is read and written in one form: per client the
ranges that are gone (deleted or collected), then what lives, neighbours joined, objects sorted by key.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson

from crdtsync.protocol.lib0 import ANY_ARRAY, ANY_OBJECT, read_text, read_varuint
from crdtsync.protocol.yjs import (
    ANY,
    DELETED,
    EMBED,
    FORMAT,
    GC,
    SKIP,
    STATE_LIMITS,
    STRING,
    Block,
    UpdateReader,
)

Ranges = list[tuple[int, int]]
"""(clock, clock after the last), ascending and apart."""

_JOINED = frozenset((ANY, STRING))


def records_fingerprint(digests: Iterable[bytes]) -> bytes:
    """SHA-256 over the digests of a document's records: what stands for its content where nobody can read the
    state that the engine makes of them (``content_fingerprint`` raises ``UnsafeUpdate``). Equal on two
    replicas exactly when their records are; such a document is never compacted.
    """
    return hashlib.sha256(b"crdtsync/yjs-records/v1\0" + b"".join(sorted(digests))).digest()


def content_fingerprint(state: bytes) -> bytes:
    """SHA-256 of what a document holds. ``state`` is all of it: ``doc.get_update()``, from an empty state.

    The same for every order in which the updates were applied, for every cut into blocks and for a
    document rebuilt from a compacted state; different where a value, an order or a deletion differs.
    O(document). Raises ``UnsafeUpdate`` for bytes that are no state.
    """
    reader = UpdateReader(state, STATE_LIMITS)
    gone: defaultdict[int, Ranges] = defaultdict(list)
    living: defaultdict[int, list[Block]] = defaultdict(list)
    for block in reader.blocks():
        if block.kind in (GC, DELETED):
            gone[block.client].append((block.clock, block.clock + block.length))
        elif block.kind != SKIP:
            living[block.client].append(block)
    for client, clock, length in reader.deletions():
        gone[client].append((clock, clock + length))
    digest = hashlib.sha256(b"crdtsync/yjs/v1\0")
    for client in sorted(gone.keys() | living.keys()):
        ranges = _joined(gone.get(client, []))
        digest.update(repr((client, ranges)).encode())
        _add_living(digest, state, living.get(client, []), ranges)
    return digest.digest()


def _joined(ranges: Ranges) -> Ranges:
    joined: Ranges = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _add_living(digest: Any, state: bytes, blocks: Iterable[Block], gone: Ranges) -> None:
    """Add the blocks of one client that are not gone: each run its place, then its contents."""
    before: Block | None = None
    place = 0
    for block in blocks:
        while place < len(gone) and gone[place][1] <= block.clock:
            place += 1
        if place < len(gone) and gone[place][0] <= block.clock:
            continue
        if before is None or not _continues(block, before):
            where = (block.clock, block.kind, block.origin, block.right_origin, block.parent, block.key)
            digest.update(b"\0\0" + repr(where).encode())
        digest.update(_content(state, block))
        before = block


def _continues(block: Block, before: Block) -> bool:
    """Whether the engine may have cut one block in two here."""
    return (
        block.kind == before.kind
        and block.kind in _JOINED
        and block.clock == before.clock + before.length
        and block.origin == (block.client, block.clock - 1)
        and block.right_origin == before.right_origin
    )


def _content(state: bytes, block: Block) -> bytes:
    if block.kind == ANY:
        parts = []
        pos = block.start
        for _ in range(block.length):
            part, pos = _any(state, pos)
            parts.append(part)
        return b"".join(parts)
    if block.kind == EMBED:
        return _json(state, block.start)
    if block.kind == FORMAT:
        _, pos = read_text(state, block.start)
        return state[block.start : pos] + _json(state, pos)
    return state[block.start : block.end]


def _json(state: bytes, pos: int) -> bytes:
    text, _ = read_text(state, pos)
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)


def _any(state: bytes, pos: int) -> tuple[bytes, int]:
    """The value at ``pos`` in one form, and the position after it. The reader has judged it before."""
    tag = state[pos]
    if tag in (ANY_OBJECT, ANY_ARRAY):
        return _container(state, pos)
    start = pos
    pos += 1
    if tag in (0x77, 0x74):
        length, pos = read_varuint(state, pos)
        return state[start : pos + length], pos + length
    if tag == 0x7D:
        while state[pos] >= 0x80:
            pos += 1
        return state[start : pos + 1], pos + 1
    pos += struct.calcsize({0x7C: "f", 0x7B: "d", 0x7A: "q"}.get(tag, ""))
    return state[start:pos], pos


def _container(state: bytes, pos: int) -> tuple[bytes, int]:
    tag = state[pos : pos + 1]
    count, pos = read_varuint(state, pos + 1)
    items: list[bytes] = []
    for _ in range(count):
        start = pos
        if tag[0] == ANY_OBJECT:
            _, pos = read_text(state, pos)
        key = state[start:pos]
        value, pos = _any(state, pos)
        items.append(key + value)
    if tag[0] == ANY_OBJECT:
        items.sort()
    return tag + repr(count).encode() + b"".join(items), pos
