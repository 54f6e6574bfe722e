"""What a session does after most commits, by the short way: only where there is nothing else to do."""

import pytest

from crdtsync.errors import LinkClosed
from crdtsync.protocol import limits
from crdtsync.protocol.codec import decode
from crdtsync.protocol.messages import Ack, Digest, HeadsWanted, Pack, Records, Want
from crdtsync.protocol.session import State
from crdtsync.protocol.work import ReadRequest
from crdtsync.testing.talk import at

SALE = b"Esale"
MANY = limits.CUT_ROWS_MIN + 1
STRANGERS = [State.AWAIT_CHALLENGE, State.AWAIT_HELLO, State.JUDGING]


def sells(talk, seq=1):
    """The register at the other end sends a sale, and it is on the disk."""
    talk.hear(Records(at(seq - 1), at(seq), (seq,), (SALE,)))
    talk.store_all(talk.ready())


# -- the short way after a commit ----------------------------------------------------------------------------


def test_a_sale_that_is_stored_is_acknowledged_by_the_short_way_too(relay):
    talk = relay(peer_end=at(1))
    sells(talk)
    frames, to_read = talk.session.go_on()
    assert ([decode(frame) for frame in frames], to_read) == ([Ack(at(1))], None)


def test_it_asks_for_the_rows_that_have_come(relay):
    talk = relay()
    talk.session.log_grew(at(3))
    assert talk.session.go_on() == ([], ReadRequest(0, limits.BATCH_BYTES, packs=True))


@pytest.mark.parametrize("state", STRANGERS)
def test_there_is_no_short_way_before_both_have_said_who_they_are(state, in_state):
    talk = in_state(state)
    talk.ready()
    assert talk.session.go_on() is None


def test_there_is_none_while_something_is_to_be_done_besides_sending(register):
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, SALE)], 5)
    talk.ready()
    talk.hear(Ack(at(1)))
    assert talk.session.go_on() is None
    assert talk.ready().acknowledged == at(1)


def test_there_is_none_while_the_peer_waits_for_our_heads(register):
    talk = register()
    talk.hear(HeadsWanted())
    assert talk.session.go_on() is None
    assert talk.ready().heads_wanted
    talk.session.supply_heads([])
    assert talk.session.go_on() is not None


def test_who_is_gone_on_with_has_nothing_left_to_read_of_before(register):
    """The driver goes this way only where the socket has taken everything."""
    talk = register()
    talk.session.take_ready(limits.QUEUED_BYTES_MAX * 2)
    talk.session.go_on()
    talk.pass_time(1)
    assert talk.session.is_live


# -- several frames at once ----------------------------------------------------------------------------------


def test_frames_of_a_peer_that_is_known_are_taken_together(register):
    assert register().session.may_go_on is True


@pytest.mark.parametrize("state", STRANGERS)
def test_those_of_a_stranger_one_by_one(state, in_state):
    talk = in_state(state)
    talk.ready()
    assert talk.session.may_go_on is False


def test_no_further_frame_is_taken_before_a_cut_is_made(relay):
    talk = relay(end=at(MANY), drained=False)
    assert talk.session.may_go_on is False
    assert talk.ready().cut_due
    assert talk.session.may_go_on is True


def test_no_further_frame_is_taken_before_a_digest_is_looked_at(register):
    """What comes behind it is not what it was made of."""
    talk = register()
    talk.hear(Digest(b"d" * 32, 0))
    assert talk.session.may_go_on is False
    assert talk.ready().digest == Digest(b"d" * 32, 0)
    assert talk.session.may_go_on is True


# -- a pack that begins before what was wanted ---------------------------------------------------------------


def test_a_pack_answers_also_what_it_holds_before_the_row_asked_for(register):
    talk = register(end=at(9), peer_cursor=at(9))
    talk.hear(Want(5, 8))
    assert talk.ready().to_read.after == 4
    talk.session.supply_pack(at(8), b"packed", first=2)
    assert talk.said() == [Pack(at(9), at(9), b"packed", (2, 8))]


# -- time ----------------------------------------------------------------------------------------------------


def test_a_large_record_may_take_a_slow_line_its_time(register):
    talk = register(end=at(1))
    large = b"C" + bytes(600_000)
    talk.session.supply(at(1), [(1, large)], len(large))
    talk.ready()
    talk.now_ms += limits.ANSWER_WITHIN_MS + len(large) * 1000 // limits.SLOWEST_BYTES_PER_S
    talk.session.silence.sign_of_life(talk.now_ms)
    talk.pass_time(0)
    assert talk.session.is_live
    talk.session.silence.sign_of_life(talk.now_ms)
    with pytest.raises(LinkClosed, match="does not answer"):
        talk.pass_time(60_000)
