"""What a session does and does not do at the edges of its conditions."""

from dataclasses import replace

import pytest

from crdtsync.errors import LinkClosed, UnexpectedMessage
from crdtsync.ids import START
from crdtsync.protocol import limits
from crdtsync.protocol.messages import Challenge, HeadsWanted, Hello, Records, Refused, RefusedRecord
from crdtsync.protocol.session import State
from crdtsync.protocol.work import Standing
from crdtsync.testing.talk import Talk, at, hello, live, me

BAD = RefusedRecord(4, b"d" * 32, "bad-signature", "the signature is not its author's", False)
ANOTHER_LOG = b"one we had once."
MANY = limits.CUT_ROWS_MIN + 1


# -- hello ---------------------------------------------------------------------------------------------------


def test_a_relay_says_of_a_cursor_that_fits_that_it_does(relay):
    [said] = [message for message in relay(drained=False).said() if isinstance(message, Hello)]
    assert said.fits


def test_a_cursor_of_another_log_of_ours_is_no_reason_for_a_new_id():
    talk = live(me=me(), peer=hello(cursor_log=ANOTHER_LOG, cursor=at(3)), fits=False, drained=False)
    assert (talk.session.state, talk.ready().rotate) == (State.LIVE, False)


def test_only_whoever_judges_a_hello_asks_for_certificates(register):
    with pytest.raises(AssertionError, match="no hello to judge"):
        register().session.want_certificates()


def test_a_relay_does_not_begin_again_because_a_register_says_that_it_should(relay):
    talk = relay(peer_fits=False, cursor=at(4), drained=False)
    assert talk.ready().to_persist == []


@pytest.mark.parametrize("known", [{"cursor": at(4)}, {"wanted": ((1, 5),)}])
def test_nothing_is_sent_before_it_is_on_disk_that_a_log_is_begun_again(known):
    talk = live(me=me(cursor_log=ANOTHER_LOG, end=at(9), **known), peer=hello(end=at(9)), drained=False)
    ready = talk.ready()
    assert ([delivery.restart for delivery in ready.to_persist], ready.to_read) == ([True], None)
    talk.store_all(ready)
    assert talk.ready().to_read.after == 0


def test_a_repair_that_was_asked_for_before_hello_is_forgotten(in_state):
    talk = in_state(State.JUDGING)
    talk.session.repair()
    talk.session.admit(Standing(me(), cursor_fits=True))
    assert HeadsWanted() not in talk.said()


@pytest.mark.parametrize(("capabilities", "compares"), [((), False), (("documents",), True), (("x",), False)])
def test_documents_are_compared_with_whoever_can(register, capabilities, compares):
    assert register(peer_capabilities=capabilities).session.compares_documents is compares


def test_documents_are_not_compared_with_nobody(in_state):
    assert in_state(State.AWAIT_HELLO).session.compares_documents is False


# -- where sending begins ------------------------------------------------------------------------------------


def test_whoever_holds_a_single_row_of_ours_is_sent_the_rest_without_asking():
    talk = live(me=me(end=at(MANY)), peer=hello(end=at(MANY), cursor=at(1)), drained=False)
    ready = talk.ready()
    assert ready.to_read.after == 1
    assert not any(frame.startswith(b"\x91\x09") for frame in ready.to_send)


def test_a_log_that_is_just_short_enough_is_sent_without_a_cut(relay):
    assert not relay(end=at(limits.CUT_ROWS_MIN), drained=False).ready().cut_due


def test_a_delivery_on_disk_does_not_begin_anything_anew(register):
    talk = register(end=at(9), peer_cursor=at(4), peer_end=at(1))
    talk.hear(Records(START, at(1), (1,), (b"Esale",)))
    talk.store_all(talk.ready())
    assert talk.ready().acknowledged is None


def test_a_peer_that_has_all_we_had_at_hello_is_told_at_once(register):
    talk = register(end=at(9))
    talk.session.supply(at(9), [], 0)
    assert talk.said() == [Records(START, at(9), (), ())]


# -- refusals ------------------------------------------------------------------------------------------------


def test_the_first_and_the_last_of_what_was_sent_may_be_refused(register):
    talk = register(end=at(5), peer_cursor=at(4))
    told = Refused((replace(BAD, seq=1), BAD))
    talk.hear(told)
    assert talk.ready().refused == [told]


def test_one_refusal_among_others_of_what_was_never_sent_breaks_the_rules(register):
    talk = register(end=at(5), peer_cursor=at(4))
    with pytest.raises(UnexpectedMessage, match="never sent"):
        talk.hear(Refused((BAD, replace(BAD, seq=5))))


def test_what_was_refused_of_a_log_that_was_longer_may_be_told(register):
    talk = register(end=at(5), peer_cursor=at(4))
    talk.hear(Refused((replace(BAD, seq=99),), complete=True))
    assert talk.ready().refused[0].refusals[0].seq == 99


# -- what waits for the peer ---------------------------------------------------------------------------------


def test_a_list_of_refusals_and_one_message_may_wait_besides_what_always_may():
    refusals = tuple(replace(BAD, seq=n) for n in range(1, 2501))
    talk = Talk(me=me())
    talk.hear(Challenge(1, bytes(16)), hello())
    talk.ready()
    talk.session.admit(Standing(me(), cursor_fits=True, refusals=refusals))
    sizes = [len(frame) for frame in talk.ready().to_send]
    talk.session.take_ready(limits.QUEUED_BYTES_MAX + sum(sizes) + max(sizes))
    talk.pass_time(1)
    talk.session.take_ready(limits.QUEUED_BYTES_MAX + sum(sizes) + max(sizes) + 1)
    with pytest.raises(LinkClosed, match="does not read"):
        talk.pass_time(1)
