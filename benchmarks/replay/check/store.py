"""Reading a store file with ``sqlite3`` alone: records, packs, running hash, entries.

The format is that of ``crdtsync/storage/schema.py`` and ``pack.py``; nothing here is shared with that code.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import zstandard

APPLICATION_ID: Final = 0x43724474
SEQ_BITS: Final = 40
SIGNATURE_CHARS: Final = 86
CHECKSUM_BYTES: Final = 4

_PACK_HEADER: Final = struct.Struct(">8sBQQIII32s")
_ABSENT, _RAW, _SEALED, _LINKED = range(4)


class UnreadableStore(Exception):
    """The file is not what the format says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sealed entry: its link, computed from its bytes, and what it says."""

    link: str
    body: dict[str, Any]


@dataclass(slots=True)
class Copy:
    """One replica of the shop's log: what it says of itself, and what its bytes say.

    ``defects`` are those of the store alone: a missing row, a row twice, a running hash that does not hold.
    """

    name: str
    end: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    updates: dict[str, set[str]] = field(default_factory=dict)
    compacted: set[str] = field(default_factory=set)
    apart: int = 0
    refused: int = 0
    packs: int = 0
    defects: list[str] = field(default_factory=list)


def read_copy(name: str, path: Path, known: dict[str, Entry]) -> Copy:
    """Read a whole store. ``known`` holds entries read before, by link: equal bytes are parsed once.

    Raises ``UnreadableStore``, ``sqlite3.Error``.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise UnreadableStore(f"{path} is not a store")
        shops = connection.execute("SELECT no, seq, h FROM shop").fetchall()
        if len(shops) != 1:
            raise UnreadableStore(f"{path} holds {len(shops)} shops, one is expected")
        number, seq, h = shops[0]
        copy = Copy(name)
        _read_log(connection, number, copy, known, {seq: h})
        copy.apart = connection.execute("SELECT count(*) FROM apart").fetchone()[0]
        copy.refused = connection.execute("SELECT count(*) FROM refusal_received").fetchone()[0]
        return copy


def _read_log(
    connection: sqlite3.Connection, shop: int, copy: Copy, known: dict[str, Entry], marks: dict[int, bytes]
) -> None:
    """Take down all records. ``marks``: running hashes that must be met on the way. The shop's row has one:
    it says how far the log reached when its heads were written last, which may be some rows ago.
    """
    h, expected = bytes(32), 1
    for seq, record, stored_h in _rows(connection, shop, copy):
        if seq != expected:
            copy.defects.append(f"record {expected} is expected, and {seq} comes")
        expected = seq + 1
        if record is None:
            # Replaced by a compacted state: only its hash is kept.
            h = stored_h or h
            continue
        h = hashlib.sha256(h + len(record).to_bytes(4, "big") + record).digest()
        if stored_h is not None and stored_h != h:
            copy.defects.append(f"the running hash of record {seq} does not hold")
            h = stored_h
        if marks.pop(seq, h) != h:
            copy.defects.append(f"the shop's row has another running hash at record {seq}")
        _take(record, copy, known)
    copy.end = expected - 1
    if any(marks):
        copy.defects.append(f"the log ends with record {copy.end}, before {max(marks)}")


def _rows(
    connection: sqlite3.Connection, shop: int, copy: Copy
) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """(seq, record, running hash or None where none is stored for it), ascending, loose rows and packs."""
    low, high = shop << SEQ_BITS, (shop + 1) << SEQ_BITS
    loose = connection.execute(
        "SELECT pos, bytes, h FROM record WHERE pos >= ? AND pos < ? ORDER BY pos", (low, high)
    )
    packs = connection.execute(
        "SELECT p.pos, p.last, p.h, p.bytes, s.bytes FROM pack p LEFT JOIN pack_hashes s USING (pos)"
        " WHERE p.pos >= ? AND p.pos < ? ORDER BY p.pos",
        (low, high),
    )
    row = loose.fetchone()
    for pos, last, h, blob, hashes in packs:
        while row is not None and row[0] < pos:
            yield row[0] - low, row[1], row[2]
            row = loose.fetchone()
        copy.packs += 1
        yield from _unpacked(pos - low, last & ((1 << SEQ_BITS) - 1), h, blob, hashes)
    while row is not None:
        yield row[0] - low, row[1], row[2]
        row = loose.fetchone()


def _unpacked(
    first: int, last: int, h: bytes, blob: bytes, hashes: bytes | None
) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    records = unpack(blob)
    for seq in range(first, last + 1):
        yield seq, records.get(seq), _stored_hash(seq, first, last, h, hashes)


def _stored_hash(seq: int, first: int, last: int, h: bytes, hashes: bytes | None) -> bytes | None:
    if seq == last:
        return h
    if hashes is None:
        return None
    start = CHECKSUM_BYTES + 32 * (seq - first)
    return hashes[start : start + 32]


def unpack(blob: bytes) -> dict[int, bytes]:
    """seq -> record of a pack. Raises ``UnreadableStore``."""
    magic, version, first, last, count, plain_size, size, digest = _PACK_HEADER.unpack_from(blob)
    content = blob[_PACK_HEADER.size :]
    if (magic, version) != (b"crdtpack", 1):
        raise UnreadableStore("these bytes are no pack")
    if hashlib.sha256(blob[: _PACK_HEADER.size - 32] + content).digest() != digest:
        raise UnreadableStore("a pack does not have the hash that it names")
    plain = zstandard.ZstdDecompressor().decompress(content[64 * count :], max_output_size=plain_size)
    sizes = struct.unpack_from(">III", plain)
    ends = [12]
    for part in (last - first + 1, *sizes):
        ends.append(ends[-1] + part)
    kinds, distances, lengths, texts = (plain[a:b] for a, b in pairwise(ends))
    bodies, raw = iter(texts.split(b"\0")), plain[ends[-1] :]
    distance, length = iter(_varints(distances)), iter(_varints(lengths))
    records: dict[int, bytes] = {}
    links: list[str] = []
    for seq, kind in enumerate(kinds, start=first):
        if kind == _RAW:
            end = next(length)
            records[seq], raw = raw[:end], raw[end:]
        elif kind != _ABSENT:
            body = next(bodies)
            if kind == _LINKED:
                head, _, tail = body.partition(b'"prev":"')
                body = head + b'"prev":"' + links[-next(distance)].encode() + tail
            signature = base64.urlsafe_b64encode(content[64 * len(links) : 64 * len(links) + 64])
            records[seq] = b"E" + body + b"\0" + signature[:SIGNATURE_CHARS]
            links.append(hashlib.sha256(records[seq][1:]).hexdigest())
    if sum(map(len, records.values())) != size:
        raise UnreadableStore("a pack does not have the size that it names")
    return records


def _varints(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0


def _take(record: bytes, copy: Copy, known: dict[str, Entry]) -> None:
    if record[:1] == b"E":
        sealed = record[1:]
        link = hashlib.sha256(sealed).hexdigest()
        if link in copy.entries:
            copy.defects.append(f"the entry {link} is there twice")
        if link not in known:
            known[link] = Entry(link, json.loads(sealed.split(b"\0", 1)[0], parse_float=_no_float))
        copy.entries[link] = known[link]
        return
    end = 3 + int.from_bytes(record[1:3], "big")
    name = record[3:end].decode()
    copy.updates.setdefault(name, set()).add(hashlib.sha256(record).hexdigest())
    if record[:1] == b"C":
        copy.compacted.add(name)


def _no_float(text: str) -> None:
    raise UnreadableStore(f"an entry holds the float {text}")
