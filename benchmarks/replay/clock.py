"""The clock of the replay: the time of the source, passed on by the basket.

The source's timestamps are UTC without saying so (least is sold between three and four in the morning of the
American east coast). A register of the replay has this clock instead of the machine's: it stands at the time
of the basket that is being sold, with the offset of that zone (summer time included), and never goes back.
The relay keeps the machine's own clock, so that it sees registers that are years behind: that changes what is
shown, and must change nothing of what is recorded.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("America/New_York")
DAY_STARTS_MIN: Final = 4 * 60
"""The business day begins at four in the morning: a shop that is open at midnight goes on selling."""


class SourceClock:
    """A ``crdtsync`` clock that is set by hand, forwards only."""

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms

    def set(self, at_ms: int) -> None:
        """It is that time now, or later."""
        self._at_ms = max(self._at_ms, at_ms)

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._at_ms

    def utc_offset_min(self, at_ms: int) -> int:
        """Minutes that the store's local time is ahead of UTC at that moment."""
        offset = datetime.fromtimestamp(at_ms / 1000, ZONE).utcoffset() or timedelta()
        return int(offset.total_seconds()) // 60


def business_day(at_ms: int) -> str:
    """The business day of a moment, ``YYYY-MM-DD``."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZONE).replace(tzinfo=None)
    return (at - timedelta(minutes=DAY_STARTS_MIN)).date().isoformat()
