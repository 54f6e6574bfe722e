"""What a register knows of its own clock: while the relay is there, and afterwards."""

import pytest

from crdtsync.runtime.clock import SystemClock
from crdtsync.runtime.folder.identity import CLOCK_OFFSET_MAX_MS, MEASURE_LASTS_MS, ClockOffset
from crdtsync.runtime.syncing.relay_clock import (
    MEASURED_EVERY_MS,
    TOLERANCE_MS,
    RelayClock,
    is_news,
)
from crdtsync.testing.clock import DAY_MS, HOUR_MS, ManualClock

NOON_MS = 1_795_521_600_000


class Ticks(ManualClock):
    """A clock that can be set, and milliseconds that the test lets pass."""

    passed_ms = 5_000

    def ticks_ms(self):
        return self.passed_ms


def test_before_the_relay_was_met_nothing_is_known():
    assert RelayClock(SystemClock()).compared_with(NOON_MS) is None


def test_a_clock_that_jumps_on_a_line_that_stays_is_seen():
    ticks = Ticks(NOON_MS)
    relay = RelayClock(ticks)
    relay.met(NOON_MS)
    ticks.passed_ms += 3 * DAY_MS
    now_ms = NOON_MS + 3 * DAY_MS
    assert relay.compared_with(now_ms) == ClockOffset(0, now_ms)
    assert relay.compared_with(now_ms + 365 * DAY_MS).offset_ms == 365 * DAY_MS
    assert relay.compared_with(now_ms - HOUR_MS).offset_ms == -HOUR_MS
    assert relay.compared_with(now_ms + 365 * DAY_MS).relay_time_ms == now_ms


def test_time_that_nobody_sets_goes_on():
    clock = SystemClock()
    before = clock.ticks_ms()
    assert clock.ticks_ms() >= before > 0


def test_clocks_that_are_moved_by_hand_are_moved_together_and_not_compared():
    relay = RelayClock(ManualClock(NOON_MS))
    relay.met(NOON_MS)
    assert relay.compared_with(NOON_MS + DAY_MS) is None


@pytest.mark.parametrize(
    ("measured", "news"),
    [
        (ClockOffset(0, NOON_MS), False),
        (ClockOffset(TOLERANCE_MS, NOON_MS + MEASURED_EVERY_MS - 1), False),
        (ClockOffset(TOLERANCE_MS + 1, NOON_MS), True),
        (ClockOffset(0, NOON_MS + MEASURED_EVERY_MS), True),
        (ClockOffset(0, NOON_MS - 1), True),
    ],
)
def test_what_is_worth_writing_down(measured, news):
    assert is_news(measured, ClockOffset(0, NOON_MS)) is news
    assert is_news(measured, None)


@pytest.mark.parametrize(
    ("offset_ms", "passed_ms", "says"),
    [
        (0, 0, 0),
        (0, MEASURE_LASTS_MS - 1, 0),
        (0, MEASURE_LASTS_MS, None),
        (0, -CLOCK_OFFSET_MAX_MS, 0),
        (0, -CLOCK_OFFSET_MAX_MS - 1, -CLOCK_OFFSET_MAX_MS - 1),
        (0, -365 * DAY_MS, -365 * DAY_MS),
        (365 * DAY_MS, HOUR_MS, 365 * DAY_MS),
        (365 * DAY_MS, -365 * DAY_MS, None),
        (365 * DAY_MS, -400 * DAY_MS, -35 * DAY_MS),
        (-365 * DAY_MS, 365 * DAY_MS, None),
    ],
)
def test_a_measure_says_of_a_later_clock_only_what_must_be_so(offset_ms, passed_ms, says):
    assert ClockOffset(offset_ms, NOON_MS).offset_at(NOON_MS + passed_ms) == says
