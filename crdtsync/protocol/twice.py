"""Finding what was written twice: two updates that say different things under one client and clock.

A client writes each clock once. Where two devices write as one client (a machine was copied while it ran, or
a device does it on purpose), the CRDT engine takes what comes first and passes the other over in silence, on
each replica as it happens to arrive: contents differ for ever although every replica holds the same records.
"""

from __future__ import annotations

import hashlib

from crdtsync.protocol.yjs import DELETED, GC, SKIP, UPDATE_LIMITS, UpdateReader

_SAYS_NOTHING = frozenset((DELETED, GC, SKIP))


class WrittenOnce:
    """What the updates of one document say, by client and clock. Costs some 150 bytes for each block."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, int, int], int] = {}

    def add(self, update: bytes) -> tuple[int, int] | None:
        """Take one more update, which the scanner has read: the first (client, clock) under which another
        update says something else, or None. Blocks that were cut otherwise are not compared.
        """
        found = None
        for block in UpdateReader(update, UPDATE_LIMITS).blocks():
            if block.kind in _SAYS_NOTHING:
                continue
            key = block.client, block.clock, block.length
            place = repr((block.kind, block.origin, block.right_origin, block.parent, block.key)).encode()
            digest = hashlib.sha256(place + update[block.start : block.end]).digest()
            said = int.from_bytes(digest[:8], "big")
            if self._said.setdefault(key, said) != said and found is None:
                found = block.client, block.clock
        return found
