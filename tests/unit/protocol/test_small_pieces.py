"""After a line broke in the midst of a pack, history comes in small ones."""

import pytest

from crdtsync.protocol import limits
from crdtsync.protocol.messages import Want
from crdtsync.protocol.outbound import Outbound
from crdtsync.testing.talk import at


@pytest.fixture
def outbound():
    outbound = Outbound(lambda message: None)
    outbound.end, outbound.held_back = at(9000), False
    return outbound


def test_a_first_connection_gets_packs_as_they_lie_on_disk(outbound):
    outbound.recall(0, ())
    assert not outbound.in_small_pieces


def test_what_was_told_and_is_not_held_got_lost_on_the_way(outbound):
    outbound.start(at(100))
    outbound.recall(4096, ())
    assert outbound.in_small_pieces


def test_who_holds_all_that_it_was_told_of_gets_packs(outbound):
    outbound.start(at(4096))
    outbound.recall(4096, ())
    assert not outbound.in_small_pieces


def test_what_was_served_and_is_asked_for_again_got_lost_on_the_way(outbound):
    outbound.start(at(9000))
    outbound.recall(9000, ((1, 4096),))
    outbound.on_want(Want(5000, 8000))
    assert not outbound.in_small_pieces
    outbound.on_want(Want(2000, 4999))
    assert outbound.in_small_pieces


def test_what_is_served_is_remembered_for_the_next_connection(outbound):
    outbound.start(at(9000))
    outbound.on_want(Want(1, 8000))
    outbound.next_read()
    outbound.supply_pack(at(4096), b"pack")
    assert outbound.served == [(1, 4096)]


def test_what_is_remembered_is_bounded(outbound):
    outbound.start(at(9000))
    for seq in range(1, 1000):
        outbound.on_want(Want(seq, seq))
        outbound.next_read()
        outbound.supply(at(seq), [(seq, b"Esale")], 5, 0)
    assert len(outbound.served) == limits.WANTS_UNDER_WAY_MAX
    assert outbound.served[-1] == (999, 999)


def test_a_line_that_carried_many_small_ones_gets_large_ones_again(outbound):
    outbound.start(at(100))
    outbound.recall(4096, ())
    for seq in range(101, 101 + limits.SMALL_PIECES):
        assert outbound.in_small_pieces
        assert outbound.next_read() is not None
        outbound.supply_pack(at(seq), b"pack")
    assert not outbound.in_small_pieces


def test_what_got_lost_is_no_reason_for_small_ones_twice(outbound):
    outbound.start(at(9000))
    outbound.recall(9000, ((1, 4096),))
    outbound.on_want(Want(2000, 4999))
    for seq in range(2000, 2000 + limits.SMALL_PIECES):
        outbound.next_read()
        outbound.supply_pack(at(seq), b"pack")
    outbound.on_want(Want(1, 1999))
    assert not outbound.in_small_pieces
