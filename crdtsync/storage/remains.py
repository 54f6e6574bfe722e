"""What can still be read of a damaged store: every row, pack and record set apart, each for itself.

The store's own way of reading stops at damage, because it must not guess. Here nothing is trusted but what a
record's own checksum says, nothing is written, and what cannot be read is named. Whoever takes the records
judges them anew, as if they came from anybody. Making a whole store anew is ``salvage``'s part.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from crdtsync.errors import DamagedStore, MalformedRecord, StorageError
from crdtsync.storage.checksums import checksum, row_crc
from crdtsync.storage.database import Database, Row
from crdtsync.storage.pack import decode_pack
from crdtsync.storage.schema import SEQ_BITS, SEQ_MAX
from crdtsync.storage.sqlite import BUSY_TIMEOUT_S
from crdtsync.storage.sqlite_heads import HEAD_LAG_MAX
from crdtsync.storage.sqlite_rows import ROW
from crdtsync.storage.sqlite_shelf import UNPACKED_BYTES_MAX

ROWS_AT_ONCE: Final = 256


@dataclass(slots=True)
class Remains:
    """One store, opened for reading alone. ``unreadable`` names what could not be read, as far as it was
    looked at. Raises ``StorageError`` where SQLite cannot open the file at all.
    """

    path: Path
    unreadable: list[str] = field(default_factory=list)
    _db: Database = field(init=False)

    def __post_init__(self) -> None:
        self._db = Database(str(self.path), read_only=True, create=False, busy_timeout_s=BUSY_TIMEOUT_S)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def shops(self) -> list[tuple[int, bytes]]:
        """(number in the file, id) of the shops, newest first."""
        try:
            return [(no, shop) for no, shop in self._db.rows("SELECT no, id FROM shop ORDER BY no DESC")]
        except DamagedStore as damage:
            self.unreadable.append(f"the table of shops: {damage}")
            return []

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
        last_packed = 0
        for pos, last in list(self._each_pos("pack", "pos, last", no, self._end(no))):
            first = pos & SEQ_MAX
            last_packed = max(last_packed, last)
            try:
                found = self._db.row("SELECT bytes FROM pack WHERE pos = ?", (pos,))
                rows = decode_pack(found[0], bytes_max=UNPACKED_BYTES_MAX) if found else []
            except (DamagedStore, MalformedRecord) as error:
                self.unreadable.append(f"records {first} to {last}: {error}")
                continue
            for seq, record in rows:
                yield seq, record, True
        return last_packed

    def _rows(self, no: int, packed: int) -> Iterator[tuple[int, bytes, bool]]:
        expected = packed + 1
        for row in self._each_pos("record", ROW, no, self._end(no)):
            seq = row[0] & SEQ_MAX
            if expected < seq:
                self.unreadable.append(f"records {expected} to {seq - 1}")
            expected = max(expected, seq + 1)
            record, is_whole = row[10], _is_whole(row)
            if not is_whole:
                self.unreadable.append(f"record {seq}")
            if type(record) is bytes:
                yield seq, record, is_whole
        end = self._known_end(no)
        if expected <= end:
            self.unreadable.append(f"records {expected} to {end}")

    def _known_end(self, no: int) -> int:
        """How far the log has come at least: what is written down of it may lag a little."""
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

    def _end(self, no: int) -> int:
        """The last seq that there may be."""
        ends = [0]
        for sql in ("SELECT seq FROM shop WHERE no = ?", "SELECT max(last) FROM pack WHERE pos >> 40 = ?"):
            with suppress(StorageError):
                found = self._db.row(sql, (no,))
                ends.append(found[0] if found and found[0] is not None else 0)
        with suppress(StorageError):
            found = self._db.row(
                "SELECT max(pos) FROM record WHERE pos < ? AND pos > ?",
                ((no + 1) << SEQ_BITS, no << SEQ_BITS),
            )
            ends.append(found[0] & SEQ_MAX if found and found[0] is not None else 0)
        return max(ends) + HEAD_LAG_MAX

    def _each_pos(self, table: str, columns: str, no: int, end: int) -> Iterator[Row]:
        """Rows of a table by place: many at once where that works, one by one around what is damaged."""
        base, seq = no << SEQ_BITS, 0
        while seq < end:
            upto = min(seq + ROWS_AT_ONCE, end)
            try:
                yield from self._db.rows(
                    f"SELECT {columns} FROM {table} WHERE pos > ? AND pos <= ? ORDER BY pos",  # noqa: S608
                    (base + seq, base + upto),
                )
            except StorageError:
                yield from self._one_by_one(table, columns, base, seq, upto)
            seq = upto

    def _one_by_one(self, table: str, columns: str, base: int, after: int, upto: int) -> Iterator[Row]:
        for seq in range(after + 1, upto + 1):
            try:
                row = self._db.row(
                    f"SELECT {columns} FROM {table} WHERE pos = ?",  # noqa: S608
                    (base + seq,),
                )
            except StorageError:
                continue  # A row that is not there is named by whoever counts them.
            if row is not None:
                yield row


def _is_whole(row: Row) -> bool:
    pos, document, chain, n, origin, origin_seq, crc, digest, prev, h, record = row
    try:
        good: bool = crc == row_crc(pos, document, chain, n, origin, origin_seq, digest, prev, h, record)
    except (TypeError, struct.error):
        return False
    return good
