import pytest

from crdtsync.errors import (
    LinkClosed,
    MalformedMessage,
    MessageTooBig,
    UnexpectedMessage,
    UnsupportedVersion,
)
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.codec import decode, encode, encode_hello_body
from crdtsync.protocol.messages import (
    Ack,
    Certificates,
    CertificatesWanted,
    Challenge,
    Cut,
    Digest,
    Heads,
    HeadsWanted,
    HeldRun,
    Hello,
    Part,
    Presence,
    Records,
    Refused,
    RefusedRecord,
    Want,
)
from crdtsync.protocol.session import State
from crdtsync.protocol.work import Delivery, ReadRequest, Standing
from crdtsync.testing.messages import one_of_each
from crdtsync.testing.talk import MINE, THEIRS, Talk, at, hello, live, me

RUN = HeldRun(b"c" * 32, 1, 5, ((5, b"l" * 32),))
BAD = RefusedRecord(4, b"d" * 32, "bad-signature", "the signature is not its author's", False)
HELD = RefusedRecord(5, b"e" * 32, "no-certificate", "its device is not known yet", True)
MANY = limits.CUT_ROWS_MIN + 1


def register(*, refused=(), fits=True, **facts):
    """A register that has met a relay."""
    peer = {name[5:]: facts.pop(name) for name in list(facts) if name.startswith("peer_")}
    return live(me=me(**facts), peer=hello(**peer), fits=fits, refused=refused)


def relay(*, refused=(), fits=True, drained=True, **facts):
    """A relay that a register has met."""
    peer = {name[5:]: facts.pop(name) for name in list(facts) if name.startswith("peer_")}
    return live(
        connecting=False,
        me=me(is_relay=True, **facts),
        peer=hello(**{"is_relay": False, **peer}),
        fits=fits,
        refused=refused,
        drained=drained,
    )


def in_state(state):
    if state is State.LIVE:
        return register()
    talk = Talk(connecting=state is State.AWAIT_CHALLENGE, me=me())
    if state is State.JUDGING:
        talk.hear(hello())
    return talk


# -- hello -------------------------------------------------------------------------------------------------


def test_who_accepts_speaks_first():
    assert Talk(connecting=False).said() == [Challenge(limits.VERSION, b"n" * 16)]


def test_who_connects_waits_to_be_asked():
    assert Talk(me=me()).said() == []


def test_the_answer_to_a_challenge_is_a_hello_signed_for_it():
    talk = Talk(me=me(end=at(9), cursor=at(4)))
    talk.hear(Challenge(1, b"c" * 16))
    [said] = talk.said()
    assert said == hello(
        device=me().device,
        log_id=MINE,
        end=at(9),
        cursor_log=THEIRS,
        cursor=at(4),
        is_relay=False,
    )
    assert talk.signed == [("hello-connect", b"c" * 16 + said.body)]
    assert said.signature == b"s" * 64


def test_a_hello_must_be_signed_for_the_challenge():
    talk = Talk(connecting=False)
    talk.hear(hello())
    assert talk.ready().judge == hello()
    assert talk.session.signed_by_peer() == ("hello-connect", b"n" * 16 + hello().body, bytes(64))


def test_who_accepts_signs_both_hellos():
    talk = relay(drained=False)
    said = next(message for message in talk.said() if isinstance(message, Hello))
    assert talk.signed == [("hello-accept", b"n" * 16 + hello(is_relay=False).body + said.body)]


def test_the_answering_hello_must_be_signed_for_both_hellos():
    talk = Talk(me=me())
    talk.hear(Challenge(1, b"c" * 16))
    [mine] = talk.said()
    talk.hear(hello())
    expected = b"c" * 16 + encode_hello_body(mine) + hello().body
    assert talk.session.signed_by_peer() == ("hello-accept", expected, bytes(64))


@pytest.mark.parametrize("state", [State.AWAIT_HELLO, State.LIVE])
def test_there_is_nothing_to_judge_before_a_hello_or_after_it(state):
    with pytest.raises(AssertionError):
        in_state(state).session.signed_by_peer()


def test_a_session_cannot_say_hello_for_nobody():
    with pytest.raises(AssertionError):
        Talk().hear(Challenge(1, b"c" * 16))


def test_an_unknown_certificate_is_asked_for():
    talk = in_state(State.JUDGING)
    talk.said()
    talk.session.want_certificates()
    assert talk.said() == [CertificatesWanted()]


def test_certificates_are_shown_to_the_judge_of_the_hello():
    talk = in_state(State.JUDGING)
    talk.ready()
    talk.hear(Certificates((b"owner", b"till")))
    ready = talk.ready()
    assert (ready.judge, ready.certificates) == (hello(), (b"owner", b"till"))


def test_a_register_that_is_not_known_shows_its_certificates():
    talk = Talk(me=me())
    talk.hear(Challenge(1, b"c" * 16))
    talk.said()
    talk.hear(CertificatesWanted())
    assert talk.ready().certificates_wanted
    talk.session.send_certificates([b"owner", b"till"])
    assert talk.said() == [Certificates((b"owner", b"till"))]


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_not_spoken(version):
    with pytest.raises(UnsupportedVersion):
        Talk(me=me()).hear(Challenge(version, bytes(16)))
    with pytest.raises(UnsupportedVersion):
        Talk(connecting=False).hear(hello(version=version))


ALLOWED = {
    State.AWAIT_CHALLENGE: {Challenge},
    State.AWAIT_HELLO: {Hello, CertificatesWanted},
    State.JUDGING: {Certificates},
    State.LIVE: {type(m) for m in one_of_each()}
    - {Challenge, Hello, CertificatesWanted, Certificates}
    - {type(m) for m in one_of_each() if type(m).__name__ in ("Offer", "Enrol", "Enrolled")},
}
OUT_OF_PLACE = [
    (state, message) for state in ALLOWED for message in one_of_each() if type(message) not in ALLOWED[state]
]


@pytest.mark.parametrize(("state", "message"), OUT_OF_PLACE)
def test_a_message_out_of_its_place_is_refused(state, message):
    with pytest.raises(UnexpectedMessage, match="has no place"):
        in_state(state).hear(message)


@pytest.mark.parametrize("state", [State.AWAIT_CHALLENGE, State.AWAIT_HELLO, State.JUDGING])
def test_nobody_waits_for_a_hello_for_ever(state):
    talk = in_state(state)
    talk.pass_time(limits.HELLO_TIMEOUT_MS)
    with pytest.raises(LinkClosed) as caught:
        talk.pass_time(1)
    assert caught.value.code == 4508


# -- how the logs stand to each other ----------------------------------------------------------------------


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


def test_a_register_whose_log_does_not_fit_gives_it_a_new_id():
    talk = register(end=at(9), peer_cursor=at(12), fits=False)
    assert talk.session.state is State.PARTING
    assert not talk.session.is_live


def test_the_new_id_is_all_that_comes_of_a_log_that_does_not_fit():
    talk = live(me=me(end=at(9)), peer=hello(cursor=at(12)), fits=False, drained=False)
    ready = talk.ready()
    assert ready.rotate
    assert (ready.acknowledged, ready.to_read, ready.to_persist, ready.to_send) == (None, None, [], [])


def test_nothing_is_taken_while_the_log_gets_a_new_id():
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


def test_a_relay_says_that_a_cursor_does_not_fit_and_keeps_its_id():
    talk = relay(end=at(9), peer_cursor=at(12), fits=False, drained=False)
    ready = talk.ready()
    said = decode(ready.to_send[0])
    assert (ready.rotate, said.fits, talk.session.outbound.sent) == (False, False, START)


def test_a_relay_finds_nothing_wrong_with_a_cursor_of_another_log():
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


# -- the first exchange ------------------------------------------------------------------------------------


def first(talk):
    return next((m for m in talk.said() if not isinstance(m, Hello | Refused | Challenge)), None)


def test_two_long_logs_that_do_not_know_each_other_compare_heads_first():
    rows = at(limits.HEADS_ROWS_MIN + 1)
    talk = live(me=me(end=rows), peer=hello(end=rows), drained=False)
    ready = talk.ready()
    assert decode(ready.to_send[-1]) == HeadsWanted()
    assert ready.to_read is None
    talk.hear(Heads((RUN,), last=False), Heads((RUN,)))
    assert talk.ready().heads == [RUN, RUN]
    talk.session.cover({RUN.chain: [(1, 5)]})
    assert talk.ready().to_read == ReadRequest(0, limits.BATCH_BYTES, rows.seq, covered={RUN.chain: [(1, 5)]})


@pytest.mark.parametrize("ends", [(limits.HEADS_ROWS_MIN, MANY), (MANY, limits.HEADS_ROWS_MIN)])
def test_a_short_log_is_sent_without_asking(ends):
    talk = live(me=me(end=at(ends[0])), peer=hello(end=at(ends[1])), drained=False)
    assert talk.ready().to_read.after == 0


def test_a_register_that_lacks_much_gets_a_cut():
    talk = relay(end=at(MANY), drained=False)
    ready = talk.ready()
    assert (ready.cut_due, ready.to_read) == (True, None)
    talk.session.supply_cut(at(MANY), [(5, 6), (7, 9)], [(1, b"Eowner")])
    assert talk.said() == [Cut(at(MANY), ((5, 9),), (1,), (b"Eowner",))]
    talk.hear(Want(1, 50))
    assert talk.ready().to_read.until == 50


def test_a_relay_is_never_sent_a_cut():
    talk = live(me=me(end=at(MANY)), peer=hello(), drained=False)
    ready = talk.ready()
    assert (ready.cut_due, ready.to_read.after) == (False, 0)


def test_a_cut_names_no_more_intervals_than_a_message_may_have():
    talk = relay(end=at(10_000))
    talk.session.supply_cut(at(10_000), [(n, n) for n in range(1, 10_000, 2)], [])
    [cut] = talk.said()
    assert len(cut.first) == limits.FIRST_INTERVALS_MAX


def test_our_heads_are_told_in_messages_of_bounded_size():
    talk = register()
    talk.session.supply_heads([RUN] * (limits.RUNS_PER_MESSAGE_MAX + 1))
    assert [(len(m.runs), m.last) for m in told_in_parts(talk)] == [
        (limits.RUNS_PER_MESSAGE_MAX, False),
        (1, True),
    ]


def test_an_empty_log_has_empty_heads():
    talk = register()
    talk.hear(HeadsWanted())
    assert talk.ready().heads_wanted
    talk.session.supply_heads([])
    assert talk.said() == [Heads(())]


def told_in_parts(talk):
    whole = []
    pieces = b""
    for message in talk.said():
        if isinstance(message, Part):
            pieces += message.data
            if message.last:
                whole.append(decode(pieces))
                pieces = b""
        else:
            whole.append(message)
    return whole


@pytest.mark.parametrize("talk", [register(), relay()])
def test_heads_that_nobody_asked_for_are_refused(talk):
    with pytest.raises(UnexpectedMessage):
        talk.hear(Heads((RUN,)))


def test_no_shop_has_more_runs_than_the_bound(monkeypatch):
    monkeypatch.setattr(limits, "HEADS_RUNS_MAX", 2)
    talk = register()
    talk.session.repair()
    with pytest.raises(MessageTooBig):
        talk.hear(Heads((RUN, RUN), last=False), Heads((RUN,)))


# -- records -----------------------------------------------------------------------------------------------


def test_a_sale_goes_out_as_soon_as_the_log_grows():
    talk = register()
    talk.session.log_grew(at(1))
    assert talk.ready().to_read == ReadRequest(0, limits.BATCH_BYTES, packs=True)
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    assert talk.said() == [Records(START, at(1), (1,), (b"Esale",))]


def test_a_log_does_not_shrink():
    talk = register(end=at(9), peer_cursor=at(9))
    talk.session.log_grew(at(4))
    assert talk.session.outbound.end == at(9)


def test_an_acknowledgement_is_to_be_written_down():
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.hear(Ack(at(1)))
    assert talk.ready().acknowledged == at(1)


def test_an_acknowledgement_that_is_no_news_is_not():
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.hear(Ack(at(1)))
    talk.ready()
    talk.hear(Ack(at(1)))
    assert talk.ready().acknowledged is None


def test_a_relay_acknowledges_what_it_has_stored_and_not_before():
    talk = relay(peer_end=at(1))
    talk.hear(Records(START, at(1), (1,), (b"Esale",)))
    ready = talk.ready()
    assert ready.to_send == []
    talk.store_all(ready)
    assert talk.said() == [Ack(at(1))]


def test_a_register_acknowledges_at_the_next_tick():
    talk = register(peer_end=at(1))
    talk.hear(Records(START, at(1), (1,), (b"Esale",)))
    talk.store_all(talk.ready())
    assert talk.said() == []
    talk.pass_time(1)
    assert talk.said() == [Ack(at(1))]


def test_a_cut_is_taken_by_a_register_that_starts():
    talk = register(peer_end=at(100))
    talk.hear(Cut(at(100), ((90, 100),)))
    ready = talk.ready()
    assert ready.to_persist[0].cut == ((90, 100), (1, 89))
    assert [decode(frame) for frame in ready.to_send] == [Want(90, 100), Want(1, 89)]


def test_a_relay_refuses_a_cut():
    with pytest.raises(UnexpectedMessage):
        relay().hear(Cut(at(100), ()))


def test_a_pack_is_sent_for_the_rows_that_it_holds():
    talk = relay(end=at(9))
    talk.session.supply_pack(at(9), b"packed")
    [pack] = talk.said()
    assert (pack.start, pack.to, pack.blob) == (START, at(9), b"packed")
    other = register(peer_end=at(9))
    other.hear(pack)
    assert other.ready().to_persist == [Delivery(1, START, at(9), blob=b"packed", size=6)]


def test_skipped_rows_are_told_of_after_a_while():
    talk = register()
    talk.session.log_grew(at(3))
    talk.ready()
    talk.session.supply(at(3), [], 0)
    talk.pass_time(limits.ADVANCE_AFTER_MS - 1)
    assert talk.said() == []
    talk.pass_time(1)
    assert talk.said() == [Records(START, at(3), (), ())]


# -- refusals ----------------------------------------------------------------------------------------------


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


def test_what_is_refused_is_told_before_the_acknowledgement_that_passes_it():
    talk = relay(peer_end=at(5))
    talk.hear(Records(START, at(5), (4, 5), (b"Ebad", b"Eheld")))
    talk.ready()
    talk.session.stored(1, [BAD, HELD])
    assert talk.said() == [Refused((BAD, HELD)), Ack(at(5))]


def test_what_was_held_and_is_admitted_is_told_as_all_that_is_left():
    talk = relay()
    talk.session.refusals_changed([BAD])
    assert talk.said() == [Refused((BAD,), complete=True)]


def test_nothing_is_told_of_refusals_before_hello():
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


def test_what_the_peer_refuses_is_to_be_written_down():
    talk = register()
    talk.hear(Refused((BAD,)))
    ready = talk.ready()
    assert (ready.refused, ready.acknowledged) == ([Refused((BAD,))], None)


# -- comparing and repairing -------------------------------------------------------------------------------


def test_two_quiet_ends_compare_their_digests_now_and_then():
    talk = register()
    talk.pass_time(limits.COMPARE_EVERY_MS)
    assert talk.ready().digest_due
    talk.session.send_digest(b"g" * 32)
    assert talk.said() == [Digest(b"g" * 32, 0)]
    talk.pass_time(1)
    assert not talk.ready().digest_due


def test_who_is_not_in_step_does_not_compare():
    talk = register(peer_end=at(9))
    talk.pass_time(limits.COMPARE_EVERY_MS)
    assert not talk.ready().digest_due


def test_a_digest_is_looked_at():
    talk = register()
    talk.hear(Digest(b"g" * 32, 0))
    assert talk.ready().digest == Digest(b"g" * 32, 0)


def test_a_digest_of_another_moment_is_not():
    talk = register()
    talk.hear(Digest(b"g" * 32, 3))
    assert talk.ready().digest is None


def test_a_repair_asks_for_heads_and_sends_again_what_they_do_not_cover():
    talk = register(end=at(9), peer_cursor=at(9))
    talk.session.repair()
    talk.session.repair()
    assert talk.said() == [HeadsWanted()]
    talk.hear(Heads((RUN,)))
    talk.ready()
    talk.session.cover({RUN.chain: [(1, 5)]})
    assert talk.ready().to_read == ReadRequest(
        0, limits.BATCH_BYTES, 9, skip_origin=False, covered={RUN.chain: [(1, 5)]}
    )
    talk.session.supply(at(9), [(7, b"Elost")], 5)
    assert talk.said() == [Records(at(9), at(9), (7,), (b"Elost",))]


def test_nothing_is_repaired_before_hello():
    talk = in_state(State.AWAIT_HELLO)
    talk.said()
    talk.session.repair()
    assert talk.said() == []


# -- being in step -----------------------------------------------------------------------------------------


def test_empty_logs_are_in_step():
    assert register().session.is_in_step


@pytest.mark.parametrize(
    "talk",
    [
        in_state(State.AWAIT_CHALLENGE),
        register(end=at(9)),
        register(peer_end=at(9)),
        register(peer_end=at(9), cursor=at(9), wanted=((1, 2),)),
    ],
)
def test_whoever_lacks_something_is_not_in_step(talk):
    assert not talk.session.is_in_step


# -- presence, parts, time ---------------------------------------------------------------------------------


def test_a_few_facts_are_shown():
    talk = register()
    talk.session.send_presence({"pending": 3})
    assert talk.said() == [Presence({"pending": 3})]
    talk.hear(Presence({"pending": 4}))
    assert talk.ready().presence == {"pending": 4}


def test_nothing_is_shown_before_hello():
    talk = in_state(State.AWAIT_CHALLENGE)
    talk.session.send_presence({"pending": 3})
    assert talk.said() == []


def test_a_message_in_parts_is_put_together():
    talk = register(peer_end=at(1))
    state = b"C" + bytes(2 * limits.FRAME_BYTES_MAX)
    talk.hear(Records(START, at(1), (1,), (state,)))
    assert talk.ready().to_persist[0].records == ((1, state),)


def test_parts_do_not_nest():
    with pytest.raises(MalformedMessage):
        register().hear(Part(encode(Part(encode(HeadsWanted()), last=True)), last=True))


@pytest.mark.parametrize("state", [State.AWAIT_CHALLENGE, State.AWAIT_HELLO, State.JUDGING])
def test_no_parts_are_kept_for_a_stranger(state):
    with pytest.raises(UnexpectedMessage):
        in_state(state).hear(Part(bytes(limits.PART_BYTES), last=False))


def test_a_peer_that_leaves_records_unacknowledged_and_says_nothing_is_dead():
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.pass_time(limits.STALLED_AFTER_MS)
    with pytest.raises(LinkClosed) as caught:
        talk.pass_time(1)
    assert caught.value.code == 4508


def test_a_peer_that_says_something_is_alive():
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.pass_time(limits.STALLED_AFTER_MS)
    talk.hear(Presence({}))
    talk.pass_time(limits.STALLED_AFTER_MS)
    assert talk.session.is_live


def test_a_quiet_peer_that_owes_nothing_may_be_quiet():
    talk = register()
    talk.pass_time(100 * limits.STALLED_AFTER_MS)
    assert talk.session.is_live


def test_a_lie_about_what_was_told_is_refused():
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    with pytest.raises(UnexpectedMessage):
        talk.hear(Ack(Position(1, bytes(32))))
