"""Presence, parts, silence."""

import pytest

from crdtsync.errors import (
    LinkClosed,
    MalformedMessage,
    UnexpectedMessage,
)
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.codec import encode
from crdtsync.protocol.messages import (
    Ack,
    HeadsWanted,
    Part,
    Presence,
    Records,
)
from crdtsync.protocol.session import State
from crdtsync.testing.talk import at


def test_a_few_facts_are_shown(register):
    talk = register()
    talk.session.send_presence({"pending": 3})
    assert talk.said() == [Presence({"pending": 3})]
    talk.hear(Presence({"pending": 4}))
    assert talk.ready().presence == {"pending": 4}


def test_nothing_is_shown_before_hello(in_state):
    talk = in_state(State.AWAIT_CHALLENGE)
    talk.session.send_presence({"pending": 3})
    assert talk.said() == []


def test_a_message_in_parts_is_put_together(register):
    talk = register(peer_end=at(1))
    state = b"C" + bytes(2 * limits.FRAME_BYTES_MAX)
    talk.hear(Records(START, at(1), (1,), (state,)))
    assert talk.ready().to_persist[0].records == ((1, state),)


def test_parts_do_not_nest(register):
    with pytest.raises(MalformedMessage):
        register().hear(Part(encode(Part(encode(HeadsWanted()), last=True)), last=True))


@pytest.mark.parametrize("state", [State.AWAIT_CHALLENGE, State.AWAIT_HELLO, State.JUDGING])
def test_no_parts_are_kept_for_a_stranger(state, in_state):
    with pytest.raises(UnexpectedMessage):
        in_state(state).hear(Part(bytes(limits.PART_BYTES), last=False))


def test_a_peer_that_leaves_records_unacknowledged_and_says_nothing_is_dead(register):
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.pass_time(limits.STALLED_AFTER_MS)
    with pytest.raises(LinkClosed) as caught:
        talk.pass_time(1)
    assert caught.value.code == 4508


def test_a_peer_that_says_something_is_alive(register):
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.pass_time(limits.STALLED_AFTER_MS)
    talk.hear(Presence({}))
    talk.pass_time(limits.STALLED_AFTER_MS)
    assert talk.session.is_live


def test_a_quiet_peer_that_owes_nothing_may_be_quiet(register):
    talk = register()
    talk.pass_time(100 * limits.STALLED_AFTER_MS)
    assert talk.session.is_live


def test_a_peer_that_was_quiet_for_a_minute_is_not_late_with_what_it_was_sent_just_now(register):
    """Every register that had been idle for a minute was hung up on when somebody else sold something."""
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.hear(Ack(at(1)))
    talk.pass_time(2 * limits.STALLED_AFTER_MS)
    talk.session.log_grew(at(2))
    talk.ready()
    talk.session.supply(at(2), [(2, b"Esale")], 5)
    talk.pass_time(250)
    assert talk.session.is_live


def test_a_lie_about_what_was_told_is_refused(register):
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    with pytest.raises(UnexpectedMessage):
        talk.hear(Ack(Position(1, bytes(32))))
