"""What was not admitted is told before anything counts as safe."""

import pytest

from crdtsync.errors import (
    UnexpectedMessage,
)
from crdtsync.ids import START
from crdtsync.protocol.messages import (
    Ack,
    Challenge,
    Records,
    Refused,
    RefusedRecord,
)
from crdtsync.protocol.session import State
from crdtsync.protocol.work import Standing
from crdtsync.testing.talk import Talk, at, hello, live, me

BAD = RefusedRecord(4, b"d" * 32, "bad-signature", "the signature is not its author's", False)
HELD = RefusedRecord(5, b"e" * 32, "no-certificate", "its device is not known yet", True)


def test_everything_not_admitted_is_told_at_hello():
    talk = Talk(me=me())
    talk.hear(Challenge(1, bytes(16)), hello())
    talk.said()
    talk.session.admit(Standing(me(), cursor_fits=True, refusals=(BAD, HELD)))
    assert talk.said() == [Refused((BAD, HELD), complete=True)]


def test_it_is_told_also_that_there_is_nothing():
    """What was held may have been admitted while the register was away: it must not stay pending there."""
    talk = live(me=me(), peer=hello(), drained=False)
    assert Refused((), complete=True) in talk.said()


def test_the_cursor_of_a_hello_counts_only_after_the_refusals_before_it():
    talk = live(me=me(end=at(9)), peer=hello(cursor=at(9)), refused=None, drained=False)
    assert talk.ready().acknowledged is None
    assert not talk.session.is_in_step
    talk.hear(Refused((BAD,), complete=True))
    ready = talk.ready()
    assert (ready.acknowledged, ready.refused) == (at(9), [Refused((BAD,), complete=True)])
    assert talk.session.is_in_step


def test_an_acknowledgement_before_the_refusals_breaks_the_rules():
    talk = live(me=me(end=at(1)), peer=hello(), refused=None)
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    with pytest.raises(UnexpectedMessage):
        talk.hear(Ack(at(1)))


def test_what_is_refused_is_told_before_the_acknowledgement_that_passes_it(relay):
    talk = relay(peer_end=at(5))
    talk.hear(Records(START, at(5), (4, 5), (b"Ebad", b"Eheld")))
    talk.ready()
    talk.session.stored(1, [BAD, HELD])
    assert talk.said() == [Refused((BAD, HELD)), Ack(at(5))]


def test_what_was_held_and_is_admitted_is_told_as_all_that_is_left(relay):
    talk = relay()
    talk.session.refusals_changed([BAD])
    assert talk.said() == [Refused((BAD,), complete=True)]


def test_nothing_is_told_of_refusals_before_hello(in_state):
    talk = in_state(State.AWAIT_HELLO)
    talk.said()
    talk.session.refusals_changed([BAD])
    assert talk.said() == []


def test_a_list_of_refusals_is_written_down_when_it_is_whole():
    talk = live(me=me(end=at(9)), peer=hello(cursor=at(9)), refused=None, drained=False)
    talk.hear(Refused((BAD,), complete=True, last=False))
    ready = talk.ready()
    assert (ready.refused, ready.acknowledged) == ([], None)
    talk.hear(Refused((HELD,)))
    ready = talk.ready()
    assert (ready.refused, ready.acknowledged) == ([Refused((BAD, HELD), complete=True)], at(9))


def test_what_the_peer_refuses_is_to_be_written_down(register):
    talk = register(end=at(9), peer_cursor=at(9))
    talk.hear(Refused((BAD,)))
    ready = talk.ready()
    assert (ready.refused, ready.acknowledged) == ([Refused((BAD,))], None)


# -- what a driver goes by to tell it anew -------------------------------------------------------------------


def test_who_was_told_of_nothing_refused_need_not_be_told_anew(relay):
    talk = relay()
    assert talk.session.has_told_refusals is False
    talk.session.refusals_changed([BAD])
    assert talk.session.has_told_refusals is True


def test_who_was_told_at_hello_is_told_anew_until_nothing_is_left():
    talk = Talk(me=me())
    talk.hear(Challenge(1, bytes(16)), hello())
    talk.session.admit(Standing(me(), cursor_fits=True, refusals=(HELD,)))
    assert talk.session.has_told_refusals is True
    talk.session.refusals_changed([])
    assert talk.session.has_told_refusals is False


def test_a_sale_that_is_held_is_told_anew_also_after_others_that_are_well(relay):
    """A person may let it in while the register is connected, and only who is told anew learns of it."""
    talk = relay(peer_end=at(2))
    talk.hear(Records(START, at(1), (1,), (b"Eheld",)), Records(at(1), at(2), (2,), (b"Esale",)))
    talk.ready()
    talk.session.stored(1, [HELD])
    talk.session.stored(2)
    assert talk.session.has_told_refusals is True
    talk.session.refusals_changed([BAD])
    talk.session.refusals_changed([])
    assert talk.session.has_told_refusals is False
