"""Whatever a peer sends, and however little it reads: what waits for it stays bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync.errors import LinkClosed, RemoteProtocolError
from crdtsync.ids import Position
from crdtsync.protocol import limits
from crdtsync.protocol.messages import (
    CAPABILITIES,
    About,
    Ack,
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
from crdtsync.testing.talk import at, hello, live, me

ROWS = 60
RECORD = b"E" + bytes(400)
RUN = HeldRun(b"c" * 32, 1, 5, ((5, b"l" * 32), (4, b"m" * 32)))
REASON = "not a record " * 20
SMALL = {
    "ROOM_BYTES": 4_000,
    "QUEUED_BYTES_MAX": 20_000,
    "BATCH_BYTES": 2_000,
    "RUNS_PER_MESSAGE_MAX": 10,
    "DOCUMENTS_PER_MESSAGE_MAX": 10,
}
LARGEST_ANSWER_BYTES = 10_000
"""To one frame of ten records, all of them refused, and to whatever comes up with it."""


class DeafPeer:
    """A driver that does at once all that a session asks for, for a peer that reads nothing."""

    def __init__(self):
        self.talk = live(
            connecting=False,
            me=me(is_relay=True, end=at(ROWS)),
            peer=hello(is_relay=False, capabilities=CAPABILITIES),
            drained=False,
        )
        self.queued_bytes = 0
        self.do_all()

    def do_all(self):
        for _ in range(1000):
            if not self._do(self.talk.session.take_ready(self.queued_bytes)):
                return
        raise AssertionError("there is always more to do")

    def _do(self, ready):
        session = self.talk.session
        for delivery in ready.to_persist:
            refused = [
                RefusedRecord(seq, bytes(32), "malformed", REASON, False) for seq, _ in delivery.records
            ]
            session.stored(delivery.number, refused)
        if ready.heads_wanted:
            session.supply_heads([RUN] * 95)
        if ready.heads is not None:
            session.cover({})
        if ready.digest_due:
            session.send_digest(bytes(32))
            session.comparing.send_documents_digest(bytes(32))
        if ready.digest is not None:
            session.comparing.repair(is_wanted_by_peer=True)
        if ready.documents_digest is not None:
            session.comparing.send_documents(About.RECORDS, [(f"x/{n}", bytes(32)) for n in range(25)])
        for documents in ready.documents:
            if documents.about is About.RECORDS:
                session.comparing.send_documents(About.CONTENTS, documents.documents)
            session.comparing.send_again(range(1, ROWS))
        if ready.to_read is not None:
            after, until = ready.to_read.after, ready.to_read.until or ROWS
            seqs = range(after + 1, min(until, after + 4) + 1)
            session.supply(at(seqs[-1]), [(seq, RECORD) for seq in seqs], len(RECORD) * len(seqs))
        self.queued_bytes += sum(map(len, ready.to_send))
        return bool(ready.to_send or ready.to_persist or ready.heads_wanted or ready.to_read)

    def hear(self, message):
        if callable(message):
            message = message(self.talk.session)
        self.talk.hear(message)
        self.do_all()


def garbage(session):
    got = session.inbound.got.seq
    to = Position(got + 10, bytes(32))
    return Records(session.inbound.got, to, tuple(range(got + 1, got + 11)), (b"?",) * 10)


seqs = st.integers(1, ROWS)
digests = st.sampled_from([bytes(32), b"?" * 32])
messages = st.one_of(
    st.just(HeadsWanted()),
    st.just(garbage),
    st.just(Heads((RUN,))),
    st.just(Presence({})),
    st.just(Refused((), complete=True)),
    st.tuples(seqs, seqs).map(lambda pair: Want(min(pair), max(pair))),
    digests.map(lambda digest: lambda session: Digest(digest, session.inbound.got.seq)),
    digests.map(lambda digest: lambda session: DocumentsDigest(digest, session.inbound.got.seq)),
    st.builds(Documents, st.sampled_from(About), st.just((("catalogue", b"?" * 32),))),
    st.just(lambda session: Ack(session.outbound.told)),
)
moves = st.lists(messages | st.integers(1, 2_000), min_size=1, max_size=60)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(limits, name, value)


def queued_after(moves):
    peer = DeafPeer()
    try:
        for move in moves:
            if isinstance(move, int):
                peer.talk.pass_time(move)
                peer.do_all()
            else:
                peer.hear(move)
    except (RemoteProtocolError, LinkClosed):
        pass
    return peer.queued_bytes


@settings(max_examples=settings.default.max_examples * 3)
@given(moves)
def test_what_waits_for_a_peer_that_reads_nothing_is_bounded(moves):
    assert queued_after(moves) <= SMALL["QUEUED_BYTES_MAX"] + LARGEST_ANSWER_BYTES


@pytest.mark.parametrize(
    "move",
    [
        HeadsWanted(),
        garbage,
        Want(1, ROWS),
        lambda session: Digest(b"?" * 32, session.inbound.got.seq),
        lambda session: DocumentsDigest(b"?" * 32, session.inbound.got.seq),
        Presence({}),
    ],
)
def test_the_same_message_for_ever_is_bounded_too(move):
    assert queued_after([move, 500] * 200) <= SMALL["QUEUED_BYTES_MAX"] + LARGEST_ANSWER_BYTES
