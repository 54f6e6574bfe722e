"""Clocks of tests that begin at the present moment."""

from crdtsync.runtime.clock import SystemClock
from crdtsync.testing.clock import ManualClock


def clock_of_now(ahead_ms: int = 0) -> ManualClock:
    """A clock to be moved, in the time zone of these tests (see ``conftest.zone_of_noon``): in another zone a
    business day would begin between what was made with the system's clock and what is made with this one.
    """
    system = SystemClock()
    now_ms = system.now_ms()
    return ManualClock(now_ms + ahead_ms, system.utc_offset_min(now_ms))
