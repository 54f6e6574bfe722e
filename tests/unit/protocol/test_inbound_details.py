"""The first record, the last byte, and what is forgotten when a log is begun again."""

import pytest

from crdtsync.protocol import limits
from crdtsync.protocol.inbound import Inbound
from crdtsync.protocol.messages import Ack, Cut, Records
from crdtsync.testing.talk import at


class Shelf:
    """An inbound half as it is made, with what it says."""

    def __init__(self):
        self.said = []
        self.inbound = Inbound(self.said.append, lambda delivery: None)

    def take(self, start, to, size):
        """One record of that size, as the last row of its frame."""
        self.inbound.on_records(Records(at(start), at(to), (to,), (b"E" * size,)))

    def store(self):
        for delivery in list(self.inbound.under_way):
            self.inbound.on_stored(delivery.number)

    def told(self):
        self.inbound.acknowledge_stored()
        said, self.said[:] = list(self.said), []
        return said


def test_a_new_half_is_quiet_and_acknowledges_nothing_by_itself():
    shelf = Shelf()
    assert shelf.inbound.is_quiet
    shelf.take(0, 1, 10)
    assert not shelf.inbound.is_quiet
    shelf.store()
    assert shelf.told() == []


def test_the_first_record_is_acknowledged():
    shelf = Shelf()
    shelf.take(0, 1, 10)
    shelf.store()
    shelf.inbound.acknowledge(now=True)
    assert shelf.told() == [Ack(at(1))]


def test_the_first_record_of_a_log_that_was_begun_again_is_acknowledged():
    shelf = Shelf()
    shelf.inbound.start(at(9), ((2, 3),))
    shelf.inbound.restart()
    shelf.take(0, 1, 10)
    shelf.store()
    shelf.inbound.acknowledge(now=True)
    assert shelf.told() == [Ack(at(1))]


def test_nothing_of_a_log_that_is_begun_again_is_wanted_any_more():
    shelf = Shelf()
    shelf.inbound.start(at(9), ((2, 3),))
    shelf.inbound.restart()
    shelf.store()
    assert shelf.inbound.is_quiet


def test_enough_is_acknowledged_at_once_to_the_byte_and_again_after_as_much():
    shelf = Shelf()
    for start in (0, 2):
        shelf.take(start, start + 1, limits.ACK_EVERY_BYTES - 1)
        shelf.store()
        assert shelf.told() == []
        shelf.take(start + 1, start + 2, 1)
        shelf.store()
        assert shelf.told() == [Ack(at(start + 2))]


@pytest.mark.parametrize(("less", "flooded"), [(0, True), (1, False)])
def test_a_peer_is_read_no_further_from_the_very_byte_on(less, flooded):
    shelf = Shelf()
    shelf.take(0, 1, limits.UNSTORED_BYTES_MAX - limits.UNSTORED_RECORD_BYTES - less)
    assert shelf.inbound.is_flooded is flooded


def test_a_cut_may_bring_its_last_row_and_its_bytes_count():
    shelf = Shelf()
    shelf.inbound.on_cut(Cut(at(5), (), (5,), (b"E" * 70,)))
    assert (shelf.inbound.under_way[0].size, shelf.inbound.wanted) == (70, [(1, 4)])


def test_new_records_leave_what_is_wanted_as_it_is():
    shelf = Shelf()
    shelf.inbound.start(at(9), ((2, 3),))
    shelf.take(9, 10, 10)
    shelf.store()
    assert shelf.inbound.wanted == [(2, 3)]
