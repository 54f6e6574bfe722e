"""What a certified device, or a relay, could try: fill memory, stop others, make a loss look safe."""

import pytest

from crdtsync.errors import LinkClosed, MessageTooBig, UnexpectedMessage
from crdtsync.ids import START, ZERO_HASH, Position
from crdtsync.protocol import limits
from crdtsync.protocol.messages import (
    CAPABILITIES,
    About,
    Ack,
    Certificates,
    CertificatesWanted,
    Challenge,
    Cut,
    Digest,
    Documents,
    DocumentsDigest,
    Heads,
    HeadsWanted,
    HeldRun,
    Presence,
    Records,
    Refused,
    RefusedRecord,
    Want,
)
from crdtsync.protocol.work import Standing
from crdtsync.testing.talk import Talk, at, hello, me

RUN = HeldRun(b"c" * 32, 1, 5, ((5, b"l" * 32),))
OTHER = b"?" * 32
LIST = Documents(About.RECORDS, (("catalogue", OTHER),))


def lie(seq):
    return RefusedRecord(seq, bytes(32), "malformed", "because I say so", False)


# -- to fill memory ----------------------------------------------------------------------------------------


def test_heads_are_not_asked_for_again_before_they_were_told(relay):
    talk = relay()
    talk.hear(HeadsWanted())
    with pytest.raises(UnexpectedMessage):
        talk.hear(HeadsWanted())


def test_heads_are_told_as_there_is_room_for_them(relay, monkeypatch):
    monkeypatch.setattr(limits, "RUNS_PER_MESSAGE_MAX", 2)
    talk = relay()
    talk.hear(HeadsWanted())
    assert not talk.session.take_ready(limits.ROOM_BYTES).heads_wanted
    assert talk.session.take_ready(limits.ROOM_BYTES - 1).heads_wanted
    talk.session.supply_heads([RUN] * 5)
    assert talk.said() == [Heads((RUN, RUN), last=False)] * 2
    assert talk.session.comparing.has_more_to_tell
    assert talk.session.take_ready(limits.ROOM_BYTES).to_send == []
    assert talk.said() == [Heads((RUN,))]
    assert not talk.session.comparing.has_more_to_tell


def test_heads_are_not_told_ever_faster(relay):
    talk = relay()
    talk.hear(HeadsWanted())
    talk.ready()
    talk.session.supply_heads([])
    talk.said()
    talk.hear(HeadsWanted())
    assert not talk.ready().heads_wanted
    talk.pass_time(limits.HEADS_EVERY_MS)
    assert talk.ready().heads_wanted


def test_a_message_is_of_the_moment_at_which_it_came(relay):
    """Also where no clock has ticked since the one before."""
    talk = relay()
    talk.hear(HeadsWanted())
    talk.ready()
    talk.session.supply_heads([])
    talk.said()
    talk.now_ms += limits.HEADS_EVERY_MS
    talk.hear(HeadsWanted())
    assert talk.ready().heads_wanted


@pytest.mark.parametrize("look", [lambda talk: talk.pass_time(1), lambda talk: talk.hear(Presence({}))])
def test_who_reads_nothing_of_what_it_causes_is_hung_up_on(relay, look):
    talk = relay()
    talk.session.take_ready(2 * limits.QUEUED_BYTES_MAX)
    with pytest.raises(LinkClosed) as caught:
        look(talk)
    assert caught.value.code == 4508


def test_a_long_list_of_refusals_at_hello_is_no_reason_to_hang_up(relay, monkeypatch):
    monkeypatch.setattr(limits, "QUEUED_BYTES_MAX", 1000)
    talk = Talk(connecting=False)
    talk.hear(hello(is_relay=False))
    talk.ready()
    refusals = tuple(lie(seq) for seq in range(1, 100))
    talk.session.admit(Standing(me(is_relay=True), cursor_fits=True, refusals=refusals))
    talk.session.take_ready(sum(map(len, talk.ready().to_send)))
    talk.hear(Presence({}))
    assert talk.session.is_live


def test_one_large_message_is_no_reason_to_hang_up_on_a_slow_peer(relay):
    talk = relay(end=at(1))
    talk.session.supply(at(1), [(1, b"C" + bytes(limits.STATE_BYTES_MAX))], limits.STATE_BYTES_MAX)
    waiting = sum(map(len, talk.ready().to_send))
    assert waiting > 2 * limits.QUEUED_BYTES_MAX
    talk.session.take_ready(waiting)
    talk.hear(Presence({}))
    assert talk.session.is_live


def test_tiny_records_count_for_more_than_their_bytes(relay, monkeypatch):
    """A refusal of each may have to be told, so they are read no faster than they are judged."""
    monkeypatch.setattr(limits, "UNSTORED_BYTES_MAX", 10 * limits.UNSTORED_RECORD_BYTES)
    talk = relay()
    talk.hear(Records(START, at(10), tuple(range(1, 11)), (b"?",) * 10))
    assert talk.session.inbound.is_flooded
    talk.session.stored(1)
    assert not talk.session.inbound.is_flooded


def test_certificates_are_shown_once():
    talk = Talk(me=me())
    talk.hear(Challenge(1, bytes(16)), CertificatesWanted())
    with pytest.raises(UnexpectedMessage):
        talk.hear(CertificatesWanted())


def test_nothing_is_asked_of_a_stranger_but_who_he_is(in_state):
    from crdtsync.protocol.session import State

    talk = in_state(State.JUDGING)
    talk.ready()
    with pytest.raises(UnexpectedMessage):
        talk.hear(HeadsWanted())
    talk.hear(Certificates(()))
    assert talk.ready().to_send == []


# -- to keep others from working ---------------------------------------------------------------------------


def test_a_digest_is_looked_at_only_now_and_then(register):
    talk = register()
    talk.hear(Digest(OTHER, 0))
    assert talk.ready().digest is not None
    talk.hear(Digest(OTHER, 0))
    assert talk.ready().digest is None
    talk.pass_time(limits.DIGEST_EVERY_MS)
    talk.hear(Digest(OTHER, 0))
    assert talk.ready().digest is not None


def test_a_digest_makes_us_read_our_log_only_now_and_then(register):
    talk = register(end=at(9), peer_cursor=at(9))
    talk.session.comparing.repair(is_wanted_by_peer=True)
    talk.hear(Heads(()))
    talk.session.cover({})
    talk.said()
    talk.session.comparing.repair(is_wanted_by_peer=True)
    assert talk.said() == []
    talk.pass_time(limits.REPAIR_EVERY_MS)
    talk.session.comparing.repair(is_wanted_by_peer=True)
    assert talk.said() == [HeadsWanted()]


def test_documents_are_sent_again_only_now_and_then(register):
    talk = register(end=at(9), peer_cursor=at(9))
    talk.session.comparing.send_again([2, 3])
    assert (talk.ready().to_read.after, talk.session.is_in_step) == (1, False)
    talk.session.supply(at(3), [(2, b"U"), (3, b"U")], 2)
    talk.session.comparing.send_again([2, 3])
    assert talk.ready().to_read is None


@pytest.mark.parametrize("about", About)
def test_a_list_of_documents_that_answers_nothing_is_refused(register, about):
    with pytest.raises(UnexpectedMessage):
        register(peer_capabilities=CAPABILITIES).hear(Documents(about, ()))


def test_a_list_of_documents_is_taken_once_for_each_question(register):
    talk = register()
    talk.session.comparing.send_documents_digest(bytes(32))
    talk.hear(LIST)
    assert talk.ready().documents == [LIST]
    with pytest.raises(UnexpectedMessage):
        talk.hear(LIST)


def test_lists_that_were_held_up_on_the_way_are_taken_one_for_each_question(register):
    """A wire brought nothing for a minute and a half: both answers came at once, and ended the connection."""
    talk = register()
    for _ in range(2):
        talk.session.comparing.send_documents_digest(bytes(32))
    talk.hear(LIST, LIST)
    assert talk.ready().documents == [LIST, LIST]
    with pytest.raises(UnexpectedMessage):
        talk.hear(LIST)


def test_no_peer_saves_up_more_lists_than_the_bound(register):
    talk = register()
    for _ in range(limits.LISTS_EXPECTED_MAX + 5):
        talk.session.comparing.send_documents_digest(bytes(32))
    talk.hear(*[LIST] * limits.LISTS_EXPECTED_MAX)
    with pytest.raises(UnexpectedMessage):
        talk.hear(LIST)


def test_no_shop_has_more_documents_than_the_bound(register, monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENTS_MAX", 2)
    talk = register()
    talk.session.comparing.send_documents_digest(bytes(32))
    part = Documents(About.RECORDS, (("x/a", OTHER), ("x/b", OTHER)), last=False)
    with pytest.raises(MessageTooBig):
        talk.hear(part, LIST)


def test_documents_are_looked_at_only_by_who_is_in_step_and_now_and_then(register):
    talk = register()
    talk.hear(DocumentsDigest(OTHER, 3))
    assert talk.ready().documents_digest is None
    talk.hear(DocumentsDigest(OTHER, 0))
    assert talk.ready().documents_digest is not None
    talk.hear(DocumentsDigest(OTHER, 0))
    assert talk.ready().documents_digest is None


def test_an_end_that_never_tells_its_heads_does_not_keep_sales_back_for_ever(register):
    rows = at(limits.HEADS_ROWS_MIN + 1)
    talk = register(end=rows, peer_end=rows)
    talk.pass_time(limits.STALLED_AFTER_MS)
    with pytest.raises(LinkClosed):
        talk.pass_time(1)


def test_what_is_wanted_of_the_past_is_not_cut_into_ever_more_pieces(register):
    """Each piece would be stored with every frame."""
    talk = register(peer_end=at(100_000))
    talk.hear(Cut(at(100_000), ()))
    asked = [message for message in talk.said() if isinstance(message, Want)]
    first = min(want.lo for want in asked)
    for seq in range(2, first - 1, 1000):
        talk.hear(Records(at(100_000), at(100_000), (), (), fills=(seq, seq)))
    talk.store_all(talk.ready())
    assert talk.session.inbound.wanted == [(1, 100_000)]


# -- to make a loss look safe ------------------------------------------------------------------------------


def test_a_relay_cannot_say_that_the_past_was_answered_beyond_what_it_told(register):
    talk = register(peer_end=at(100))
    talk.hear(Cut(at(100), ()))
    with pytest.raises(UnexpectedMessage):
        talk.hear(Records(at(100), at(100), (), (), fills=(1, 101)))


def test_an_answer_to_what_was_not_asked_for_answers_nothing(register):
    talk = register(peer_end=at(100), cursor=at(100), wanted=((1, 50),))
    talk.hear(Records(at(100), at(100), (60,), (b"Elate",), fills=(51, 70)))
    [delivery] = talk.ready().to_persist
    assert (delivery.fills, delivery.records) == (None, ((60, b"Elate"),))


@pytest.mark.parametrize("seq", [0, 10])
def test_nobody_refuses_what_it_was_never_sent(register, seq):
    talk = register(end=at(9), peer_cursor=at(9))
    with pytest.raises(UnexpectedMessage):
        talk.hear(Refused((lie(seq),)))


def test_an_acknowledgement_is_of_a_position_that_was_told(register):
    talk = register(end=at(9))
    talk.session.supply(at(9), [(9, b"Esale")], 5)
    with pytest.raises(UnexpectedMessage):
        talk.hear(Ack(at(4)))


def test_a_peer_at_the_beginning_holds_nothing_whatever_the_hash_that_it_says(register):
    """Such a cursor does not fit: the driver's hash at 0 is 32 zero bytes. It counts for nothing here."""
    talk = register(end=at(9), peer_cursor=Position(0, OTHER), fits=False)
    assert not talk.session.is_live
    assert talk.session.outbound.acked == START == Position(0, ZERO_HASH)


def test_a_replayed_hello_is_signed_for_another_challenge():
    first, second = Talk(connecting=False), Talk(connecting=False)
    second.session._challenge = b"another nonce..."
    first.hear(hello())
    second.hear(hello())
    assert first.session.signed_by_peer()[1] != second.session.signed_by_peer()[1]


def test_a_hello_cannot_be_turned_round(register):
    """What the connecting end signed is no answer of an accepting one, and the other way round."""
    connecting, accepting = Talk(me=me()), Talk(connecting=False)
    connecting.hear(Challenge(1, b"c" * 16), hello())
    accepting.hear(hello())
    assert connecting.session.signed_by_peer()[0] != accepting.session.signed_by_peer()[0]
