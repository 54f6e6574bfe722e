"""The faults and the time of a replay follow from its seed and its source."""

from itertools import pairwise

import pytest

from benchmarks.replay.clock import SourceClock, business_day
from benchmarks.replay.plan import forgets, make_plan


def test_the_same_seed_makes_the_same_faults_and_another_seed_others():
    assert make_plan(1, [100, 80]) == make_plan(1, [100, 80])
    assert make_plan(1, [100, 80]) != make_plan(2, [100, 80])


@pytest.mark.parametrize("seed", range(20))
def test_every_time_offline_ends_before_the_next_begins(seed):
    for till in make_plan(seed, [5, 40, 1000]).tills:
        gates = [happening.what for happening in till if happening.what != "kill"]
        assert all((one == "open") != (other == "open") for one, other in pairwise(gates))
        assert gates[:1] != ["open"]
        assert gates[-1:] in ([], ["open"])


@pytest.mark.parametrize("seed", range(20))
def test_a_relay_that_is_killed_is_started_again(seed):
    whats = [happening.what for happening in make_plan(seed, [40, 40]).relay]
    assert whats == ["kill relay", "start relay"] * 2


def test_a_till_with_hardly_anything_to_sell_has_no_faults():
    assert make_plan(1, [0, 1, 3]).tills == ((), (), ())


def test_some_days_are_forgotten_and_always_the_same():
    days = [f"2017-03-{day:02}" for day in range(1, 32)]
    forgotten = [day for day in days if forgets(1, 1, day)]
    assert 0 < len(forgotten) < len(days)
    assert forgotten == [day for day in days if forgets(1, 1, day)]


@pytest.mark.parametrize(
    ("at_ms", "day"),
    [
        (1_483_286_006_000, "2017-01-01"),  # 11:53 in New York
        (1_514_779_280_000, "2017-12-31"),  # 23:01 on the last day of the year
        (1_483_347_599_000, "2017-01-01"),  # one second before four in the morning
        (1_483_347_600_000, "2017-01-02"),  # four in the morning
        (1_499_327_999_000, "2017-07-05"),  # the same in summer time
        (1_499_328_000_000, "2017-07-06"),
    ],
)
def test_the_business_day_begins_at_four_in_the_morning_there(at_ms, day):
    assert business_day(at_ms) == day


def test_the_clock_of_the_source_never_goes_back():
    clock = SourceClock(1000)
    clock.set(500)
    assert clock.now_ms() == 1000


def test_the_clock_of_the_source_keeps_summer_time():
    clock = SourceClock(0)
    assert (clock.utc_offset_min(1_483_286_006_000), clock.utc_offset_min(1_499_328_000_000)) == (-300, -240)
