"""Progress is told as it is: what is really to be sent, at the speed of the last seconds."""

import pytest

from crdtsync.runtime.syncing.progress import COUNT_EVERY_S, COUNT_LOST_S, WINDOW_S, PendingCount, Speedometer


def speed(*seen):
    meter = Speedometer()
    return [meter.left_s(*one) for one in seen][-1]


def test_nothing_is_known_at_first():
    assert speed((0.0, 100, 0)) is None


def test_what_is_left_takes_as_long_as_what_was_done():
    assert speed((0.0, 100, 0), (2.0, 50, 0)) == 2.0


def test_the_slower_direction_counts():
    assert speed((0.0, 100, 100), (2.0, 50, 90)) == pytest.approx(18.0)


def test_a_link_that_has_become_slow_is_told_as_slow():
    fast = [(float(second), 10_000 - 1000 * second, 0) for second in range(5)]
    slow = [(5.0 + second, 6000 - 10 * second, 0) for second in range(int(WINDOW_S) + 2)]
    assert speed(*fast, *slow) > 500


def test_a_direction_in_which_nothing_moves_is_not_guessed():
    assert speed((0.0, 100, 50), (2.0, 10, 50)) is None


def test_nothing_left_takes_no_time():
    assert speed((0.0, 0, 0)) == 0.0


class Counter:
    def __init__(self):
        self.now_s = 0.0
        self.asked = []
        self.pending = PendingCount(self.asked.append, lambda: self.now_s)

    def shown(self, is_none=False):
        return self.pending.now(is_none=is_none)


def test_pending_records_are_counted_elsewhere_and_shown_when_they_are():
    counter = Counter()
    assert counter.shown() == 0
    counter.asked[0](12)
    assert counter.shown() == 12


def test_they_are_counted_again_after_a_while():
    counter = Counter()
    counter.shown()
    counter.asked[0](12)
    counter.shown()
    assert len(counter.asked) == 1
    counter.now_s = COUNT_EVERY_S
    counter.shown()
    assert len(counter.asked) == 2


def test_a_long_count_is_not_made_all_the_time():
    counter = Counter()
    counter.shown()
    counter.now_s = 1.0
    counter.asked[0](100_000)
    counter.now_s = 15.0
    counter.shown()
    assert len(counter.asked) == 1
    counter.now_s = 21.0
    counter.shown()
    assert len(counter.asked) == 2


def test_a_count_that_got_lost_is_made_again():
    counter = Counter()
    counter.shown()
    counter.now_s = COUNT_LOST_S
    counter.shown()
    assert len(counter.asked) == 2


def test_nothing_is_pending_as_soon_as_all_is_acknowledged():
    counter = Counter()
    counter.shown()
    counter.asked[0](12)
    assert counter.shown(is_none=True) == 0
