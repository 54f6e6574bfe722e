"""What goes first: heads, a cut, or simply the log."""

import pytest

from crdtsync.errors import (
    MessageTooBig,
    UnexpectedMessage,
)
from crdtsync.protocol import limits
from crdtsync.protocol.codec import decode
from crdtsync.protocol.messages import (
    Challenge,
    Cut,
    Heads,
    HeadsWanted,
    HeldRun,
    Hello,
    Part,
    Refused,
    Want,
)
from crdtsync.protocol.work import ReadRequest
from crdtsync.testing.talk import at, hello, live, me

RUN = HeldRun(b"c" * 32, 1, 5, ((5, b"l" * 32),))
MANY = limits.CUT_ROWS_MIN + 1


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


def test_a_register_that_lacks_much_gets_a_cut(relay):
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


def test_a_cut_names_no_more_intervals_than_a_message_may_have(relay):
    talk = relay(end=at(10_000))
    talk.session.supply_cut(at(10_000), [(n, n) for n in range(1, 10_000, 2)], [])
    [cut] = talk.said()
    assert len(cut.first) == limits.FIRST_INTERVALS_MAX


def test_our_heads_are_told_in_messages_of_bounded_size(register):
    talk = register()
    talk.session.supply_heads([RUN] * (limits.RUNS_PER_MESSAGE_MAX + 1))
    assert [(len(m.runs), m.last) for m in told_in_parts(talk)] == [
        (limits.RUNS_PER_MESSAGE_MAX, False),
        (1, True),
    ]


def test_an_empty_log_has_empty_heads(register):
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


@pytest.mark.parametrize("end", ["register", "relay"])
def test_heads_that_nobody_asked_for_are_refused(end, request):
    talk = request.getfixturevalue(end)()
    with pytest.raises(UnexpectedMessage):
        talk.hear(Heads((RUN,)))


def test_no_shop_has_more_runs_than_the_bound(monkeypatch, register):
    monkeypatch.setattr(limits, "HEADS_RUNS_MAX", 2)
    talk = register()
    talk.session.repair()
    with pytest.raises(MessageTooBig):
        talk.hear(Heads((RUN, RUN), last=False), Heads((RUN,)))
