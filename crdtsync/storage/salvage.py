"""Reading a store that does not open any more: every record that still has its bytes, whatever is wrong with
the tables that it was found by.

A record is known by its own digest (of a pack: by its hash), so nothing else has to be trusted. What is read
here goes into a new store; the file is left as it is. Nobody else may have it open meanwhile: what is read
beside a till that goes on selling is ``remains``' part, which trusts the head of the log as far as it goes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterator
from typing import Final

import apsw

from crdtsync.errors import MalformedRecord, NotAStore, StorageError, StoreBusy
from crdtsync.ids import record_digest
from crdtsync.storage.checksums import checksum
from crdtsync.storage.database import Database, Row
from crdtsync.storage.pack import decode_pack
from crdtsync.storage.schema import SEQ_BITS
from crdtsync.storage.sqlite_shelf import UNPACKED_BYTES_MAX

ROWS_AT_ONCE: Final = 256

NEAR_KEYS: Final = 1 << 14
"""Where the end of a table cannot be read: how far after damage rows are looked for key by key (a second)."""


class Wreck:
    """A damaged store, opened to be read by nobody else. Raises ``NotAStore``, ``StoreBusy`` where another
    process has it open, ``StorageError``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.lost = 0
        """Rows and packs that are there and could not be read."""
        try:
            self._connection = apsw.Connection(self.path, flags=apsw.SQLITE_OPEN_READWRITE)
            self._connection.set_busy_timeout(1000)
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

    def shops(self) -> list[int]:
        """The local numbers of the shops of which there are records, oldest first."""
        found: set[int] = set()
        for table in ("record", "pack"):
            for pos, *_ in self._rows(table, "pos", 0, 1 << 62):
                found.add(pos >> SEQ_BITS)
        return sorted(found)

    def records(self, number: int) -> Iterator[bytes]:
        """The records of a shop that are whole, in the order of the log."""
        low, high = number << SEQ_BITS, (number + 1) << SEQ_BITS
        for _, blob in self._rows("pack", "pos, bytes", low, high):
            try:
                yield from (record for _, record in decode_pack(blob, bytes_max=UNPACKED_BYTES_MAX))
            except (MalformedRecord, IndexError, TypeError):
                self.lost += 1
        for _, digest, record in self._rows("record", "pos, digest, bytes", low, high):
            if record is None:
                continue  # Compacted, or set apart before.
            if isinstance(record, bytes) and record_digest(record) == digest:
                yield record
            else:
                self.lost += 1

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
        for _, shop, *row in self._rows("apart", f"no, {columns}", 0, 1 << 62, key="no"):
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

    def _rows(self, table: str, columns: str, low: int, high: int, *, key: str = "pos") -> Iterator[Row]:
        """Rows by their key, which is the first column, between the two: what lies on a page that cannot be
        read is lost, and no more.
        """
        while True:
            low, is_broken = yield from self._forwards(table, columns, low, high, key)
            if not is_broken:
                return
            self.lost += 1
            beyond = self._next_that_is_read(table, columns, low, high, key)
            if beyond is None:  # The last page cannot be read either, so nothing tells where the rows end.
                yield from self._between(table, columns, low, min(low + NEAR_KEYS, high), key)
                return
            yield from self._between(table, columns, low, beyond, key)
            low = beyond - 1

    def _forwards(
        self, table: str, columns: str, low: int, high: int, key: str
    ) -> Generator[Row, None, tuple[int, bool]]:
        """Rows up to the first page that cannot be read; the last key, and whether there is such a page."""
        while True:
            rows, is_broken = self._some(table, columns, low, high, key, "ASC")
            yield from rows
            low = rows[-1][0] if rows else low
            if is_broken or len(rows) < ROWS_AT_ONCE:
                return low, is_broken

    def _next_that_is_read(self, table: str, columns: str, low: int, high: int, key: str) -> int | None:
        """A key beyond the damage after ``low``, not far behind its end; None where none is found."""
        step = 1
        while low + step < high:
            rows, is_broken = self._some(table, columns, low + step, high, key, "ASC", limit=1)
            if not is_broken:
                return int(rows[0][0]) if rows else low + step + 1
            step *= 2
        return None

    def _between(self, table: str, columns: str, low: int, high: int, key: str) -> Iterator[Row]:
        """The rows between two keys that are near one another, in halves around what cannot be read."""
        low, is_broken = yield from self._forwards(table, columns, low, high, key)
        if not is_broken:
            return
        held: list[Row] = []
        while True:
            rows, is_broken = self._some(table, columns, low, high, key, "DESC")
            held += rows
            high = rows[-1][0] if rows else high
            if is_broken or len(rows) < ROWS_AT_ONCE:
                break
        if is_broken and high - low > 2:
            middle = (low + high) // 2
            yield from self._between(table, columns, low, middle + 1, key)
            yield from self._between(table, columns, middle, high, key)
        yield from reversed(held)

    def _some(
        self,
        table: str,
        columns: str,
        low: int,
        high: int,
        key: str,
        way: str,
        *,
        limit: int = ROWS_AT_ONCE,
    ) -> tuple[list[Row], bool]:
        """The next rows that way, and whether what comes after them cannot be read."""
        sql = (
            f"SELECT {columns} FROM {table} WHERE {key} > ? AND {key} < ?"  # noqa: S608
            f" ORDER BY {key} {way} LIMIT {limit}"
        )
        rows: list[Row] = []
        try:
            for row in self._connection.execute(sql, (low, high)):
                rows.append(row)
        except apsw.Error:
            return rows, True
        return rows, False
