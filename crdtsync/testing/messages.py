"""Hypothesis strategies for the messages of the protocol, and one of each kind that never changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from crdtsync.ids import Position
from crdtsync.protocol.codec import encode_hello_body
from crdtsync.protocol.fields import SEQ_MAX, TEXT_BYTES_MAX, printable
from crdtsync.protocol.messages import (
    About,
    Ack,
    Certificates,
    CertificatesWanted,
    Challenge,
    Cut,
    Digest,
    Documents,
    DocumentsDigest,
    Enrol,
    Enrolled,
    Heads,
    HeadsWanted,
    HeldRun,
    Hello,
    Message,
    Offer,
    Pack,
    Part,
    Presence,
    Records,
    Refused,
    RefusedRecord,
    SyncTold,
    SyncWanted,
    Want,
)

ids = st.binary(min_size=16, max_size=16)
links = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
whole_numbers = st.integers(0, SEQ_MAX)
record_numbers = st.integers(1, SEQ_MAX)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=TEXT_BYTES_MAX)
positions = st.builds(Position, whole_numbers, links)
intervals = st.tuples(record_numbers, record_numbers).map(lambda pair: (min(pair), max(pair)))
facts = st.dictionaries(
    texts, texts | st.integers(-(2**63), 2**64 - 1) | st.booleans() | st.none() | st.binary(max_size=50)
)


@st.composite
def hellos(draw: st.DrawFn) -> Hello:
    """Hellos with a body and some signature, as a decoder gives them back."""
    hello = Hello(
        version=draw(whole_numbers),
        shop=draw(ids),
        device=draw(ids),
        log_id=draw(ids),
        end=draw(positions),
        cursor_log=draw(ids | st.just(b"")),
        cursor=draw(positions),
        nonce=draw(ids),
        certificate=draw(links | st.just(b"")),
        is_relay=draw(st.booleans()),
        fits=draw(st.booleans()),
        time_ms=draw(whole_numbers),
        digest=draw(links),
        software=draw(texts.map(printable).filter(lambda text: len(text.encode()) < 1000)),
        capabilities=tuple(draw(st.lists(texts.map(lambda text: text[:10]), max_size=3))),
        signature=draw(signatures),
    )
    return with_body(hello)


def with_body(hello: Hello) -> Hello:
    """The same hello with the bytes that are signed."""
    fields: dict[str, Any] = {name: getattr(hello, name) for name in Hello.__dataclass_fields__}
    return Hello(**{**fields, "body": encode_hello_body(hello)})


@st.composite
def numbered(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    """(seqs, records) of a frame."""
    seqs = sorted(draw(st.sets(record_numbers, max_size=8)))
    records = draw(st.lists(st.binary(min_size=1, max_size=40), min_size=len(seqs), max_size=len(seqs)))
    return tuple(seqs), tuple(records)


@st.composite
def runs(draw: st.DrawFn) -> HeldRun:
    """A run with a few marks."""
    lo, hi = draw(intervals)
    numbers: Sequence[int] = sorted(draw(st.sets(st.integers(lo, hi), max_size=5)), reverse=True)
    return HeldRun(draw(links), lo, hi, tuple((n, draw(links)) for n in numbers))


@st.composite
def records_messages(draw: st.DrawFn) -> Records:
    """Frames of records."""
    seqs, records = draw(numbered())
    return Records(draw(positions), draw(positions), seqs, records, draw(st.none() | intervals))


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """Cuts."""
    seqs, records = draw(numbered())
    return Cut(draw(positions), tuple(draw(st.lists(intervals, max_size=5))), seqs, records)


refused_records = st.builds(
    RefusedRecord,
    whole_numbers,
    links,
    texts.map(lambda text: text[:40]),
    texts.map(printable),
    st.booleans(),
)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Challenge, whole_numbers, ids),
    hellos(),
    st.just(CertificatesWanted()),
    st.builds(Certificates, st.lists(st.binary(max_size=60), max_size=5).map(tuple)),
    records_messages(),
    st.builds(Pack, positions, positions, st.binary(max_size=99), st.none() | intervals),
    st.builds(Ack, positions),
    st.builds(Refused, st.lists(refused_records, max_size=5).map(tuple), st.booleans(), st.booleans()),
    st.just(HeadsWanted()),
    st.builds(Heads, st.lists(runs(), max_size=5).map(tuple), st.booleans()),
    cuts(),
    intervals.map(lambda pair: Want(*pair)),
    st.builds(Digest, links, whole_numbers),
    facts.filter(lambda each: sum(len(str(item)) * 4 for item in each.items()) < 3000).map(Presence),
    st.builds(Part, st.binary(max_size=99), st.booleans()),
    st.builds(
        Offer,
        whole_numbers,
        ids,
        ids,
        st.binary(min_size=33, max_size=33),
        links,
        signatures,
    ),
    st.builds(Enrol, links, st.binary(max_size=99)),
    st.builds(Enrolled, st.binary(max_size=99)),
    st.builds(DocumentsDigest, links, whole_numbers),
    st.builds(
        Documents,
        st.sampled_from(About),
        st.lists(st.tuples(texts.map(lambda text: text[:100]), links), max_size=5).map(tuple),
        st.booleans(),
    ),
    st.builds(SyncWanted, ids),
    st.builds(SyncTold, ids, st.booleans()),
)
"""Every kind of message that can be on the wire."""


def one_of_each() -> list[Message]:
    """One message of every kind, always the same: what the golden frames are made of."""
    a, b = Position(7, bytes(range(32))), Position(300, bytes(range(32, 64)))
    log, device, link = bytes([0xAA]) * 16, bytes([0xBB]) * 16, bytes([0xCC]) * 32
    hello = Hello(
        version=1,
        shop=bytes([0xDD]) * 16,
        device=device,
        log_id=log,
        end=b,
        cursor_log=bytes([0xEE]) * 16,
        cursor=a,
        nonce=bytes(range(16)),
        certificate=link,
        is_relay=False,
        fits=True,
        time_ms=1_795_507_200_000,
        digest=link,
        software="crdtsync 0.1.0",
        signature=bytes(range(64)),
    )
    return [
        Challenge(1, bytes(range(16))),
        with_body(hello),
        CertificatesWanted(),
        Certificates((b'{"kind":"owner"}\0sig', b'{"kind":"certify"}\0sig')),
        Records(a, b, (8, 300), (b"Esale", b"U\0\x09catalogue\0\0")),
        Pack(b, b, b"packed", (1, 300)),
        Ack(b),
        Refused((RefusedRecord(9, link, "bad-signature", "la signature n'est pas celle du till", False),)),
        HeadsWanted(),
        Heads((HeldRun(link, 1, 300, ((300, link), (299, bytes(32)))),)),
        Cut(b, ((200, 300),), (1,), (b"Eowner",)),
        Want(1, 199),
        Digest(link, 300),
        Presence({"pending": 3, "money": "12.50", "ok": True, "since": None, "raw": b"\1"}),
        Part(b"piece", True),
        Offer(1, bytes(range(16)), device, b"\x02" + link, link, bytes(range(64))),
        Enrol(link, b"sealed request"),
        Enrolled(b"sealed answer"),
        DocumentsDigest(link, 300),
        Documents(About.CONTENTS, (("catalogue", link), ("x/notes", bytes(32)))),
        SyncWanted(log),
        SyncTold(log, False),
    ]
