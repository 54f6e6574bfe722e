"""Packs: unpacking what a peer sends or a disk returns, and packing whatever a log holds.

First byte: 0 the bytes of a pack as they are; 1 the same with the right hash; 2 the inside of a pack, behind
its interval, which is compressed and gets sizes and a hash that fit; 3 records, to be packed and unpacked; 4
the columns that a log keeps beside a pack; 5 rows of seven bytes, to be put into columns and read again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Final

import zstandard

from crdtsync.errors import MalformedRecord
from crdtsync.ids import Item
from crdtsync.storage import pack_columns
from crdtsync.storage.pack import MAGIC, VERSION, decode_pack, encode_pack, pack_interval
from crdtsync.testing.records import MadeUpChain
from tests.fuzz.mutation import EDGES, with_byte_changed, with_pieces_changed
from tests.fuzz.target import Target, require

INPUT_BYTES_MAX: Final = 16 << 10
UNPACKED_BYTES_MAX: Final = 1 << 20
"""What the receiver allows; the memory that an input may take is a multiple of it."""

_HEAD: Final = struct.Struct(">8sBQQIII")
_HASH_BYTES: Final = 32
_INSIDE: Final = struct.Struct(">BHH")
"""Of mode 2: signatures, first seq, and how many rows."""


def _run(data: bytes) -> None:
    mode, rest = (data[0] if data else 0), data[1:]
    if mode == 3:
        _packs(_records(rest))
    elif mode == 4:
        try:
            columns = pack_columns.decode(rest)
        except ValueError:
            return
        require(pack_columns.encode(columns)[:4] == rest[:4], "columns have two spellings")
    elif mode == 5:
        _lays_out(rest)
    else:
        _unpacks(rest if mode == 0 else _with_hash(rest) if mode == 1 else _around(rest))


def _unpacks(blob: bytes) -> None:
    try:
        rows = decode_pack(blob, bytes_max=UNPACKED_BYTES_MAX)
    except MalformedRecord:
        return
    first, last = pack_interval(blob)
    seqs = [seq for seq, _ in rows]
    require(seqs == sorted(set(seqs)) and all(first <= seq <= last for seq in seqs), "rows out of order")
    require(sum(len(record) for _, record in rows) <= UNPACKED_BYTES_MAX, "more than was allowed")
    if rows:
        again = encode_pack(rows, first=first, last=last)
        require(decode_pack(again, bytes_max=UNPACKED_BYTES_MAX) == rows, "packed again, it is another")


def _packs(records: list[bytes]) -> None:
    rows = [(place * 3 + 1, record) for place, record in enumerate(records)]
    if not rows:
        return
    blob = encode_pack(rows, last=rows[-1][0] + 2)
    require(decode_pack(blob, bytes_max=UNPACKED_BYTES_MAX) == rows, "other rows come out than went in")


def _lays_out(data: bytes) -> None:
    rows = []
    for place in range(0, len(data) - 6, 7):
        document, chain, n, origin, origin_seq, prev, link = data[place : place + 7]
        row = pack_columns.PackedRow(
            document << 20,
            chain,
            n,
            origin,
            origin_seq << (prev & 31),
            bytes((prev,)) * 32 if chain else None,
        )
        rows.append((row, bytes((link,)) * 32))
    columns = pack_columns.from_rows(rows)
    again = pack_columns.decode(pack_columns.encode(columns))
    for name in pack_columns.PackColumns.__slots__:
        require(getattr(again, name) == getattr(columns, name), f"{name} come back otherwise")
    for place, n in enumerate(again.ns):
        if again.chains[place] in again.chains[:place]:
            before = again.place_before(place)
            require(
                before < place and again.chains[before] == again.chains[place], f"entry {n} follows no other"
            )


def _with_hash(blob: bytes) -> bytes:
    head, content = blob[: _HEAD.size], blob[_HEAD.size + _HASH_BYTES :]
    return head + hashlib.sha256(head + content).digest() + content


def _around(inside: bytes) -> bytes:
    """The pack that has this inside."""
    count, first, slots = _INSIDE.unpack_from(inside.ljust(_INSIDE.size, b"\0"))
    signatures = inside[_INSIDE.size : _INSIDE.size + 64 * count].ljust(64 * count, b"s")
    plain = inside[_INSIDE.size + 64 * count :]
    packed = zstandard.ZstdCompressor(level=1, write_content_size=True).compress(plain)
    size = _stated_size(plain, slots)
    head = _HEAD.pack(MAGIC, VERSION, first, first + slots - 1 if slots else 0, count, len(plain), size)
    content = signatures + packed
    return head + hashlib.sha256(head + content).digest() + content


def _stated_size(plain: bytes, slots: int) -> int:
    """What the records amount to, counted carelessly: right for what is sound."""
    if len(plain) < 12:
        return 0
    distances, lengths, texts = struct.unpack_from(">III", plain)
    kinds = plain[12 : 12 + slots]
    begin = 12 + slots + distances + lengths
    bodies = plain[begin : begin + texts].split(b"\0")[:-1]
    raw = max(0, len(plain) - begin - texts)
    return (raw + sum(len(body) + 88 for body in bodies) + 64 * kinds.count(3)) & 0xFFFFFFFF


def _records(data: bytes) -> list[bytes]:
    """Records after their lengths of two bytes each; empty ones are left out."""
    found = []
    while len(data) >= 2:
        size = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return [record for record in found if record]


@lru_cache(maxsize=1)
def _items() -> list[Item]:
    return list(MadeUpChain(1).entries(5))


def _seeds() -> Iterator[bytes]:
    records = [item.record for item in _items()]
    mixed = [*records[:2], b"U\0\x09catalogue\0\0", *records[2:4], b"E" + b"x" * 90, b"E\0" + b"A" * 86]
    for rows in (records, mixed, [b"E"], mixed[2:3] * 3):
        yield b"\3" + b"".join(len(row).to_bytes(2, "big") + row for row in rows)
        blob = encode_pack([(seq, row) for seq, row in enumerate(rows, 1)], last=len(rows) + 2)
        yield b"\0" + blob
        yield b"\1" + blob
        yield b"\2" + _inside_of(blob)
    rows = [
        (pack_columns.PackedRow(1, 1, n, 1, n, item.entry.prev if item.entry else None), item.digest)
        for n, item in enumerate(_items(), 1)
    ]
    yield b"\4" + pack_columns.encode(pack_columns.from_rows(rows))
    yield b"\5" + bytes((1, 1, 1, 1, 1, 0, 1, 1, 1, 2, 1, 2, 1, 2, 2, 0, 0, 1, 3, 0, 0, 1, 2, 1, 2, 1, 9, 3))
    yield b"\5"


def _inside_of(blob: bytes) -> bytes:
    _, _, first, last, count, _, _ = _HEAD.unpack_from(blob)
    content = blob[_HEAD.size + _HASH_BYTES :]
    plain = zstandard.ZstdDecompressor().decompress(content[64 * count :])
    return _INSIDE.pack(count, first, last - first + 1) + content[: 64 * count] + plain


def _mutate(data: bytes, rng: Random) -> bytes:
    mode, rest = (data[0] if data else 0), data[1:]
    if rng.random() < 0.05:
        return bytes((rng.randrange(6),)) + rest
    if mode == 3:
        records = with_pieces_changed(_records(rest), rng, _record)
        return b"\3" + b"".join(len(record).to_bytes(2, "big") + record for record in records)
    if mode == 2 and len(rest) > _INSIDE.size + 12 and rng.random() < 0.7:
        return b"\2" + _with_number_changed(rest, rng)
    if mode == 4 and rng.random() < 0.5 and len(rest) > 4:
        # The head of the compressed frame says how much memory is wanted.
        return b"\4" + rest[:4] + with_byte_changed(rest[4:16], rng) + rest[16:]
    return bytes((mode,)) + with_byte_changed(rest, rng)


def _with_number_changed(inside: bytes, rng: Random) -> bytes:
    """A kind, a count or a length is another."""
    count, first, slots = _INSIDE.unpack_from(inside)
    what = rng.randrange(5)
    if what == 0:
        count = rng.choice((count + 1, max(0, count - 1), 0, 255)) & 0xFF
    elif what == 1:
        first, slots = (
            rng.choice((0, 1, first)),
            rng.choice((slots + 1, max(0, slots - 1), 0, 65_535)) & 0xFFFF,
        )
    head, rest = _INSIDE.pack(count, first, slots), bytearray(inside[_INSIDE.size :])
    place = 64 * count
    if what == 2 and len(rest) >= place + 12:
        at = place + 4 * rng.randrange(3)
        struct.pack_into(">I", rest, at, abs(rng.choice((*EDGES[:12], rest[at + 3] + 1))) & 0xFFFFFFFF)
    elif len(rest) > place + 12:
        rest[min(len(rest) - 1, place + 12 + rng.randrange(slots + 8))] = rng.choice(
            (0, 1, 2, 3, 4, 0x80, 0xFF)
        )
    return head + bytes(rest)


def _record(rng: Random) -> bytes:
    records = [item.record for item in _items()]
    return rng.choice((*records, b"E" + bytes(88), b"U\0\1x", b"E" + b"{}\0" + b"A" * 86, records[0][:-1]))


TARGET = Target("pack", _run, _seeds, _mutate, INPUT_BYTES_MAX, memory_bytes_max=16 << 20)
