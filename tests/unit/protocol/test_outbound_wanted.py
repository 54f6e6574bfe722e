"""Intervals that the peer wants beside what goes on: packs and rows of the past."""

import pytest

from crdtsync.errors import UnexpectedMessage
from crdtsync.protocol import limits
from crdtsync.protocol.messages import Ack, Cut, Pack, Want
from crdtsync.protocol.work import ReadRequest
from crdtsync.testing.talk import at
from tests.unit.protocol.test_outbound import Desk, records


def offering(told=100):
    desk = Desk(told)
    desk.out.cut(Cut(at(told), ()))
    desk.told()
    return desk


def test_a_cut_skips_to_its_end():
    desk = Desk(100)
    desk.out.cut(Cut(at(100), ((90, 100),)))
    assert desk.told() == [Cut(at(100), ((90, 100),))]
    assert (desk.out.next_read(), desk.out.in_flight_bytes) == (None, 0)
    assert desk.out.on_ack(Ack(at(100)))


def test_a_wanted_interval_is_read_whoever_the_rows_came_from():
    desk = offering()
    desk.out.on_want(Want(11, 20))
    assert desk.out.next_read() == ReadRequest(10, limits.BATCH_BYTES, 20, skip_origin=False, packs=True)


def test_a_wanted_interval_is_answered_piece_by_piece():
    desk = offering()
    desk.out.on_want(Want(11, 20))
    desk.out.next_read()
    desk.supply(14, 11, 12, 13, 14)
    assert desk.out.next_read().after == 14
    desk.supply(20, 20)
    assert desk.told() == [
        records(100, 100, 11, 12, 13, 14, fills=(11, 14)),
        records(100, 100, 20, fills=(15, 20)),
    ]
    assert desk.out.next_read() is None


def test_nothing_else_is_sent_while_an_interval_is_wanted():
    desk = offering()
    desk.out.end = at(200)
    desk.out.on_want(Want(11, 20))
    assert desk.out.next_read().until == 20
    assert not desk.out.is_quiet


def test_whoever_wants_an_interval_of_what_it_has_acknowledged_is_not_quiet():
    desk = offering()
    desk.out.on_ack(Ack(at(100)))
    desk.out.on_want(Want(11, 20))
    assert not desk.out.is_quiet


def test_a_pack_answers_all_intervals_that_it_reaches_into():
    desk = offering()
    for lo, hi in ((11, 20), (21, 30), (31, 40)):
        desk.out.on_want(Want(lo, hi))
    desk.out.next_read()
    desk.out.supply_pack(at(33), b"packed")
    assert desk.told() == [Pack(at(100), at(100), b"packed", (11, 33))]
    assert desk.out.next_read() == ReadRequest(33, limits.BATCH_BYTES, 40, skip_origin=False, packs=True)


@pytest.mark.parametrize(
    ("lo", "hi", "after", "until"),
    [(5, 15, 4, 10), (20, 30, 20, 30), (5, 30, 4, 30), (5, 11, 4, 10), (5, 20, 4, 10)],
)
def test_of_an_interval_that_overlaps_an_answer_the_rest_is_read(lo, hi, after, until):
    desk = offering()
    desk.out.on_want(Want(11, 20))
    desk.out.on_want(Want(lo, hi))
    desk.out.next_read()
    desk.supply(20, 20)
    assert desk.out.next_read() == ReadRequest(
        after, limits.BATCH_BYTES, until, skip_origin=False, packs=True
    )


def test_a_pack_that_begins_before_what_was_asked_for_answers_that_too():
    desk = offering()
    for lo, hi in ((11, 20), (3, 5), (1, 2)):
        desk.out.on_want(Want(lo, hi))
    desk.out.next_read()
    desk.out.supply_pack(at(33), b"packed", first=3)
    assert desk.told() == [Pack(at(100), at(100), b"packed", (3, 33))]
    assert desk.out.next_read() == ReadRequest(0, limits.BATCH_BYTES, 2, skip_origin=False, packs=True)


def test_a_pack_never_answers_less_than_was_asked_for():
    desk = offering()
    desk.out.on_want(Want(11, 20))
    desk.out.next_read()
    desk.out.supply_pack(at(33), b"packed", first=15)
    assert desk.told() == [Pack(at(100), at(100), b"packed", (11, 33))]


def test_an_interval_is_not_answered_with_rows_that_the_peer_was_never_told_of():
    desk = offering()
    desk.out.on_want(Want(91, 100))
    desk.out.next_read()
    with pytest.raises(AssertionError, match="beyond"):
        desk.supply(101, 101)


def test_an_interval_of_older_rows_is_not_taken_for_answered():
    """Today is asked for first, history after: its numbers are lower, and it would never have come."""
    desk = offering()
    desk.out.on_want(Want(90, 100))
    desk.out.on_want(Want(1, 89))
    desk.out.next_read()
    desk.supply(100, 90)
    assert desk.out.next_read() == ReadRequest(0, limits.BATCH_BYTES, 89, skip_origin=False, packs=True)


def test_rows_are_not_taken_for_an_answer_to_what_was_wanted_after_they_were_read():
    """A read waits while the wire is full; what the peer asks for meanwhile is not what was read."""
    desk = offering()
    desk.out.end = at(105)
    desk.out.next_read()
    desk.out.on_want(Want(1, 50))
    desk.supply(105, 105)
    assert desk.told() == [records(100, 105, 105)]
    assert desk.out.next_read().until == 50


@pytest.mark.parametrize("want", [Want(1, 101), Want(101, 101)])
def test_what_the_peer_was_never_told_of_cannot_be_wanted(want):
    with pytest.raises(UnexpectedMessage):
        offering().out.on_want(want)


def test_a_peer_cannot_pile_up_what_it_wants():
    desk = offering()
    for _ in range(2 * limits.WANTS_UNDER_WAY_MAX):
        desk.out.on_want(Want(1, 2))
    with pytest.raises(UnexpectedMessage):
        desk.out.on_want(Want(1, 2))
