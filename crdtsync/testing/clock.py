"""Time and chance that a test sets."""

from __future__ import annotations

import random

from crdtsync.runtime.clock import RandomBytes

OPENING_MS = 1_795_507_200_000
"""24 November 2026, 08:00 UTC: 09:00 in Paris."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class ManualClock:
    """A wall clock that stands still until it is moved. In Paris, in winter."""

    def __init__(self, at_ms: int = OPENING_MS, utc_offset_min: int = 60) -> None:
        self.at_ms = at_ms
        self.offset_min = utc_offset_min

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self.at_ms

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes ahead of UTC."""
        return self.offset_min

    def pass_ms(self, duration_ms: int) -> None:
        """Move it on or, with a negative duration, back."""
        self.at_ms += duration_ms


def seeded_bytes(seed: int) -> RandomBytes:
    """Bytes that look random and are the same for the same seed."""
    return random.Random(seed).randbytes
