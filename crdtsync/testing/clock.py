"""Time and chance that a test sets."""

from __future__ import annotations

import random

from crdtsync.runtime.clock import RandomBytes

OPENING_MS = 1_795_507_200_000
"""24 November 2026, 08:00 UTC: 09:00 in Paris."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class ManualClock:
    """A wall clock (``runtime.clock.Clock``) that stands still until it is moved. In Paris, in winter.

    ``pass_ms`` lets time pass, of which a clock that drifts makes more or less; ``set_ms`` is what a person
    or the network does to it: it may jump to any time, back too.
    """

    def __init__(self, at_ms: int = OPENING_MS, utc_offset_min: int = 60, *, drift_ppm: int = 0) -> None:
        self.at_ms = at_ms
        """What it shows, in Unix milliseconds."""
        self.offset_min = utc_offset_min
        """Minutes ahead of UTC; change it where summer time begins."""
        self.drift_ppm = drift_ppm
        """How many millionths too fast it goes (negative: too slow)."""
        self._left_millionths = 0

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self.at_ms

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes ahead of UTC."""
        return self.offset_min

    def pass_ms(self, duration_ms: int) -> None:
        """Move it on or, with a negative duration, back, by so much and what it drifts meanwhile."""
        self._left_millionths += duration_ms * self.drift_ppm
        drifted_ms, self._left_millionths = divmod(self._left_millionths, 1_000_000)
        self.at_ms += duration_ms + drifted_ms

    def set_ms(self, at_ms: int) -> None:
        """Set it, forwards or back."""
        self.at_ms = at_ms


def seeded_bytes(seed: int) -> RandomBytes:
    """Bytes that look random and are the same for the same seed."""
    return random.Random(seed).randbytes
