import pytest

from crdtsync.testing.clock import DAY_MS, HOUR_MS, OPENING_MS, ManualClock, seeded_bytes


def test_it_stands_still_until_it_is_told():
    clock = ManualClock()
    assert clock.now_ms() == clock.now_ms() == OPENING_MS


def test_it_goes_on_by_what_passes():
    clock = ManualClock()
    clock.pass_ms(HOUR_MS)
    assert clock.now_ms() == OPENING_MS + HOUR_MS


@pytest.mark.parametrize("step_ms", [DAY_MS, -DAY_MS])
def test_it_can_be_set_forwards_and_back(step_ms):
    clock = ManualClock()
    clock.set_ms(OPENING_MS + step_ms)
    assert clock.now_ms() - OPENING_MS == step_ms


@pytest.mark.parametrize("drift_ppm", [100, -100, 7])
def test_it_drifts_as_much_in_many_small_steps_as_in_one(drift_ppm):
    steps, leap = ManualClock(drift_ppm=drift_ppm), ManualClock(drift_ppm=drift_ppm)
    for _ in range(1000):
        steps.pass_ms(HOUR_MS // 1000)
    leap.pass_ms(HOUR_MS)
    assert steps.now_ms() == leap.now_ms() == OPENING_MS + HOUR_MS + HOUR_MS * drift_ppm // 1_000_000


def test_a_jump_is_not_drifted():
    clock = ManualClock(drift_ppm=1000)
    clock.set_ms(OPENING_MS + HOUR_MS)
    assert clock.now_ms() == OPENING_MS + HOUR_MS


def test_it_knows_how_far_it_is_ahead_of_utc():
    assert ManualClock(utc_offset_min=120).utc_offset_min(OPENING_MS) == 120


def test_the_same_seed_gives_the_same_bytes_and_another_others():
    assert seeded_bytes(1)(16) == seeded_bytes(1)(16) != seeded_bytes(2)(16)
