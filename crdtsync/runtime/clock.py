"""Where a register gets the time and its random bytes: passed in, so that a simulation can give its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol, runtime_checkable

QUARTER_MS: Final = 15 * 60 * 1000

RandomBytes = Callable[[int], bytes]
"""Gives that many random bytes; nobody may be able to guess them in production."""


def system_random(size: int) -> bytes:
    """That many bytes of the operating system's generator."""
    return os.urandom(size)


class Clock(Protocol):
    """The wall clock of the machine. It may be wrong and it may step: nothing is ordered by it."""

    def now_ms(self) -> int:
        """Unix milliseconds."""
        ...

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes that local time is ahead of UTC at that moment."""
        ...


@runtime_checkable
class Ticking(Protocol):
    """A clock that also counts time that nobody sets, by which it is noticed that the wall clock was set. One
    that is moved by hand, together with others', has none.
    """

    def ticks_ms(self) -> int:
        """Milliseconds, with those in which the machine slept, where the system counts these."""
        ...


class SystemClock:
    """The clock and the time zone of the operating system."""

    def ticks_ms(self) -> int:
        """See ``Ticking``."""
        boot_time = getattr(time, "CLOCK_BOOTTIME", None)
        passed_ns = time.monotonic_ns() if boot_time is None else time.clock_gettime_ns(boot_time)
        return passed_ns // 1_000_000

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes that local time is ahead of UTC at that moment, by the system's time zone."""
        return _offset_min(at_ms // QUARTER_MS, time.timezone, time.altzone)


@lru_cache(maxsize=64)
def _offset_min(quarters: int, _timezone: int, _altzone: int) -> int:
    # Every sale asks. Clocks are changed at whole quarters of an hour.
    return (time.localtime(quarters * QUARTER_MS // 1000).tm_gmtoff or 0) // 60
