"""Where a register gets the time and its random bytes: passed in, so that a simulation can give its own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Protocol

RandomBytes = Callable[[int], bytes]
"""Gives that many random bytes; nobody may be able to guess them in production."""

system_random: RandomBytes = secrets.token_bytes


class Clock(Protocol):
    """The wall clock of the machine. It may be wrong and it may step: nothing is ordered by it."""

    def now_ms(self) -> int:
        """Unix milliseconds."""
        ...

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes that local time is ahead of UTC at that moment."""
        ...


class SystemClock:
    """The clock and the time zone of the operating system."""

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes that local time is ahead of UTC at that moment, by the system's time zone."""
        return (time.localtime(at_ms // 1000).tm_gmtoff or 0) // 60
