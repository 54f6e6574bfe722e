"""What is new goes to every device from memory: the disk is not asked for each of them."""

from types import SimpleNamespace

import pytest

from crdtsync.ids import Origin, Position
from crdtsync.protocol.codec import encode
from crdtsync.protocol.limits import FRAME_BYTES_MAX
from crdtsync.protocol.messages import Pack
from crdtsync.protocol.slab import Portion
from crdtsync.protocol.work import ReadRequest
from crdtsync.runtime.syncing.answer import (
    PACK_BLOB_MAX,
    PACKED_BYTES_MAX,
    PACKED_BYTES_MIN,
    STATE_PACKED_BYTES_MAX,
    answer,
)
from crdtsync.runtime.syncing.tail import Row, Tail
from crdtsync.storage.log import Batch, PackRow
from crdtsync.storage.pack import ROWS_MAX, decode_pack

START = Position(0, bytes(32))


class Asked(Exception):
    """The disk was asked."""


class Disk:
    def pack_at(self, seq, *, skip_origin=None):
        raise Asked

    def read(self, after, **_):
        raise Asked


class Peer:
    """A session whose peer has not said who it is, so that nothing is skipped."""

    peer = None
    outbound = SimpleNamespace(in_small_pieces=False)

    def __init__(self):
        self.supplied = []

    def supply(self, to, records, size):
        self.supplied.append((to.seq, records if isinstance(records, Portion) else tuple(records)))

    def supply_pack(self, to, blob, *, first=None):
        self.supplied.append((to.seq, blob))


class Past:
    """A disk with these records after row 2, of which row 4 came from the peer."""

    def __init__(self, records, last=0):
        rows = tuple(zip((3, 5, 6), records, strict=True))
        self.batch = Batch(
            Position(2, bytes(32)), Position(last or 6, bytes(32)), rows, sum(map(len, records))
        )

    def pack_at(self, seq, *, skip_origin=None):
        return None

    def read(self, after, **_):
        return self.batch


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
    [(to, records)] = peer.supplied
    assert (to, tuple(records)) == (3, ((2, b"sale 2"), (3, b"sale 3")))


def test_who_lags_by_a_few_frames_is_served_from_memory_and_by_more_may_get_a_pack(tail):
    peer = Peer()
    answer(peer, ReadRequest(1, 3, packs=True), Disk(), tail)
    assert [to for to, _ in peer.supplied] == [2]
    with pytest.raises(Asked):
        answer(Peer(), ReadRequest(1, 2, packs=True), Disk(), tail)


def test_every_device_is_supplied_with_the_same_rows(tail):
    one, other = Peer(), Peer()
    for peer in (one, other):
        answer(peer, ReadRequest(0, 1 << 17, packs=True), Disk(), tail)
    assert one.supplied[0][1] is other.supplied[0][1]


def sales(size):
    return [b"E%d" % number + b"x" * (size // 3) for number in range(3)]


@pytest.mark.parametrize(("packs", "broke", "times"), [(True, False, 4), (True, True, 1), (False, False, 1)])
def test_for_a_pack_more_is_read_unless_the_line_breaks(packs, broke, times, monkeypatch):
    peer, past, asked = Peer(), Past(sales(PACKED_BYTES_MIN)), []
    monkeypatch.setattr(peer, "outbound", SimpleNamespace(in_small_pieces=broke), raising=False)
    monkeypatch.setattr(past, "read", lambda after, *, bytes_max, **_: asked.append(bytes_max) or past.batch)
    answer(peer, ReadRequest(2, 1 << 17, packs=packs), past, None)
    assert asked == [times << 17]


@pytest.mark.parametrize(("larger", "times"), [(0, 0), (1, 1)])
def test_a_pack_that_is_larger_than_a_frame_is_not_sent_as_it_lies_on_disk(larger, times, monkeypatch):
    """A line that is cut in the midst of it would carry all of it again."""
    peer, past, asked = Peer(), Past(sales(PACKED_BYTES_MIN)), []
    pack = PackRow(START, Position(6, bytes(32)), 6, bytes(PACK_BLOB_MAX + larger))
    monkeypatch.setattr(past, "pack_at", lambda seq, **_: pack)
    monkeypatch.setattr(past, "read", lambda after, **_: asked.append(after) or past.batch)
    answer(peer, ReadRequest(2, 1 << 17, packs=True), past, None)
    assert len(asked) == times
    [(to, blob)] = peer.supplied
    assert len(encode(Pack(START, Position(to, bytes(32)), blob))) <= FRAME_BYTES_MAX


def test_what_is_old_is_packed_for_who_was_away():
    peer, records = Peer(), sales(PACKED_BYTES_MIN)
    answer(peer, ReadRequest(2, 1 << 17, packs=True), Past(records), None)
    [(to, blob)] = peer.supplied
    assert to == 6
    assert decode_pack(blob, bytes_max=1 << 20) == list(zip((3, 5, 6), records, strict=True))
    assert len(blob) < PACKED_BYTES_MIN // 5


@pytest.mark.parametrize(
    ("size", "packs", "last"),
    [
        (PACKED_BYTES_MIN // 2, True, 6),
        (PACKED_BYTES_MIN, False, 6),
        (PACKED_BYTES_MAX + 3, True, 6),
        (PACKED_BYTES_MIN, True, 3 + ROWS_MAX),
    ],
    ids=["little", "asked for as it is", "a long state of a document", "more rows left out than a pack has"],
)
def test_what_no_pack_can_or_should_hold_is_sent_as_it_is(size, packs, last):
    peer, past = Peer(), Past(sales(size), last)
    answer(peer, ReadRequest(2, 1 << 17, packs=packs), past, None)
    assert peer.supplied == [(last, past.batch.records)]


@pytest.mark.parametrize(
    ("size", "is_packed"), [(STATE_PACKED_BYTES_MAX, True), (STATE_PACKED_BYTES_MAX + 1, False)]
)
def test_a_single_large_record_is_packed_as_it_cannot_be_divided(size, is_packed):
    peer, past = Peer(), Past(sales(PACKED_BYTES_MIN))
    state = b"C" * size
    past.batch = Batch(Position(2, bytes(32)), Position(3, bytes(32)), ((3, state),), size)
    answer(peer, ReadRequest(2, 1 << 17, packs=True), past, None)
    [(_, supplied)] = peer.supplied
    assert (type(supplied) is bytes) is is_packed
    assert (decode_pack(supplied, bytes_max=2 * size) if is_packed else list(supplied)) == [(3, state)]
