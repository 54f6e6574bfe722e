import pytest

from crdtsync.errors import MalformedMessage, MessageTooBig
from crdtsync.protocol import limits
from crdtsync.protocol.messages import Part
from crdtsync.protocol.parts import Parts

FULL = bytes(limits.PART_BYTES)


def test_a_message_is_whole_after_its_last_piece():
    parts = Parts()
    assert [parts.add(Part(FULL, False)), parts.add(Part(b"end", True))] == [None, FULL + b"end"]


def test_the_next_message_begins_empty():
    parts = Parts()
    parts.add(Part(FULL, False))
    parts.add(Part(b"end", True))
    assert parts.add(Part(b"other", True)) == b"other"


@pytest.mark.parametrize("data", [b"", FULL[:-1], FULL + b"."])
def test_only_the_last_piece_may_have_another_size(data):
    with pytest.raises(MalformedMessage):
        Parts().add(Part(data, False))


def test_nobody_can_make_us_keep_more_than_the_bound():
    parts = Parts()
    for _ in range(limits.MESSAGE_BYTES_MAX // limits.PART_BYTES):
        parts.add(Part(FULL, False))
    with pytest.raises(MessageTooBig):
        parts.add(Part(b".", True))
