import pytest

from crdtsync.protocol.backoff import MAX_MS, delay_ms, may_retry


def test_the_pause_doubles_with_every_attempt():
    assert [delay_ms(attempt, 0.0) for attempt in (1, 2, 3, 4)] == [250, 500, 1000, 2000]


def test_no_pause_is_longer_than_the_longest():
    assert {delay_ms(attempt, 0.0) for attempt in (9, 100, 10**9)} == {MAX_MS}


def test_chance_takes_off_up_to_half():
    assert delay_ms(3, 0.999999) == 500


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 4500, 4508, 4599])
def test_a_passing_trouble_is_tried_again(code):
    assert may_retry(code)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 1010, 4400, 4403, 4426, 4499, 4600, 4000])
def test_a_lasting_trouble_is_not_tried_again(code):
    assert not may_retry(code)
