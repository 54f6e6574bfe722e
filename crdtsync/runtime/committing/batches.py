"""How much of what has arrived is brought to disk at a time, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from crdtsync.protocol.limits import PACK_UNPACKED_BYTES_MAX, UNPACKED_AT_ONCE_BYTES_MAX
from crdtsync.protocol.work import Delivery
from crdtsync.storage.pack import PACK_BYTES_MAX, decode_pack, unpack, unpacked_cost, unpacked_size

if TYPE_CHECKING:
    from crdtsync.runtime.committing.work import Work


KEPT_ROWS_MIN: Final = 1024
KEPT_BYTES_MIN: Final = 1 << 20
"""Packs of the past that have so many rows or bytes are stored as they came."""


def rows_of(delivery: Delivery) -> list[tuple[int, bytes]]:
    """(seq, record) of what a delivery brings. Raises ``MalformedRecord`` for bytes that are no pack, or for
    one that says that it becomes too large, before the memory is taken.
    """
    if delivery.blob:
        return decode_pack(delivery.blob, bytes_max=PACK_UNPACKED_BYTES_MAX)
    return list(delivery.records)


def unpacked(delivery: Delivery) -> tuple[list[tuple[int, bytes]], list[bytes | None]]:
    """As ``rows_of``, for a pack, and the links of its entries. Raises as it does."""
    return unpack(delivery.blob, bytes_max=PACK_UNPACKED_BYTES_MAX)


def is_history(work: Work) -> bool:
    """Whether it is one pack of the past, which is asked for by interval: it moves no position."""
    return len(work.deliveries) == 1 and _is_past(work.deliveries[0])


def _is_past(delivery: Delivery) -> bool:
    return delivery.fills is not None and bool(delivery.blob)


def history_apart(work: Work) -> list[Work]:
    """The same in the same order, each pack of the past by itself: what one read of a socket brought may hold
    several, and what is not by itself is not stored as the pack that it came as. What is to be written down
    beside the deliveries goes with the last of them.
    """
    parts: list[list[Delivery]] = []
    for delivery in work.deliveries:
        if parts and not _is_past(delivery) and not _is_past(parts[-1][-1]):
            parts[-1].append(delivery)
        else:
            parts.append([delivery])
    if len(parts) < 2:
        return [work]
    before = [replace(work, deliveries=part, acknowledged=None, refused=[], also=None) for part in parts[:-1]]
    return [*before, replace(work, deliveries=parts[-1])]


def is_kept_as_pack(blob: bytes) -> bool:
    """Whether a pack of the past is stored as it came, where it can be: a small one is not worth that what is
    loose before it is packed too, and a log makes none that is much larger than this.
    """
    rows, size = unpacked_size(blob)
    return (rows >= KEPT_ROWS_MIN or size >= KEPT_BYTES_MIN) and size <= 2 * PACK_BYTES_MAX


def by_peer(batch: list[Work]) -> list[list[Work]]:
    """The work of each peer, in its order: what came in several frames is one run all the same."""
    peers: dict[tuple[bytes, bytes, str], list[Work]] = {}
    for work in batch:
        peers.setdefault((work.shop, work.peer_log, work.role), []).append(work)
    return list(peers.values())


def bounded(batch: list[Work]) -> list[list[Work]]:
    """The same work in the same order, in as many transactions as it needs: history by itself, and of packs
    no more than may be unpacked at once. Thousands of sales compress to some kilobytes, a row of one letter
    to nothing: what may wait as packs would fill a machine's memory.
    """
    parts: list[list[Work]] = [[]]
    unpacked = 0
    for work in batch:
        cost = sum(unpacked_cost(delivery.blob) for delivery in work.deliveries if delivery.blob)
        keeps_apart = bool(parts[-1]) and (is_history(work) or is_history(parts[-1][-1]))
        if parts[-1] and (keeps_apart or unpacked + cost > UNPACKED_AT_ONCE_BYTES_MAX):
            parts.append([])
            unpacked = 0
        parts[-1].append(work)
        unpacked += cost
    return parts
