"""Packs on disk: found by place, unpacked once, the last few kept in memory."""

from __future__ import annotations

import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from crdtsync.errors import DamagedStore, MalformedRecord
from crdtsync.ids import LINK_BYTES, Position, record_digest
from crdtsync.storage import pack_columns
from crdtsync.storage.checksums import pack_crc
from crdtsync.storage.database import Database
from crdtsync.storage.log import PackRow, PreparedPack
from crdtsync.storage.pack import decode_pack, encode_pack
from crdtsync.storage.pack_columns import PackColumns
from crdtsync.storage.schema import SEQ_BITS

UNPACKED_KEPT: Final = 2
"""Of packs of 4,096 sales, 4.5 MB each: a register has five stores open, and each that lags behind reads
packs. Who reads on needs one; two are for two who read at different places.
"""
UNPACKED_BYTES_MAX: Final = 256 << 20

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class PackPlace:
    """Where a pack is: ``pos`` is the place of its first row, ``crc`` the checksum of its bytes."""

    pos: int
    first: int
    last: int
    crc: int


@dataclass(frozen=True, slots=True)
class NewPack(PreparedPack):
    """A prepared pack with what it is filed by; its rows must still be what they were (``fingerprint``)."""

    columns: PackColumns
    columns_packed: bytes
    hashes: bytes
    h_before: bytes
    fingerprint: tuple[int, int, int]


class PackShelf:
    """The packs of all shops of one store."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._records: OrderedDict[PackPlace, list[bytes | None]] = OrderedDict()
        self._columns: OrderedDict[PackPlace, PackColumns] = OrderedDict()
        self._hashes: OrderedDict[PackPlace, bytes] = OrderedDict()

    def find(self, shop: int, seq: int) -> PackPlace | None:
        """The pack that holds row ``seq`` of a shop."""
        place = self._place("pos <= ? ORDER BY pos DESC", (shop << SEQ_BITS) + seq)
        return place if place and place.pos >> SEQ_BITS == shop and seq <= place.last else None

    def last(self, shop: int) -> int:
        """The last seq that is packed; 0 if none is."""
        place = self._place("pos < ? ORDER BY pos DESC", (shop + 1) << SEQ_BITS)
        return place.last if place and place.pos >> SEQ_BITS == shop else 0

    def of_shop(self, shop: int) -> list[PackPlace]:
        """All packs of a shop, in order of the log."""
        found = self._db.rows(
            "SELECT pos, last, crc FROM pack WHERE pos BETWEEN ? AND ? ORDER BY pos",
            (shop << SEQ_BITS, (shop + 1) << SEQ_BITS),
        )
        return [_as_place(*row) for row in found]

    def at(self, pos: int) -> PackPlace:
        """The pack whose first row is at ``pos``."""
        place = self._place("pos = ?", pos)
        if place is None:
            raise DamagedStore(f"{self._db.path} names a pack at {pos} that is not there")
        return place

    def with_chain(self, chain: int, lo: int, hi: int) -> list[PackPlace]:
        """Packs that may hold entries ``lo`` to ``hi`` of a chain, in order of the log."""
        return self._places(
            "pack_chain AS part", "part.chain = ? AND part.lo <= ? AND part.hi >= ?", (chain, hi, lo)
        )

    def with_document(self, document: int) -> list[PackPlace]:
        """Packs that hold rows of a document, in order of the log."""
        return self._places("pack_document AS part", "part.document = ?", (document,))

    def beyond(self, shop: int, after: int) -> list[PackPlace]:
        """Packs that hold rows beyond seq ``after``, in order."""
        base = shop << SEQ_BITS
        return self._places(
            "pack AS part",
            "part.pos BETWEEN ifnull((SELECT max(pos) FROM pack WHERE pos BETWEEN ? AND ?), ?) AND ?"
            " AND pack.last > ?",
            (base, base + after, base, (shop + 1) << SEQ_BITS, after),
        )

    def records(self, place: PackPlace) -> list[bytes | None]:
        """The records of a pack by place; None where the bytes are gone. Raises ``DamagedStore``."""
        return self._kept(self._records, place, self._unpack)

    def columns(self, place: PackPlace) -> PackColumns:
        """What is known of its rows. Raises ``DamagedStore``."""
        return self._kept(self._columns, place, self._read_columns)

    def hashes(self, place: PackPlace) -> bytes:
        """The running hashes after each of its rows, one after the other. Raises ``DamagedStore``."""
        return self._kept(self._hashes, place, self._read_hashes)

    def hash_at(self, place: PackPlace, seq: int) -> bytes:
        """The running hash after one of its rows."""
        start = (seq - place.first) * LINK_BYTES
        return self.hashes(place)[start : start + LINK_BYTES]

    def blob(self, place: PackPlace) -> PackRow:
        """The pack as it lies on disk. Raises ``DamagedStore``."""
        found = self._db.row("SELECT h_before, h, bytes FROM pack WHERE pos = ?", (place.pos,))
        is_read = found is not None and all(type(part) is bytes for part in found)
        if found is None or not is_read or pack_crc(place.pos, place.last, *found) != place.crc:
            raise self._damaged(place)
        h_before, h, blob = found
        start, to = Position(place.first - 1, h_before), Position(place.last, h)
        return PackRow(start, to, place.last - place.first + 1, blob)

    def forget(self, place: PackPlace) -> None:
        """Read it from the disk when it is asked for next."""
        for kept in (self._records, self._columns, self._hashes):
            kept.pop(place, None)

    def prev(self, place: PackPlace, number: int) -> bytes:
        """The link before the entry at a place of a pack."""
        columns = self.columns(place)
        return columns.prevs.get(number) or self._digest(self.records(place), columns.place_before(number))

    def let_go(self, shop: int) -> None:
        """Keep nothing of a shop's packs: it can be read again."""
        for kept in (self._records, self._columns, self._hashes):
            for place in [place for place in kept if place.pos >> SEQ_BITS == shop]:
                del kept[place]

    # -- writing, inside a transaction --------------------------------------------------------------------

    def put(self, shop: int, new: NewPack) -> None:
        """Store a pack and what it is found by."""
        pos = (shop << SEQ_BITS) + new.first
        columns, h = new.columns, new.hashes[-LINK_BYTES:]
        self._db.write(
            "INSERT INTO pack VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                pos,
                new.last,
                pack_crc(pos, new.last, new.h_before, h, new.blob),
                new.h_before,
                h,
                new.columns_packed,
                new.blob,
            ),
        )
        checksum = zlib.crc32(new.hashes).to_bytes(4, "big")
        self._db.write("INSERT INTO pack_hashes VALUES (?, ?)", (pos, checksum + new.hashes))
        spans: dict[int, tuple[int, int]] = {}
        for chain, n in zip(columns.chains, columns.ns, strict=True):
            if chain:
                lo, hi = spans.get(chain, (n, n))
                spans[chain] = (min(lo, n), max(hi, n))
        self._db.write_many(
            "INSERT INTO pack_chain VALUES (?, ?, ?, ?)",
            [(chain, pos, lo, hi) for chain, (lo, hi) in spans.items()],
        )
        self._db.write_many(
            "INSERT INTO pack_document VALUES (?, ?)",
            [(document, pos) for document in set(columns.documents)],
        )
        self._db.write_many(
            "INSERT INTO pack_origin VALUES (?, ?)", [(origin, pos) for origin in set(columns.origins)]
        )

    def drop_bytes(self, place: PackPlace, seqs: Sequence[int]) -> None:
        """Take the bytes of some rows out of a pack; everything else about it stays."""
        records = list(self.records(place))
        for seq in seqs:
            records[seq - place.first] = None
        rows = [(seq, record) for seq, record in enumerate(records, start=place.first) if record is not None]
        blob = encode_pack(rows, first=place.first, last=place.last)
        if decode_pack(blob, bytes_max=UNPACKED_BYTES_MAX) != rows:
            raise self._damaged(place)
        before = self.blob(place)
        crc = pack_crc(place.pos, place.last, before.start.h, before.to.h, blob)
        self._db.write("UPDATE pack SET crc = ?, bytes = ? WHERE pos = ?", (crc, blob, place.pos))

    # -- reading ------------------------------------------------------------------------------------------

    def _place(self, condition: str, value: int) -> PackPlace | None:
        found = self._db.row(f"SELECT pos, last, crc FROM pack WHERE {condition} LIMIT 1", (value,))  # noqa: S608
        return _as_place(*found) if found else None

    def _places(self, part: str, condition: str, values: Sequence[int]) -> list[PackPlace]:
        found = self._db.rows(
            f"SELECT DISTINCT pack.pos, pack.last, pack.crc FROM {part}"  # noqa: S608
            f" CROSS JOIN pack ON pack.pos = part.pos WHERE {condition} ORDER BY pack.pos",
            values,
        )
        return [_as_place(*row) for row in found]

    def _kept(
        self,
        kept: OrderedDict[PackPlace, _Value],
        place: PackPlace,
        read: Callable[[PackPlace], _Value],
    ) -> _Value:
        value = kept.get(place)
        if value is None:
            value = kept[place] = read(place)
            if len(kept) > UNPACKED_KEPT:
                kept.popitem(last=False)
        else:
            kept.move_to_end(place)
        return value

    def _unpack(self, place: PackPlace) -> list[bytes | None]:
        records: list[bytes | None] = [None] * (place.last - place.first + 1)
        try:
            for seq, record in decode_pack(self.blob(place).blob, bytes_max=UNPACKED_BYTES_MAX):
                records[seq - place.first] = record
        except (MalformedRecord, IndexError) as error:
            raise self._damaged(place) from error
        return records

    def _read_columns(self, place: PackPlace) -> PackColumns:
        found = self._db.row("SELECT columns FROM pack WHERE pos = ?", (place.pos,))
        try:
            columns = pack_columns.decode(found[0]) if found else None
        except (ValueError, TypeError) as error:
            raise self._damaged(place) from error
        if columns is None or len(columns) != place.last - place.first + 1:
            raise self._damaged(place)
        return columns

    def _read_hashes(self, place: PackPlace) -> bytes:
        found = self._db.row("SELECT bytes FROM pack_hashes WHERE pos = ?", (place.pos,))
        size = (place.last - place.first + 1) * LINK_BYTES
        if found is None or len(found[0]) != size + 4:
            raise self._damaged(place)
        hashes: bytes = found[0][4:]
        if zlib.crc32(hashes).to_bytes(4, "big") != found[0][:4]:
            raise self._damaged(place)
        return hashes

    def _digest(self, records: Sequence[bytes | None], number: int) -> bytes:
        record = records[number]
        return record_digest(record) if record is not None else b""

    def _damaged(self, place: PackPlace) -> DamagedStore:
        return DamagedStore(
            f"{self._db.path}: the pack of records {place.first} to {place.last} is damaged",
            seq=place.first,
            last_seq=place.last,
        )


def ints(column: array[int], value: int) -> list[int]:
    """The places at which a column has a value."""
    return [place for place, held in enumerate(column) if held == value]


def _as_place(pos: int, last: int, crc: int) -> PackPlace:
    return PackPlace(pos, pos & ((1 << SEQ_BITS) - 1), last, crc)
