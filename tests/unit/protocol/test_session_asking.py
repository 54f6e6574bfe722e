"""A relay asks a register to synchronise, because a person wishes it."""

import pytest

from crdtsync.errors import UnexpectedMessage
from crdtsync.protocol import limits
from crdtsync.protocol.messages import CAPABILITIES, DOCUMENTS, Digest, SyncTold, SyncWanted
from crdtsync.protocol.session import State
from crdtsync.testing.talk import at

FIRST, SECOND = b"1" * 16, b"2" * 16


def asked(talk, *wishes):
    talk.hear(*(SyncWanted(wish) for wish in wishes))
    return talk


def compare(talk):
    """What a driver does at a tick that asks for a digest."""
    talk.pass_time(250)
    assert talk.ready().digest_due
    talk.session.send_digest(b"d" * 32)


def test_a_register_that_is_asked_says_at_once_that_it_heard(register):
    talk = asked(register(), FIRST)
    ready = talk.ready()
    assert ready.sync_wanted
    assert not ready.is_bare
    assert not talk.ready().sync_wanted
    assert talk.session.asking.is_owed


def test_it_compares_at_once_and_then_says_that_it_is_done(register):
    talk = asked(register(), FIRST)
    assert talk.said() == [SyncTold(FIRST, is_done=False)]
    compare(talk)
    assert talk.said() == [Digest(b"d" * 32, 0)]
    talk.pass_time(250)
    assert talk.said() == [SyncTold(FIRST, is_done=True)]
    assert not talk.session.asking.is_owed
    talk.pass_time(250)
    assert talk.said() == []


def test_a_digest_of_before_it_was_asked_does_not_count(register):
    talk = register()
    talk.session.send_digest(b"d" * 32)
    asked(talk, FIRST)
    talk.said()
    talk.pass_time(1)
    assert talk.ready().digest_due
    talk.pass_time(1)
    assert talk.said() == []


def test_what_is_not_acknowledged_is_not_done(register):
    talk = register()
    talk.session.log_grew(at(1))
    talk.ready()
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    asked(talk, FIRST)
    for _ in range(8):
        talk.pass_time(1000)
        talk.session.send_digest(b"d" * 32)
    assert SyncTold(FIRST, is_done=True) not in talk.said()


def test_of_two_wishes_the_later_one_is_told_when_it_is_done(register):
    talk = asked(register(), FIRST, SECOND)
    assert talk.said() == [SyncTold(FIRST, is_done=False), SyncTold(SECOND, is_done=False)]
    compare(talk)
    talk.pass_time(250)
    assert talk.said()[1:] == [SyncTold(SECOND, is_done=True)]


def test_only_a_relay_may_ask(register, relay):
    with pytest.raises(UnexpectedMessage):
        asked(register(peer_is_relay=False), FIRST)
    with pytest.raises(UnexpectedMessage):
        asked(relay(), FIRST)


@pytest.mark.parametrize("capabilities", [(), (DOCUMENTS,), ("telepathy",)])
def test_an_old_register_is_never_asked(relay, capabilities):
    talk = relay(peer_capabilities=capabilities)
    assert not talk.session.asking.can_ask
    assert not talk.session.asking.ask(FIRST)
    assert talk.said() == []


def test_a_relay_asks_once_and_hears_the_answers(relay):
    talk = relay(peer_capabilities=CAPABILITIES)
    assert talk.session.asking.ask(FIRST)
    assert not talk.session.asking.ask(FIRST)
    assert talk.said() == [SyncWanted(FIRST)]
    heard, done = SyncTold(FIRST, is_done=False), SyncTold(FIRST, is_done=True)
    talk.hear(heard, done)
    assert talk.session.asking.take_answers() == [heard, done]
    assert talk.session.asking.take_answers() == []
    assert talk.session.asking.ask(FIRST)


def test_who_says_that_it_is_done_where_a_difference_was_found_has_heard_and_is_asked_again(relay):
    talk = relay(peer_capabilities=CAPABILITIES)
    heard, done = SyncTold(FIRST, is_done=False), SyncTold(FIRST, is_done=True)
    for differs, answer in ((True, heard), (False, done)):
        assert talk.session.asking.ask(FIRST)
        talk.session.comparing.differs = differs
        talk.hear(heard, done)
        assert talk.session.asking.take_answers() == [heard, answer]


def test_a_wish_that_was_overtaken_is_answered_no_more_and_makes_room(relay):
    talk = relay(peer_capabilities=CAPABILITIES)
    wishes = [bytes([number]) * 16 for number in range(limits.WISHES_ASKED_MAX + 1)]
    assert [talk.session.asking.ask(wish) for wish in wishes] == [True] * limits.WISHES_ASKED_MAX + [False]
    last = wishes[-2]
    talk.hear(*(SyncTold(wish, is_done=False) for wish in wishes[:-1]), SyncTold(last, is_done=True))
    assert talk.session.asking.ask(wishes[-1])
    with pytest.raises(UnexpectedMessage):
        talk.hear(SyncTold(wishes[0], is_done=True))


@pytest.mark.parametrize(
    "answers",
    [
        [SyncTold(SECOND, is_done=False)],
        [SyncTold(FIRST, is_done=True)],
        [SyncTold(FIRST, is_done=False)] * 2,
        [SyncTold(FIRST, is_done=False), SyncTold(FIRST, is_done=True), SyncTold(FIRST, is_done=True)],
    ],
)
def test_an_answer_to_what_was_not_asked_ends_the_connection(relay, answers):
    talk = relay(peer_capabilities=CAPABILITIES)
    talk.session.asking.ask(FIRST)
    with pytest.raises(UnexpectedMessage):
        talk.hear(*answers)


def test_a_register_is_not_asked_before_it_is_known(in_state):
    assert not in_state(State.AWAIT_HELLO).session.asking.ask(FIRST)


def test_a_register_that_nobody_asks_says_nothing_and_owes_nothing(register):
    talk = register()
    talk.session.asking.tick()
    assert not talk.session.asking.is_owed
    assert talk.said() == []


def test_what_was_asked_later_is_still_answered(relay):
    talk = relay(peer_capabilities=CAPABILITIES)
    for wish in (FIRST, SECOND):
        talk.session.asking.ask(wish)
    talk.hear(*(SyncTold(wish, is_done=False) for wish in (FIRST, SECOND)), SyncTold(FIRST, is_done=True))
    talk.session.asking.take_answers()
    talk.hear(SyncTold(SECOND, is_done=True))
    assert talk.session.asking.take_answers() == [SyncTold(SECOND, is_done=True)]
