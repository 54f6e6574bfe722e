"""What can still be read of a damaged store: every row, pack and record set apart, each for itself.

The store's own way of reading stops at damage, because it must not guess. Here nothing is trusted but what a
record's own checksum says, not even where a table is said to end; nothing is written, and what cannot be read
is named. Where a table cannot be read whole, its rows are also looked for on all leaf pages of the file
(``leaf_pages``). Whoever takes the records judges them anew, as if they came from anybody. Making a whole
store anew is ``salvage``'s part.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from crdtsync.errors import DamagedStore, MalformedRecord, StorageError
from crdtsync.ids import ID_BYTES
from crdtsync.storage.checksums import checksum
from crdtsync.storage.damaged_tables import (
    PACK_COLUMNS,
    ROW_COLUMNS,
    DamagedTables,
    is_whole_pack,
    is_whole_row,
)
from crdtsync.storage.database import Database, Row
from crdtsync.storage.pack import decode_pack
from crdtsync.storage.schema import SEQ_BITS, SEQ_MAX
from crdtsync.storage.sqlite import BUSY_TIMEOUT_S
from crdtsync.storage.sqlite_rows import ROW
from crdtsync.storage.sqlite_shelf import UNPACKED_BYTES_MAX


@dataclass(slots=True)
class Remains:
    """One store, opened for reading alone. ``unreadable`` names what could not be read, as far as it was
    looked at. Raises ``StorageError`` where SQLite cannot open the file at all.
    """

    path: Path
    unreadable: list[str] = field(default_factory=list)
    _db: Database = field(init=False)
    _tables: DamagedTables = field(init=False)

    def __post_init__(self) -> None:
        self._db = Database(
            str(self.path),
            read_only=True,
            create=False,
            busy_timeout_s=BUSY_TIMEOUT_S,
            whatever_is_left=True,
        )
        self._tables = DamagedTables(self._db.connection)
        # All of it is one moment of a till that sells on: nothing moves into a pack meanwhile.
        self._db.connection.execute("BEGIN")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def shops(self) -> list[tuple[int, bytes | None]]:
        """(number in the file, id) of the shops of which there are records or that are named, newest first;
        the id is None where only the records tell of it.
        """
        named: dict[int, bytes | None] = {
            no: shop if type(shop) is bytes and len(shop) == ID_BYTES else None
            for no, shop in self._tables.rows("shop", "no, id", 0, 1 << 22, key="no")
        }
        for no in sorted(self._numbers_of_records() - named.keys()):
            self.unreadable.append(f"the row of shop {no} in the table of shops")
            named[no] = None
        return sorted(named.items(), reverse=True)

    def _numbers_of_records(self) -> set[int]:
        """The shops of which there are records. A look or two for each."""
        found: set[int] = set()
        for table in ("record", "pack"):
            low = 0
            while (row := next(self._tables.rows(table, "pos", low, 1 << 62), None)) is not None:
                no = row[0] >> SEQ_BITS
                found.add(no)
                low = ((no + 1) << SEQ_BITS) - 1
        return found

    def state(self, no: int, key: str) -> bytes | None:
        """A value kept beside the log, if it is whole."""
        try:
            found = self._db.row("SELECT value, crc FROM state WHERE shop = ? AND key = ?", (no, key))
        except DamagedStore as damage:
            self.unreadable.append(f"the value of {key}: {damage}")
            return None
        if found is not None and checksum(key, found[0]) != found[1]:
            self.unreadable.append(f"the value of {key}")
            return None
        value: bytes | None = found[0] if found is not None else None
        return value

    def records(self, no: int) -> Iterator[tuple[int, bytes, bool]]:
        """(seq, record, whether it is what was written) of all rows and packs, and of what was set apart (seq
        0). A damaged row is given with the bytes that it has: an entry's signature tells whether they are its
        own.
        """
        packed = yield from self._packs(no)
        yield from self._rows(no, packed)
        yield from self._apart(no)

    def _packs(self, no: int) -> Generator[tuple[int, bytes, bool], None, int]:
        """Those of all packs; how far the log is packed."""
        last_packed, lost = 0, self._tables.lost
        places = {
            pos: last if type(last) is int else pos & SEQ_MAX
            for pos, last in self._tables.rows("pack", "pos, last", *_places(no))
        }
        on_leaves: dict[int, bytes] = {}
        for row in self._leaf_rows(no, PACK_COLUMNS, lost):
            pos, last, *_, blob = row
            if pos not in places and is_whole_pack(row):
                places[pos], on_leaves[pos] = last, blob
        for pos, last in sorted(places.items()):
            first = pos & SEQ_MAX
            self._name_gap(last_packed + 1, first - 1)
            last_packed = max(last_packed, last)
            try:
                rows = decode_pack(self._pack(pos, on_leaves), bytes_max=UNPACKED_BYTES_MAX)
            except (DamagedStore, MalformedRecord, IndexError, TypeError) as error:
                self.unreadable.append(f"records {first} to {last}: {error}")
                continue
            for seq, record in rows:
                yield seq, record, True
        return last_packed

    def _rows(self, no: int, packed: int) -> Iterator[tuple[int, bytes, bool]]:
        expected, lost = packed + 1, self._tables.lost
        gaps: list[tuple[int, int]] = []
        for row in self._tables.rows("record", ROW, *_places(no)):
            seq = row[0] & SEQ_MAX
            gaps.append((expected, seq - 1))
            expected = max(expected, seq + 1)
            record, is_whole = row[10], is_whole_row(row)
            if not is_whole:
                self.unreadable.append(f"record {seq}")
            if type(record) is bytes:
                yield seq, record, is_whole
        found: dict[int, bytes | None] = {}
        gaps = [(lo, hi) for lo, hi in gaps if lo <= hi]
        for row in self._leaf_rows(no, ROW_COLUMNS, lost):
            seq = row[0] & SEQ_MAX
            if (seq >= expected or any(lo <= seq <= hi for lo, hi in gaps)) and is_whole_row(row):
                found.setdefault(seq, row[10])
        yield from ((seq, record, True) for seq, record in sorted(found.items()) if record is not None)
        end = max([self._known_end(no), expected - 1, *found])
        gaps.append((expected, end))
        for lo, hi in gaps:
            self._name_gaps_but(lo, hi, found)
        expected = end + 1
        if self._tables.without_end:
            self.unreadable.append(f"the end of the log: records after {expected - 1}, if there were more")

    def _pack(self, pos: int, on_leaves: dict[int, bytes]) -> bytes:
        """The bytes of a pack. Raises ``DamagedStore``, ``TypeError`` where there are none."""
        if pos in on_leaves:
            return on_leaves[pos]
        found = self._db.row("SELECT bytes FROM pack WHERE pos = ?", (pos,))
        return bytes(found[0]) if found else b""

    def _leaf_rows(self, no: int, columns: int, lost: int) -> Iterator[Row]:
        """Where a table could not be read whole (something of it was lost since ``lost``): what lies on leaf
        pages under an inner page that is damaged, with keys of that shop. Whoever asks has to look whether a
        row is one of his.
        """
        if self._tables.lost == lost:
            return
        yield from self._tables.leaf_rows(columns, *_places(no))

    def _name_gaps_but(self, first: int, last: int, found: Iterable[int]) -> None:
        """Name what is missing between two records, without those that were found elsewhere."""
        for seq in sorted(seq for seq in found if first <= seq <= last):
            self._name_gap(first, seq - 1)
            first = seq + 1
        self._name_gap(first, last)

    def _name_gap(self, first: int, last: int) -> None:
        if first <= last:
            self.unreadable.append(f"records {first} to {last}")

    def _known_end(self, no: int) -> int:
        """How far the log has come at least: what is written down of it may lag a little, or be damaged. It
        only names what is missing; nothing is looked for less far because of it.
        """
        with suppress(StorageError):
            found = self._db.row("SELECT seq FROM shop WHERE no = ?", (no,))
            return found[0] if found and type(found[0]) is int else 0
        return 0

    def _apart(self, no: int) -> Iterator[tuple[int, bytes, bool]]:
        try:
            rows = self._db.rows("SELECT bytes, code FROM apart WHERE shop = ? ORDER BY no", (no,))
        except DamagedStore as damage:
            self.unreadable.append(f"what was set apart: {damage}")
            return
        for record, code in rows:
            if record:
                yield 0, record, code != "damaged"


def _places(no: int) -> tuple[int, int]:
    """Between which two keys the rows of a shop lie."""
    return no << SEQ_BITS, (no + 1) << SEQ_BITS
