"""Causal order: an update reaches the CRDT engine only after everything that it builds on.

The engine takes updates in any order, but not well: of an update that arrives before another of the same
client it integrates what it can and *loses* the rest, also of plain maps, and a document with a hole can
write states that nobody can read, or end the process. Records do arrive out of order (two paths, intervals
of the past). So whoever applies updates lets them pass through here; what waits is on disk all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from crdtsync.protocol.scanner import Scan


class CausalOrder:
    """What of one document was passed on, and what waits. Pure; one per ``Doc``, from its beginning."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._waiting: dict[int, list[tuple[int, int, bytes, Scan]]] = {}
        self._count = 0
        self._taken = 0

    @property
    def waiting(self) -> int:
        """How many updates wait for others."""
        return self._count

    def take(self, update: bytes, scan: Scan) -> list[bytes]:
        """The updates that may be applied now, in this order: none, this one, or this one and others that
        waited for it. An update that was passed on before is passed on again, which does no harm.
        """
        ready: list[bytes] = []
        todo = [(update, scan)]
        while todo:
            update, scan = todo.pop()
            missing = self._missing(scan)
            if missing is not None:
                client, clock = missing
                self._taken += 1
                heappush(self._waiting.setdefault(client, []), (clock, self._taken, update, scan))
                self._count += 1
                continue
            ready.append(update)
            for client, _, end in scan.clients:
                if end > self._known.get(client, 0):
                    self._known[client] = end
                    todo += self._released(client, end)
        return ready

    def _missing(self, scan: Scan) -> tuple[int, int] | None:
        for client, clock in scan.needs:
            if clock > self._known.get(client, 0):
                return client, clock
        return None

    def _released(self, client: int, known: int) -> list[tuple[bytes, Scan]]:
        heap = self._waiting.get(client, [])
        released = []
        while heap and heap[0][0] <= known:
            _, _, update, scan = heappop(heap)
            released.append((update, scan))
        self._count -= len(released)
        return released


def in_causal_order(updates: Iterable[tuple[bytes, Scan]]) -> tuple[list[bytes], int]:
    """All updates that can be applied, in an order in which they can, and how many cannot."""
    order = CausalOrder()
    ready = [passed for update, scan in updates for passed in order.take(update, scan)]
    return ready, order.waiting
