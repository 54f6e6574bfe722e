"""What is new goes to every device from memory: the disk is not asked for each of them."""

import pytest

from crdtsync.ids import Origin, Position
from crdtsync.protocol.work import ReadRequest
from crdtsync.runtime.answer import answer
from crdtsync.runtime.tail import Row, Tail

START = Position(0, bytes(32))


class Asked(Exception):
    """The disk was asked."""


class Disk:
    def pack_at(self, seq):
        raise Asked

    def read(self, after, **_):
        raise Asked


class Peer:
    """A session whose peer has not said who it is, so that nothing is skipped."""

    peer = None

    def __init__(self):
        self.supplied = []

    def supply(self, to, records, size):
        self.supplied.append((to.seq, records))


@pytest.fixture
def tail():
    tail = Tail(START, 1 << 20)
    tail.extend(
        START, [Row(seq, bytes([seq]) * 32, b"sale %d" % seq, Origin(b"p" * 16, seq)) for seq in (1, 2, 3)]
    )
    return tail


def test_new_rows_are_sent_without_asking_the_disk_for_a_pack_of_them(tail):
    peer = Peer()
    answer(peer, ReadRequest(1, 1 << 17, packs=True), Disk(), tail)
    assert peer.supplied == [(3, ((2, b"sale 2"), (3, b"sale 3")))]


def test_who_lags_by_more_than_a_frame_may_get_a_pack(tail):
    with pytest.raises(Asked):
        answer(Peer(), ReadRequest(1, 6, packs=True), Disk(), tail)


def test_every_device_is_supplied_with_the_same_rows(tail):
    one, other = Peer(), Peer()
    for peer in (one, other):
        answer(peer, ReadRequest(0, 1 << 17, packs=True), Disk(), tail)
    assert one.supplied[0][1] is other.supplied[0][1]
