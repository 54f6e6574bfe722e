"""Packing gives back what was packed, byte for byte; bytes that are no pack are refused."""

import random

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import MalformedRecord
from crdtsync.ids import ENTRY, entry_record, record_digest
from crdtsync.model.sealed import has_tail
from crdtsync.storage import pack_columns
from crdtsync.storage.pack import decode_pack, encode_pack, unpack
from crdtsync.storage.pack_columns import PackedRow
from crdtsync.testing.records import MadeUpChain

SALES = [
    item.record
    for pair in zip(MadeUpChain(1).entries(6), MadeUpChain(2).entries(6), strict=True)
    for item in pair
]
LINKS = [item.digest.hex().encode() for item in MadeUpChain(1).entries(6)]
SIGNATURES = st.sampled_from([b"A" * 86, b"-_" * 43, b"A" * 85 + b"Q", b"A" * 85 + b"B", b"A" * 85, b""])

BODIES = st.lists(
    st.sampled_from([b'"prev":"', b'"}', b"{", b"\0", b"prev", *LINKS, b"0" * 64, "é".encode()]), max_size=8
).map(b"".join)

RECORDS = st.one_of(
    st.sampled_from(SALES),
    st.binary(min_size=1, max_size=40),
    st.builds(lambda body, signature: entry_record(body + b"\0" + signature), BODIES, SIGNATURES),
)


@given(st.lists(st.tuples(st.integers(1, 5), RECORDS), max_size=30), st.integers(0, 3), st.integers(0, 3))
def test_a_pack_gives_back_what_was_packed(steps, before, after):
    seq, rows = 10 + before, []
    for step, record in steps:
        seq += step
        rows.append((seq, record))
    blob = encode_pack(rows, first=11, last=seq + after + 1)
    assert decode_pack(blob, bytes_max=1 << 20) == rows
    unpacked, links = unpack(blob, bytes_max=1 << 20)
    assert (unpacked, len(links)) == (rows, len(rows))
    for (_, record), link in zip(rows, links, strict=True):
        assert link is None or (
            record[:1] == ENTRY and link == record_digest(record) and has_tail(record[1:])
        )


@given(st.binary(max_size=400))
def test_any_bytes_are_a_pack_or_refused(blob):
    try:
        decode_pack(b"crdtpack" + blob, bytes_max=1 << 20)
    except MalformedRecord:
        return
    raise AssertionError("random bytes cannot have the right hash")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(1, 1 << 53),
            st.integers(1, 4),
            st.integers(0, 1 << 40),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_columns_give_back_what_they_were_made_of(numbers):
    pick = random.Random(1)
    rows, last = [], {}
    for chain, n, origin, origin_seq, linked in numbers:
        digest = pick.randbytes(32)
        prev = (last[chain] if linked and chain in last else pick.randbytes(32)) if chain else None
        rows.append((PackedRow(chain + origin, chain, n if chain else 0, origin, origin_seq, prev), digest))
        last[chain] = digest
    columns = pack_columns.decode(pack_columns.encode(pack_columns.from_rows(rows)))
    digests = [digest for _, digest in rows]
    again = [
        PackedRow(
            columns.documents[place],
            columns.chains[place],
            columns.ns[place],
            columns.origins[place],
            columns.origin_seqs[place],
            (columns.prevs.get(place) or digests[columns.place_before(place)])
            if columns.chains[place]
            else None,
        )
        for place in range(len(columns))
    ]
    assert again == [row for row, _ in rows]
