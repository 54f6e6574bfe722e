"""Comparing, repairing, and being in step."""

import pytest

from crdtsync.protocol import limits
from crdtsync.protocol.messages import (
    DOCUMENTS,
    TAKES_ONLY,
    Digest,
    Heads,
    HeadsWanted,
    HeldRun,
    Records,
)
from crdtsync.protocol.session import State
from crdtsync.protocol.work import ReadRequest
from crdtsync.testing.talk import at, hello, live, me

RUN = HeldRun(b"c" * 32, 1, 5, ((5, b"l" * 32),))


def test_two_quiet_ends_compare_their_digests_now_and_then(register):
    talk = register()
    talk.pass_time(limits.COMPARE_EVERY_MS)
    assert talk.ready().digest_due
    talk.session.send_digest(b"g" * 32)
    assert talk.said() == [Digest(b"g" * 32, 0)]
    talk.pass_time(1)
    assert not talk.ready().digest_due


def test_who_is_not_in_step_does_not_compare(register):
    talk = register(peer_end=at(9))
    talk.pass_time(limits.COMPARE_EVERY_MS)
    assert not talk.ready().digest_due


def test_a_digest_is_looked_at(register):
    talk = register()
    talk.hear(Digest(b"g" * 32, 0))
    assert talk.ready().digest == Digest(b"g" * 32, 0)


def test_a_digest_of_another_moment_is_not(register):
    talk = register()
    talk.hear(Digest(b"g" * 32, 3))
    assert talk.ready().digest is None


def test_a_repair_asks_for_heads_and_sends_again_what_they_do_not_cover(register):
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


def test_nothing_is_repaired_before_hello(in_state):
    talk = in_state(State.AWAIT_HELLO)
    talk.said()
    talk.session.repair()
    assert talk.said() == []


def test_empty_logs_are_in_step(register):
    assert register().session.is_in_step


def test_who_is_only_taken_from_is_never_in_step():
    """A register that was cut off is told so in the hello: it waits for the relay to hang up."""
    for capabilities, is_in_step in (((DOCUMENTS,), True), ((DOCUMENTS, TAKES_ONLY), False)):
        talk = live(me=me(), peer=hello(capabilities=capabilities))
        assert talk.session.is_in_step == is_in_step


@pytest.mark.parametrize(
    "facts",
    [{"end": at(9)}, {"peer_end": at(9)}, {"peer_end": at(9), "cursor": at(9), "wanted": ((1, 2),)}],
)
def test_whoever_lacks_something_is_not_in_step(facts, register):
    assert not register(**facts).session.is_in_step


def test_whoever_has_not_said_hello_is_not_in_step(in_state):
    assert not in_state(State.AWAIT_CHALLENGE).session.is_in_step
