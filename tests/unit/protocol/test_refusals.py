import pytest

from crdtsync.errors import MessageTooBig, UnexpectedMessage
from crdtsync.protocol import limits
from crdtsync.protocol.messages import Refused, RefusedRecord
from crdtsync.protocol.refusals import RefusedList, refused_messages

ONE, TWO, THREE = (RefusedRecord(seq, bytes(32), "bad-signature", "", False) for seq in (1, 2, 3))


@pytest.fixture
def two_a_message(monkeypatch):
    monkeypatch.setattr(limits, "REFUSALS_PER_MESSAGE_MAX", 2)


def test_a_short_list_is_one_message():
    assert list(refused_messages([ONE], complete=False)) == [Refused((ONE,))]


def test_an_empty_list_is_told_too():
    assert list(refused_messages([], complete=True)) == [Refused((), complete=True)]


@pytest.mark.usefixtures("two_a_message")
def test_a_long_list_takes_several_messages():
    assert list(refused_messages([ONE, TWO, THREE], complete=True)) == [
        Refused((ONE, TWO), complete=True, last=False),
        Refused((THREE,), complete=False, last=True),
    ]


@pytest.mark.usefixtures("two_a_message")
@pytest.mark.parametrize("complete", [True, False])
def test_a_long_list_counts_as_a_whole(complete):
    told = RefusedList()
    found = [told.add(message) for message in refused_messages([ONE, TWO, THREE], complete=complete)]
    assert found == [None, Refused((ONE, TWO, THREE), complete=complete)]


def test_one_list_after_another():
    told = RefusedList()
    told.add(Refused((ONE,), complete=True))
    assert told.add(Refused((TWO,))) == Refused((TWO,))


def test_refusals_are_known_after_a_complete_list():
    told = RefusedList()
    told.add(Refused((ONE,)))
    assert not told.is_known
    told.add(Refused((ONE,), complete=True, last=False))
    assert not told.is_known
    told.add(Refused(()))
    assert told.is_known
    told.add(Refused((ONE,)))
    assert told.is_known


def test_a_list_does_not_begin_within_another():
    told = RefusedList()
    told.add(Refused((ONE,), last=False))
    with pytest.raises(UnexpectedMessage):
        told.add(Refused((TWO,), complete=True))


def test_no_list_is_longer_than_the_bound(monkeypatch):
    monkeypatch.setattr(limits, "REFUSALS_MAX", 2)
    told = RefusedList()
    told.add(Refused((ONE, TWO), last=False))
    with pytest.raises(MessageTooBig):
        told.add(Refused((THREE,)))
