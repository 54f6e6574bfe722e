"""The wall clock of one machine: it may go too fast, jump, or be set back."""

from __future__ import annotations

from typing import Final

from crdtsync.testing.simulation.timeline import Timeline

UTC_OFFSET_MIN: Final = 60


class SimulatedClock:
    """A ``runtime.clock.Clock``: ``ahead_ms`` from the true time now, and ``drift_ppm`` more all the time."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._ahead_us = 0
        self._drift_ppm = 0
        self._since_us = timeline.now_us

    def set(self, *, ahead_ms: int | None = None, drift_ppm: int | None = None) -> None:
        """From now on the clock is so much ahead of the truth (negative: behind), or drifts so fast."""
        self._ahead_us = self._ahead() if ahead_ms is None else ahead_ms * 1000
        self._since_us = self._timeline.now_us
        if drift_ppm is not None:
            self._drift_ppm = drift_ppm

    @property
    def ahead_ms(self) -> int:
        """How far it is ahead of the truth."""
        return self._ahead() // 1000

    def _ahead(self) -> int:
        return self._ahead_us + (self._timeline.now_us - self._since_us) * self._drift_ppm // 1_000_000

    def now_ms(self) -> int:
        """Unix milliseconds, as this machine believes."""
        return (self._timeline.now_us + self._ahead()) // 1000

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes that local time is ahead of UTC."""
        return UTC_OFFSET_MIN
