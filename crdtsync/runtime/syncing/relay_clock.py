"""What the relay's clock shows while one is connected, and so what the own clock is worth.

The relay says its time once, in its hello. A connection may last for weeks, in which a clock can be set or
jump; so the time is counted on from there by a clock that nobody sets, and compared now and then.
"""

from __future__ import annotations

from typing import Final

from crdtsync.runtime.clock import Clock, Ticking
from crdtsync.runtime.folder.identity import ClockOffset

TOLERANCE_MS: Final = 1_000
"""A wall clock that has moved by more against the relay's is news."""

MEASURED_EVERY_MS: Final = 3_600_000
"""How old a measure may be while the relay is there: until when the relay vouches for the date goes by it."""


class RelayClock:
    """The relay's clock since it was last met. Milliseconds. ``clock`` is the machine's."""

    def __init__(self, clock: Clock) -> None:
        self._ticking = clock if isinstance(clock, Ticking) else None
        self._ahead_of_ticks_ms: int | None = None

    def met(self, time_ms: int) -> None:
        """It says that it is ``time_ms``."""
        if self._ticking is not None:
            self._ahead_of_ticks_ms = time_ms - self._ticking.ticks_ms()

    def compared_with(self, now_ms: int) -> ClockOffset | None:
        """How far a wall clock that shows ``now_ms`` is from it. None before it was met, and with a clock
        that does not tell.
        """
        if self._ticking is None or self._ahead_of_ticks_ms is None:
            return None
        return ClockOffset(now_ms - self._ahead_of_ticks_ms - self._ticking.ticks_ms(), now_ms)


def is_news(measured: ClockOffset, known: ClockOffset | None) -> bool:
    """Whether it is worth writing down: it has moved, or what is known is old, by either clock."""
    if known is None or abs(known.offset_ms - measured.offset_ms) > TOLERANCE_MS:
        return True
    return not 0 <= measured.measured_at_ms - known.measured_at_ms < MEASURED_EVERY_MS
