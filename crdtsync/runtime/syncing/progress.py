"""How far synchronising is: what is left, counted, and how long it will take, by what was done of late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import orjson

from crdtsync.errors import DamagedStore
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.protocol.intervals import Interval, overlaps
from crdtsync.runtime.folder.identity import Relay
from crdtsync.storage.log import ShopLog

WINDOW_S: Final = 10.0
"""The speed is that of the last seconds: a link that has become slow is told as slow."""

KNOWN_AFTER_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far synchronising is. ``to_send`` are the records that the relay has not acknowledged (the number
    that `status` shows as pending), ``to_receive`` the rows of the relay's log that are not here yet: those
    of them that came from here go by at once; ``first_to_receive`` those that matter at once: products and
    today. ``left_s`` is None while it is not known.
    """

    is_connected: bool
    to_receive: int
    to_send: int
    bytes_moved: int
    left_s: float | None
    first_to_receive: int = 0


@dataclass(frozen=True, slots=True)
class HistoryLeft:
    """Records of the relay's log from before this register came that are still to be fetched: how many, and
    how long that will take (None where nobody fetches them, or it is not known).
    """

    records: int
    left_s: float | None


HISTORY: Final = "history_left"
"""State key: what the process that fetches the history last saw of its pace, as JSON."""

HISTORY_SAID_MS: Final = 10_000
"""What was said of the pace counts for so long."""


def save_pace(log: ShopLog, at_ms: int, left_s: float | None) -> None:
    """Inside a transaction: how long the rest of the history will take, as it looks at ``at_ms``."""
    log.set_state(HISTORY, orjson.dumps([at_ms, left_s]))


def history_left(log: ShopLog, relay_log: bytes, now_ms: int) -> HistoryLeft | None:
    """What of the history is still to come, as far as the disk knows; None if nothing is."""
    cursor = log.cursor(relay_log)
    if cursor is None or not cursor.wanted:
        return None
    left_s, data = None, log.state(HISTORY)
    if data is not None:
        at_ms, said_s = orjson.loads(data)
        is_fresh = 0 <= now_ms - at_ms <= HISTORY_SAID_MS
        left_s = max(0.0, said_s - (now_ms - at_ms) / 1000) if is_fresh and said_s is not None else None
    return HistoryLeft(sum(hi - lo + 1 for lo, hi in cursor.wanted), left_s)


FIRST: Final = "first_wanted"
"""State key: which rows of which log come first, as the newest cut of it said (JSON)."""


def save_first(log: ShopLog, peer_log: bytes, first: Iterable[Interval]) -> None:
    """Inside a transaction, with the cut that said so: these rows of a peer's log are needed first."""
    log.set_state(FIRST, orjson.dumps([peer_log.hex(), list(first)]))


def is_first_left(log: ShopLog, relay: Relay | None) -> bool:
    """Whether products or sales of today, which a new register needs, are still to come from its relay, as
    far as the disk knows. Raises ``StorageError``.
    """
    if relay is None:
        return False
    relay_log = relay.log_id or b""
    cursor = log.cursor(relay_log) if relay_log else None
    if cursor is None:  # It was never met. Who has products all the same had them before.
        return log.document(CATALOGUE_DOCUMENT) is None
    data: bytes | None = None
    with suppress(DamagedStore):  # It is written once: what waits for it would wait for ever.
        data = log.state(FIRST)
    if data is None or not cursor.wanted:
        return False
    peer_log, first = orjson.loads(data)
    return bool(relay_log.hex() == peer_log) and any(overlaps(cursor.wanted, (lo, hi)) for lo, hi in first)


class Speedometer:
    """How long what is left will take. The two directions run side by side: the slower one counts."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def left_s(self, now_s: float, to_receive: int, to_send: int) -> float | None:
        """Take note of what is left now. Seconds; None while nothing was seen to move."""
        self._seen.append((now_s, to_receive, to_send))
        while now_s - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        if not to_receive and not to_send:
            return 0.0
        began_s, *before = self._seen[0]
        elapsed_s = now_s - began_s
        if elapsed_s < KNOWN_AFTER_S:
            return None
        left_s = 0.0
        for was, left in zip(before, (to_receive, to_send), strict=True):
            if left and was <= left:
                return None
            if left:
                left_s = max(left_s, elapsed_s * left / (was - left))
        return left_s


COUNT_EVERY_S: Final = 0.25
COUNT_SHARE: Final = 0.05
"""Counting a long backlog takes a while: it is done for so much of the time at most."""

COUNT_LOST_S: Final = 10.0
"""A count that was not answered in that time never will be: the disk could not be read."""


class PendingCount:
    """How many records are pending, counted now and then. ``count`` has them counted elsewhere and hands the
    number over later.
    """

    def __init__(
        self, count: Callable[[Callable[[int], None]], None], clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._clock_s = clock_s
        self._known = 0
        self._began_s = self._due_s = clock_s()

    def now(self, *, is_none: bool) -> int:
        """The number as it was counted last; 0 at once if it is known that there are none."""
        if is_none:
            self._known = 0
            return 0
        now_s = self._clock_s()
        if now_s >= self._due_s:
            self._began_s, self._due_s = now_s, now_s + COUNT_LOST_S
            self._count(self._counted)
        return self._known

    def _counted(self, number: int) -> None:
        now_s = self._clock_s()
        self._known = number
        self._due_s = now_s + max(COUNT_EVERY_S, (now_s - self._began_s) / COUNT_SHARE)
