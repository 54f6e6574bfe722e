"""Virtual time: what happens next, and when. Nothing waits, and nothing happens by itself."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

FIRST_MS: Final = 1_795_507_200_000
"""2026-11-24, 08:00 UTC: ten minutes before the shop opens."""


class Event:
    """Something that is to happen; ``cancel`` keeps it from happening."""

    __slots__ = ("is_cancelled", "what")

    def __init__(self, what: Callable[[], object]) -> None:
        self.what = what
        self.is_cancelled = False

    def cancel(self) -> None:
        """Let it not happen."""
        self.is_cancelled = True


class Timeline:
    """The one clock that is right, and the events in their order. Those of one moment happen in the order in
    which they were set down, so that a run depends on nothing but its seed.
    """

    def __init__(self) -> None:
        self.now_us = FIRST_MS * 1000
        self.events = 0
        """How many have happened."""
        self._queue: list[tuple[int, int, Event]] = []
        self._set_down = 0

    @property
    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self.now_us // 1000

    def after_us(self, delay_us: int, what: Callable[[], object]) -> Event:
        """Let something happen so many microseconds from now."""
        return self._put(self.now_us + max(0, delay_us), what)

    def at_ms(self, at_ms: int, what: Callable[[], object]) -> Event:
        """Let something happen at that time, or now if it has passed."""
        return self._put(max(self.now_us, at_ms * 1000), what)

    def _put(self, at_us: int, what: Callable[[], object]) -> Event:
        event = Event(what)
        self._set_down += 1
        heapq.heappush(self._queue, (at_us, self._set_down, event))
        return event

    def step(self, until_us: int) -> bool:
        """Let the next event happen, if it is not later than ``until_us``; whether there was one."""
        queue = self._queue
        while queue and queue[0][0] <= until_us:
            at_us, _, event = heapq.heappop(queue)
            if event.is_cancelled:
                continue
            self.now_us = at_us
            self.events += 1
            event.what()
            return True
        self.now_us = max(self.now_us, until_us)
        return False
