"""How two logs stand to each other at hello, and what a session does about it."""

import pytest

from crdtsync.errors import (
    LinkClosed,
)
from crdtsync.ids import START
from crdtsync.protocol import limits
from crdtsync.protocol.codec import decode
from crdtsync.protocol.messages import (
    Challenge,
    Records,
    Want,
)
from crdtsync.protocol.session import State
from crdtsync.protocol.work import Delivery, Standing
from crdtsync.testing.talk import Talk, at, hello, live, me


def test_a_cursor_that_fits_is_where_sending_goes_on():
    talk = live(me=me(end=at(9)), peer=hello(cursor=at(4)), drained=False)
    assert talk.ready().to_read.after == 4


def test_the_peers_cursor_replaces_what_was_remembered_as_acknowledged():
    talk = live(me=me(end=at(9)), peer=hello(cursor=at(4)), drained=False)
    assert talk.ready().acknowledged == at(4)


def test_a_cursor_of_another_log_of_ours_counts_for_nothing():
    talk = live(me=me(end=at(9)), peer=hello(cursor_log=b"an older log id.", cursor=at(4)), drained=False)
    ready = talk.ready()
    assert (ready.acknowledged, ready.to_read.after) == (START, 0)


def test_a_register_whose_log_does_not_fit_gives_it_a_new_id(register):
    talk = register(end=at(9), peer_cursor=at(12), fits=False)
    assert talk.session.state is State.PARTING
    assert not talk.session.is_live


def test_the_new_id_is_all_that_comes_of_a_log_that_does_not_fit():
    talk = live(me=me(end=at(9)), peer=hello(cursor=at(12)), fits=False, drained=False)
    ready = talk.ready()
    assert ready.rotate
    assert (ready.acknowledged, ready.to_read, ready.to_persist, ready.to_send) == (None, None, [], [])


def test_nothing_is_taken_while_the_log_gets_a_new_id(register):
    """The peer leaves out what came from the old id: with its cursor on disk that would be gone for good."""
    talk = register(end=at(9), peer_cursor=at(12), peer_end=at(5), fits=False)
    talk.hear(Records(START, at(5), (5,), (b"E",)))
    talk.pass_time(10 * limits.HELLO_TIMEOUT_MS)
    assert talk.ready().to_persist == []


def test_a_register_that_accepts_says_hello_before_it_parts():
    talk = live(connecting=False, me=me(end=at(9)), peer=hello(cursor=at(12)), fits=False, drained=False)
    ready = talk.ready()
    [said] = [decode(frame) for frame in ready.to_send]
    assert (ready.rotate, said.fits) == (True, False)


def test_a_relay_says_that_a_cursor_does_not_fit_and_keeps_its_id(relay):
    talk = relay(end=at(9), peer_cursor=at(12), fits=False, drained=False)
    ready = talk.ready()
    said = decode(ready.to_send[0])
    assert (ready.rotate, said.fits, talk.session.outbound.sent) == (False, False, START)


def test_a_relay_finds_nothing_wrong_with_a_cursor_of_another_log(relay):
    talk = relay(
        end=at(9), peer_cursor_log=b"a relay of befor", peer_cursor=at(12), fits=False, drained=False
    )
    assert decode(talk.ready().to_send[0]).fits


def test_a_register_whose_cursor_does_not_fit_begins_again_before_it_sends():
    talk = live(
        me=me(end=at(9), cursor=at(40), wanted=((1, 5),)),
        peer=hello(end=at(20), fits=False, cursor=at(4)),
        drained=False,
    )
    ready = talk.ready()
    assert ready.to_persist == [Delivery(1, START, START, restart=True)]
    assert (ready.to_read, ready.acknowledged) == (None, None)
    talk.store_all(ready)
    ready = talk.ready()
    assert (ready.to_read.after, ready.acknowledged) == (4, at(4))


def test_a_log_that_was_met_before_the_last_one_is_begun_again():
    """Our hello spoke of another log; the peer begins at the beginning, where our disk is further."""
    talk = Talk(me=me(cursor_log=b"a relay of now.."))
    talk.hear(Challenge(1, bytes(16)), hello(end=at(50)))
    talk.session.admit(Standing(me(cursor=at(40)), cursor_fits=True))
    assert [delivery.restart for delivery in talk.ready().to_persist] == [True]


def test_a_log_that_was_never_met_is_taken_from_its_beginning():
    talk = live(me=me(cursor_log=b""), peer=hello(end=at(50)), drained=False)
    ready = talk.ready()
    assert (ready.to_persist, talk.session.inbound.got) == ([], START)


def test_what_reached_the_disk_since_our_hello_does_not_count():
    """A delivery of the last connection was still under way; the peer goes on from what our hello said."""
    talk = Talk(me=me(cursor=at(40)))
    talk.hear(Challenge(1, bytes(16)), hello(end=at(50)))
    talk.session.admit(Standing(me(cursor=at(45)), cursor_fits=True))
    assert talk.session.inbound.got == at(40)


def test_a_log_whose_id_has_changed_since_its_hello_has_to_say_hello_again():
    talk = Talk(me=me())
    talk.hear(Challenge(1, bytes(16)), hello())
    with pytest.raises(LinkClosed) as caught:
        talk.session.admit(Standing(me(log_id=b"a new log of ..."), cursor_fits=True))
    assert caught.value.code == 4512


def test_what_is_still_wanted_of_the_past_is_asked_for_again():
    talk = live(me=me(cursor=at(100), wanted=((1, 50),)), peer=hello(end=at(100)), drained=False)
    assert Want(1, 50) in talk.said()
