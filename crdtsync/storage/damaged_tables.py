"""Reading tables of which pages are damaged: what lies on a page that cannot be read is lost, and no more.

Rows are found by their key. Where a page cannot be read, what comes after it is looked for beyond it, and
what is left beside the damage in halves. Nothing else is trusted: not where a table is said to end, nor how
many rows it has. Both ways of reading a damaged store use it: ``remains`` beside a till that sells on,
``salvage`` alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Final

import apsw

from crdtsync.storage.checksums import pack_crc, row_crc
from crdtsync.storage.database import Row
from crdtsync.storage.leaf_pages import Leaves

ROWS_AT_ONCE: Final = 256

ROW_COLUMNS: Final = 11
PACK_COLUMNS: Final = 7
"""How many columns the tables of records and of packs have."""

IMAGE_BYTES_MAX: Final = 1 << 30
"""A file larger than this is not read page by page: it is in memory meanwhile."""

NEAR_KEYS: Final = 1 << 14
"""How far from the two ends of damage rows are looked for key by key (a second). Keys leap: those of the next
shop lie 2^40 beyond, and a page that cannot be read may hold the leap, where every one of those keys fails.
"""


class DamagedTables:
    """The tables of one open file. ``lost``: how often something was there and could not be read.
    ``without_end``: tables whose last page cannot be read, so that nothing tells where their rows ended.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.lost = 0
        self.without_end: set[str] = set()

    def rows(self, table: str, columns: str, low: int, high: int, *, key: str = "pos") -> Iterator[Row]:
        """The rows whose key, which is the first column, lies between the two, as far as they can be read,
        in order, each once. Never raises for damage.
        """
        while True:
            low, is_broken = yield from self._forwards(table, columns, low, high, key)
            if not is_broken:
                return
            self.lost += 1
            beyond = self._next_that_is_read(table, columns, low, high, key)
            if beyond is None:  # The last page cannot be read either, so nothing tells where the rows end.
                self.without_end.add(table)
                yield from self._between(table, columns, low, min(low + NEAR_KEYS, high), key)
                return
            yield from self._between(table, columns, low, beyond, key)
            low = beyond - 1

    def leaf_rows(self, columns: int, low: int, high: int) -> Iterator[Row]:
        """Rows of so many columns on all leaf pages of the file, also those to which no page leads any more,
        with keys between the two. Whoever asks has to look whether a row is one of his: see ``is_whole_row``.
        """
        yield from (row for row in self._leaves().rows(columns) if low < row[0] < high)

    def _leaves(self) -> Leaves:
        with suppress(apsw.Error):
            pages, size = (self._connection.pragma(name) for name in ("page_count", "page_size"))
            if pages * size <= IMAGE_BYTES_MAX:
                return Leaves(self._connection.serialize("main"))
        return Leaves(b"")

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
        """The rows between two keys, in halves around what cannot be read; where they lie far apart, those
        near one of the two.
        """
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
        if is_broken and high - low > 2 * NEAR_KEYS:
            yield from self._between(table, columns, low, low + NEAR_KEYS, key)
            yield from self._between(table, columns, high - NEAR_KEYS, high, key)
        elif is_broken and high - low > 2:
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
        last = low if way == "ASC" else high
        try:
            for row in self._connection.execute(sql, (low, high)):
                # Of a page that is half zeros SQLite gives rows with keys that nobody asked for.
                if not (last < row[0] < high if way == "ASC" else low < row[0] < last):
                    return rows, True
                last = row[0]
                rows.append(row)
        except apsw.Error:
            return rows, True
        return rows, False


def is_whole_row(row: Row) -> bool:
    """Whether a row is one of the table of records, as it was written."""
    pos, document, chain, n, origin, origin_seq, crc, digest, prev, h, record = row
    return _holds(lambda: row_crc(pos, document, chain, n, origin, origin_seq, digest, prev, h, record), crc)


def is_whole_pack(row: Row) -> bool:
    """Whether a row is one of the table of packs, as it was written."""
    pos, last, crc, h_before, h, _, blob = row
    return _holds(lambda: pack_crc(pos, last, h_before, h, blob), crc)


def _holds(checksum_of_row: Callable[[], int], crc: object) -> bool:
    try:
        return checksum_of_row() == crc
    except (TypeError, struct.error):
        return False
