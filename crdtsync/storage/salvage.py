"""Reading a store that does not open any more: every record that still has its bytes, whatever is wrong with
the tables that it was found by.

A record is known by its own digest (of a pack: by its hash), so nothing else has to be trusted. What is read
here goes into a new store; the file is left as it is. Nobody else may have it open meanwhile: what is read
beside a till that goes on selling is ``remains``' part.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import apsw

from crdtsync.errors import MalformedRecord, NotAStore, StorageError, StoreBusy
from crdtsync.ids import record_digest
from crdtsync.storage.checksums import checksum
from crdtsync.storage.damaged_tables import (
    PACK_COLUMNS,
    ROW_COLUMNS,
    DamagedTables,
    is_whole_pack,
    is_whole_row,
)
from crdtsync.storage.database import Database, read_whatever_is_left
from crdtsync.storage.pack import decode_pack
from crdtsync.storage.schema import SEQ_BITS
from crdtsync.storage.sqlite_shelf import UNPACKED_BYTES_MAX

SHOPS_MAX: Final = 1 << 22
"""No store has a shop of that number."""


class Wreck:
    """A damaged store, opened to be read by nobody else. Raises ``NotAStore``, ``StoreBusy`` where another
    process has it open, ``StorageError``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            self._connection = apsw.Connection(self.path, flags=apsw.SQLITE_OPEN_READWRITE)
        except apsw.Error as error:
            raise NotAStore(f"{self.path} is not a store of crdtsync") from error
        try:
            self._take_alone()
        except BaseException:
            self.close()  # Else this process would keep it locked for whoever comes next.
            raise
        self._tables = DamagedTables(self._connection)

    def _take_alone(self) -> None:
        try:
            self._connection.set_busy_timeout(1000)
            # Not a byte of the file changes: the journal stays beside it.
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            read_whatever_is_left(self._connection)
            # Before the file is looked at: then it is locked for whoever has it open, or opens it, as well.
            self._connection.pragma("locking_mode", "exclusive")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.execute("ROLLBACK")
        except (apsw.BusyError, apsw.LockedError) as error:
            raise StoreBusy(f"another process has {self.path} open", hint="end it, and try again") from error
        except (apsw.NotADBError, apsw.CantOpenError) as error:
            raise NotAStore(f"{self.path} is not a store of crdtsync") from error
        except apsw.Error as error:
            raise StorageError(f"{self.path} cannot be read: {error}") from error

    @property
    def lost(self) -> int:
        """Rows and packs that are there and could not be read."""
        return self._tables.lost

    def lose(self) -> None:
        """One more that is no use."""
        self._tables.lost += 1

    def count_from(self, lost: int) -> None:
        """Forget what was lost since there were so many: it is read once more."""
        self._tables.lost = lost

    def shops(self) -> list[int]:
        """The local numbers of the shops of which there are records, or of which anything else tells, oldest
        first.
        """
        found = {no for (no,) in self._tables.rows("shop", "no", 0, SHOPS_MAX, key="no")}
        for table in ("record", "pack"):
            for pos, *_ in self._tables.rows(table, "pos", 0, 1 << 62):
                found.add(pos >> SEQ_BITS)
        with suppress(apsw.Error):
            for no, key, value, crc in self._connection.execute("SELECT shop, key, value, crc FROM state"):
                if type(no) is int and 0 < no < SHOPS_MAX and checksum(key, value) == crc:
                    found.add(no)
        return sorted(found)

    def records(self, number: int) -> Iterator[bytes]:
        """The records of a shop that are whole, in the order of the log; then those on pages to which nothing
        leads any more.
        """
        low, high = number << SEQ_BITS, (number + 1) << SEQ_BITS
        lost, places = self.lost, set[int]()
        for pos, blob in self._tables.rows("pack", "pos, bytes", low, high):
            places.add(pos)
            yield from self._unpacked(blob)
        if self.lost > lost:
            for pos, *_, blob in filter(is_whole_pack, self._tables.leaf_rows(PACK_COLUMNS, low, high)):
                if pos not in places:
                    places.add(pos)
                    yield from self._unpacked(blob)
        lost = self.lost
        places.clear()
        for pos, digest, record in self._tables.rows("record", "pos, digest, bytes", low, high):
            if record is None:
                places.add(pos)  # Compacted, or set apart before.
            elif isinstance(record, bytes) and record_digest(record) == digest:
                places.add(pos)
                yield record
            else:
                self.lose()
        if self.lost > lost:
            for pos, *_, record in filter(is_whole_row, self._tables.leaf_rows(ROW_COLUMNS, low, high)):
                if pos not in places and isinstance(record, bytes):
                    places.add(pos)
                    yield record

    def _unpacked(self, blob: bytes) -> Iterator[bytes]:
        try:
            yield from (record for _, record in decode_pack(blob, bytes_max=UNPACKED_BYTES_MAX))
        except (MalformedRecord, IndexError, TypeError):
            self.lose()

    def state(self, number: int, key: str) -> bytes | None:
        """A value kept beside a shop's log, if it is whole."""
        try:
            found = self._connection.execute(
                "SELECT value, crc FROM state WHERE shop = ? AND key = ?", (number, key)
            ).fetchone()
        except apsw.Error:
            return None
        return found[0] if found is not None and checksum(key, found[0]) == found[1] else None

    def carry_apart(self, number: int, into: Database, there: int) -> int:
        """Put what was set apart of a shop, and is whole, into another store, where the shop has the number
        ``there``; inside its transaction. How many.
        """
        columns = "shop, digest, log_id, log_seq, code, reason, held, at_ms, bytes_crc, bytes"
        count = 0
        for _, shop, *row in self._tables.rows("apart", f"no, {columns}", 0, 1 << 62, key="no"):
            record, crc = row[8], row[7]
            if shop == number and isinstance(record, bytes) and zlib.crc32(record) == crc:
                into.write(
                    f"INSERT OR IGNORE INTO apart ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    (there, *row),
                )
                count += 1
        return count

    def close(self) -> None:
        """Let go of the file."""
        try:
            self._connection.close(True)
        except apsw.Error:
            self._connection.close(True)
