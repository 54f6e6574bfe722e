"""A slow peer is no dead one."""

import pytest

from crdtsync.errors import LinkClosed
from crdtsync.protocol.limits import (
    ANSWER_WITHIN_MS,
    IN_FLIGHT_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    SLOWEST_BYTES_PER_S,
    STALLED_AFTER_MS,
)
from crdtsync.protocol.silence import Silence


@pytest.fixture
def silence():
    return Silence(1000)


def test_who_owes_an_answer_and_is_silent_is_gone_after_a_minute(silence):
    silence.check(1000 + STALLED_AFTER_MS, is_owed=True)
    with pytest.raises(LinkClosed, match="silent for too long") as gone:
        silence.check(1001 + STALLED_AFTER_MS, is_owed=True)
    assert gone.value.code == 4508


def test_a_part_of_a_message_is_a_sign_of_life(silence):
    silence.sign_of_life(30_000)
    silence.check(30_000 + STALLED_AFTER_MS, is_owed=True)
    with pytest.raises(LinkClosed):
        silence.check(30_001 + STALLED_AFTER_MS, is_owed=True)


def test_an_old_sign_of_life_takes_nothing_back(silence):
    silence.message(50_000)
    silence.sign_of_life(2000)
    silence.check(50_000 + STALLED_AFTER_MS, is_owed=True)


def test_who_only_lives_and_never_answers_is_given_up_in_the_end(silence):
    for now_ms in range(1000, 1001 + ANSWER_WITHIN_MS, 1000):
        silence.sign_of_life(now_ms)
        silence.check(now_ms, is_owed=True)
    silence.sign_of_life(1001 + ANSWER_WITHIN_MS)
    with pytest.raises(LinkClosed, match="does not answer"):
        silence.check(1001 + ANSWER_WITHIN_MS, is_owed=True)


def test_who_owes_nothing_may_be_quiet_and_begins_anew_when_it_does(silence):
    silence.check(10 * ANSWER_WITHIN_MS, is_owed=False)
    silence.check(10 * ANSWER_WITHIN_MS + STALLED_AFTER_MS, is_owed=True)


def living(silence, until_ms):
    """Pings come, and nothing else."""
    silence.sign_of_life(until_ms)
    silence.check(until_ms, is_owed=True)


def test_what_is_under_way_over_the_slowest_line_is_waited_for(silence):
    silence.sent(4_000_000, 1000)
    silence.sent(200_000, 5000)
    last_ms = 1000 + ANSWER_WITHIN_MS + 4_200_000 * 1000 // SLOWEST_BYTES_PER_S
    living(silence, last_ms)
    with pytest.raises(LinkClosed, match="does not answer"):
        living(silence, last_ms + 1)


def test_what_must_have_come_long_ago_is_waited_for_no_more(silence):
    silence.sent(1000, 1000)
    silence.sent(1000, 100_000)
    last_ms = 100_000 + ANSWER_WITHIN_MS + 1000 * 1000 // SLOWEST_BYTES_PER_S
    living(silence, last_ms)
    with pytest.raises(LinkClosed, match="does not answer"):
        living(silence, last_ms + 1)


def test_a_word_in_between_says_nothing_of_what_is_still_under_way(silence):
    silence.sent(4_000_000, 1000)
    silence.message(5000)
    silence.check(6000, is_owed=False)
    living(silence, 1000 + ANSWER_WITHIN_MS + 4_000_000 * 1000 // SLOWEST_BYTES_PER_S)


def test_nobody_is_waited_for_longer_than_for_what_may_be_under_way(silence):
    for _ in range(100):
        silence.sent(MESSAGE_BYTES_MAX, 1000)
    under_way = MESSAGE_BYTES_MAX + IN_FLIGHT_BYTES_MAX
    last_ms = 1000 + ANSWER_WITHIN_MS + under_way * 1000 // SLOWEST_BYTES_PER_S
    living(silence, last_ms)
    with pytest.raises(LinkClosed):
        living(silence, last_ms + 1)
