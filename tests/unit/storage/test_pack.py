"""Packs: small, exact, and harmless when they are hostile."""

import hashlib
import struct
import tracemalloc

import pytest
import zstandard

from crdtsync.errors import MalformedRecord
from crdtsync.ids import entry_record, update_record
from crdtsync.storage.pack import decode_pack, encode_pack, pack_interval
from crdtsync.testing.records import MadeUpChain, interleaved

BOUND = 16 << 20
HEADER = struct.Struct(">8sBQQIII32s")
LENGTHS = struct.Struct(">III")


def rows_of(items, first=1):
    return [(seq, item.record) for seq, item in enumerate(items, start=first)]


def sealed_pack(plain, *, first=1, last=1, signatures=b"", size=0, plain_size=None, frame=None):
    """A pack put together by hand, with a right hash over wrong content."""
    frame = zstandard.ZstdCompressor().compress(plain) if frame is None else frame
    plain_size = len(plain) if plain_size is None else plain_size
    head = HEADER.pack(b"crdtpack", 1, first, last, len(signatures) // 64, plain_size, size, bytes(32))[:-32]
    content = signatures + frame
    return head + hashlib.sha256(head + content).digest() + content


def plain_of(kinds, distances=b"", lengths=b"", texts=b"", raw=b""):
    return LENGTHS.pack(len(distances), len(lengths), len(texts)) + kinds + distances + lengths + texts + raw


def test_4096_sales_take_130_bytes_each():
    rows = rows_of(MadeUpChain(1).entries(4096))
    blob = encode_pack(rows)
    assert sum(len(record) for _, record in rows) / 4096 > 880
    assert len(blob) / 4096 <= 130
    assert decode_pack(blob, bytes_max=BOUND) == rows


def test_sales_of_many_tills_interleaved_take_as_little():
    rows = rows_of(interleaved(50, 4096), first=77)
    blob = encode_pack(rows)
    assert len(blob) / 4096 <= 130
    assert decode_pack(blob, bytes_max=BOUND) == rows


def test_a_pack_names_its_interval():
    rows = rows_of(MadeUpChain(1).entries(3), first=40)
    assert pack_interval(encode_pack(rows)) == (40, 42)
    assert pack_interval(encode_pack(rows, first=38, last=50)) == (38, 50)


def test_rows_whose_bytes_are_gone_are_absent():
    rows = [(3, update_record("catalogue", b"tea")), (6, update_record("x/a", b""))]
    assert decode_pack(encode_pack(rows, first=1, last=9), bytes_max=BOUND) == rows
    assert decode_pack(encode_pack([], first=4, last=5), bytes_max=BOUND) == []


@pytest.mark.parametrize(
    "record",
    [
        b"E",
        b"E\0",
        b"E" + b"\0" * 88,
        entry_record(b"{}\0" + b"A" * 86),
        entry_record(b"{}\0" + b"A" * 85 + b"B"),
        entry_record(b"{}\0" + b"A" * 85 + b"="),
        entry_record(b"{}\0" + b"+" * 86),
        entry_record(b"{}\0" + b"-_" * 43),
        entry_record(b"a\0b\0" + b"A" * 86),
        entry_record(b'{"prev":"' + b"0" * 64 + b'"}\0' + b"A" * 86),
        entry_record(b'{"prev":"\0' + b"A" * 86),
        b"?anything",
    ],
)
def test_bytes_that_are_no_real_entry_come_back_too(record):
    rows = [(1, MadeUpChain(1).entry().record), (2, record), (3, record)]
    assert decode_pack(encode_pack(rows), bytes_max=BOUND) == rows


def test_an_entry_that_names_another_first_still_comes_back():
    sale = MadeUpChain(1).entry()
    link = sale.digest.hex().encode()
    odd = entry_record(b'{"a":{"prev":"%b"},"prev":"%b"}\0' % (link, link) + b"A" * 86)
    rows = [(1, sale.record), (2, odd), (3, sale.record)]
    assert decode_pack(encode_pack(rows), bytes_max=BOUND) == rows


@pytest.mark.parametrize(
    "rows", [[(2, b"U"), (1, b"U")], [(1, b"U"), (1, b"U")], [(0, b"U")], [(1, b"U"), (70_000, b"U")]]
)
def test_only_an_interval_of_a_log_can_be_packed(rows):
    with pytest.raises(ValueError):
        encode_pack(rows)


def test_a_pack_over_the_bound_is_refused_before_it_is_unpacked():
    blob = encode_pack([(1, b"U" + bytes(50 << 20))])
    assert len(blob) < 10_000
    tracemalloc.start()
    with pytest.raises(MalformedRecord, match="over the limit"):
        decode_pack(blob, bytes_max=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 1 << 16
    tracemalloc.stop()


def test_every_cut_of_a_pack_is_refused():
    blob = encode_pack(rows_of(MadeUpChain(1).entries(3)))
    for end in range(len(blob)):
        with pytest.raises(MalformedRecord):
            decode_pack(blob[:end], bytes_max=BOUND)


def test_every_changed_byte_of_a_pack_is_noticed():
    blob = encode_pack(rows_of(MadeUpChain(1).entries(2)))
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 0x10
        with pytest.raises(MalformedRecord):
            decode_pack(bytes(changed), bytes_max=BOUND)


def two_frames(plain):
    compress = zstandard.ZstdCompressor().compress
    return compress(plain) + compress(plain)


RAW, SEALED, LINKED = b"\1", b"\2", b"\3"
GOOD = plain_of(RAW, lengths=b"\5", raw=b"Uabcd")

HOSTILE = {
    "a frame that states a larger size": sealed_pack(GOOD, size=5, plain_size=len(GOOD) - 1),
    "a frame that states no size": sealed_pack(
        GOOD, size=5, frame=zstandard.ZstdCompressor(write_content_size=False).compress(GOOD)
    ),
    "bytes after the frame": sealed_pack(GOOD, size=5, frame=two_frames(GOOD)),
    "no frame": sealed_pack(GOOD, size=5, frame=b"not a frame"),
    "no lengths": sealed_pack(b"abc"),
    "lengths beyond the end": sealed_pack(LENGTHS.pack(9, 9, 9) + b"\1"),
    "more kinds than bytes": sealed_pack(GOOD, last=60_000, size=5),
    "a kind that is not known": sealed_pack(plain_of(b"\4"), size=0),
    "an entry without signature": sealed_pack(plain_of(SEALED, texts=b"{}\0"), size=90),
    "a signature without entry": sealed_pack(GOOD, size=5, signatures=bytes(64)),
    "more signatures than rows": sealed_pack(GOOD, size=5, signatures=bytes(128)),
    "a body that does not end": sealed_pack(plain_of(SEALED, texts=b"{}"), size=90, signatures=bytes(64)),
    "more bodies than entries": sealed_pack(
        plain_of(SEALED, texts=b"{}\0{}\0"), size=90, signatures=bytes(64)
    ),
    "a link to nothing": sealed_pack(
        plain_of(LINKED, distances=b"\1", texts=b'{"prev":""}\0'), size=163, signatures=bytes(64)
    ),
    "a link that leads nowhere": sealed_pack(
        plain_of(SEALED + LINKED, distances=b"\2", texts=b'{}\0{"prev":""}\0'),
        last=2,
        size=253,
        signatures=bytes(128),
    ),
    "a link of distance 0": sealed_pack(
        plain_of(SEALED + LINKED, distances=b"\0", texts=b'{}\0{"prev":""}\0'),
        last=2,
        size=253,
        signatures=bytes(128),
    ),
    "a linked body without prev": sealed_pack(
        plain_of(SEALED + LINKED, distances=b"\1", texts=b"{}\0{}\0"), last=2, size=244, signatures=bytes(128)
    ),
    "too few distances": sealed_pack(
        plain_of(SEALED + LINKED, texts=b'{}\0{"prev":""}\0'), last=2, size=253, signatures=bytes(128)
    ),
    "too few lengths": sealed_pack(plain_of(RAW, raw=b"Uabcd"), size=5),
    "too many lengths": sealed_pack(plain_of(RAW, lengths=b"\5\0", raw=b"Uabcd"), size=5),
    "a length that does not end": sealed_pack(plain_of(RAW, lengths=b"\x85", raw=b"Uabcd"), size=5),
    "a length without end": sealed_pack(plain_of(RAW, lengths=b"\x80" * 60 + b"\1", raw=b"Uabcd"), size=5),
    "a length beyond the end": sealed_pack(plain_of(RAW, lengths=b"\6", raw=b"Uabcd"), size=5),
    "bytes that no row has": sealed_pack(plain_of(RAW, lengths=b"\4", raw=b"Uabcd"), size=4),
    "a size that is stated too small": sealed_pack(GOOD, size=4),
    "a size that is stated too large": sealed_pack(GOOD, size=6),
    "an interval that begins at 0": sealed_pack(GOOD, first=0, last=0, size=5),
    "an interval that ends before it begins": sealed_pack(GOOD, first=2, last=1, size=5),
    "an interval of too many rows": sealed_pack(GOOD, first=1, last=1 << 40, size=5),
}


def test_the_pack_put_together_by_hand_is_a_pack():
    assert decode_pack(sealed_pack(GOOD, size=5), bytes_max=BOUND) == [(1, b"Uabcd")]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pack_is_refused(name):
    with pytest.raises(MalformedRecord):
        decode_pack(HOSTILE[name], bytes_max=BOUND)


def test_a_pack_of_nothing_but_body_ends_takes_little_memory():
    blob = sealed_pack(plain_of(SEALED, texts=b"\0" * (8 << 20)), size=90, signatures=bytes(64))
    tracemalloc.start()
    with pytest.raises(MalformedRecord):
        decode_pack(blob, bytes_max=BOUND)
    assert tracemalloc.get_traced_memory()[1] < 3 * (8 << 20) + (1 << 20)
    tracemalloc.stop()


def frame_with_window(plain, window_log):
    """A zstd frame by hand: one raw block, four bytes of content size, any window."""
    head = b"\x28\xb5\x2f\xfd" + bytes([0b10000000, (window_log - 10) << 3]) + struct.pack("<I", len(plain))
    return head + struct.pack("<I", len(plain) << 3 | 1)[:3] + plain


def test_a_frame_that_asks_for_a_huge_window_is_refused():
    assert decode_pack(sealed_pack(GOOD, size=5, frame=frame_with_window(GOOD, 20)), bytes_max=BOUND)
    with pytest.raises(MalformedRecord):
        decode_pack(sealed_pack(GOOD, size=5, frame=frame_with_window(GOOD, 27)), bytes_max=BOUND)
