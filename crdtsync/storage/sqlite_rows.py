"""The rows of a shop's log in SQLite, and how one is found.

Unpacked rows are found by *stretches*: consecutive rows of one document, one origin and, if they are entries,
one chain with consecutive numbers. A till that sells writes one stretch a day, not an index entry per sale. A
stretch ends where the next one begins; every unpacked row lies in one.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crdtsync.errors import DamagedStore
from crdtsync.ids import EntryFacts, record_digest
from crdtsync.storage.checksums import row_crc
from crdtsync.storage.database import Row
from crdtsync.storage.schema import SEQ_BITS, SEQ_MAX
from crdtsync.storage.sqlite_heads import Heads

ROW: Final = "pos, document, chain, n, origin, origin_seq, crc, digest, prev, h, bytes"
DOCUMENT: Final = 1
CHAIN: Final = 2
"""Places in ``ROW``."""

SLICE: Final = 256
"""Rows that an iterator reads at once; between slices no statement is open."""

STRETCH_ROWS_MAX: Final = 4096
"""So that what may hold a number lies in a known neighbourhood of it."""

_ENDS: Final = "(SELECT min(next.pos) - 1 FROM stretch AS next WHERE next.pos > stretch.pos AND next.pos < ?)"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows ``first`` to ``last``; ``n`` is the number of the first, 0 where they are no entries."""

    first: int
    last: int
    n: int


@dataclass(slots=True)
class OpenStretch:
    """The newest stretch, which may go on. ``shift`` is an entry's number less its seq."""

    first: int
    document: int
    chain: int | None
    shift: int
    origin: int


class Rows(Heads):
    """Finding, checking and reading rows."""

    def _forget(self) -> None:
        super()._forget()
        self._open: OpenStretch | None = None

    def _forget_names_of_logs(self) -> None:
        super()._forget_names_of_logs()
        self._open = None

    def _rows_beyond(self, seq: int) -> list[Row]:
        last, end = self._base + seq, self._base + (1 << SEQ_BITS)
        rows = self._db.rows(
            f"SELECT {ROW} FROM record WHERE pos > ? AND pos < ? ORDER BY pos",  # noqa: S608
            (last, end),
        )
        for row in rows:
            # Of a page that is half zeros SQLite gives rows with keys that nobody asked for.
            if not last < row[0] < end:
                raise self._damage("the table of records")
            last = row[0]
        return rows

    def _count_rows(self, rows: list[Row]) -> None:
        names: dict[int, str] = {}
        links: dict[int, bytes] = {}
        for row in rows:
            _, document, chain, n, _, _, _, digest, prev, h, _ = row
            if self._mends and not self._is_whole(row):
                self._seq, self._h = row[0] - self._base, h
                continue
            record = self._checked(row)
            # Whoever mends fills the place of a row that is gone afterwards.
            if record is None or (row[0] != self._base + self._seq + 1 and not self._mends):
                raise self._damaged(self._seq + 1)
            self._seq, self._h = row[0] - self._base, h
            if document not in names:
                names[document] = str(self._named("document", "name", document))
            self._grow(names[document], len(record))
            if chain is not None:
                if chain not in links:
                    links[chain] = self._named("chain", "link", chain)
                    self._chain_no(links[chain])
                entry = EntryFacts(links[chain], n, prev, digest, names[document], "")
                if not self._continue_run(chain, entry) and not self._mends:
                    raise self._damaged(self._seq, document)

    def _named(self, table: str, column: str, number: int) -> Any:
        found = self._db.row(f"SELECT {column} FROM {table} WHERE no = ?", (number,))  # noqa: S608
        if found is None:
            raise self._damage(f"the {table} with number {number}")
        return found[0]

    # -- stretches --------------------------------------------------------------------------------------

    def _file(self, seq: int, document: int, chain: int | None, n: int | None, origin: int) -> None:
        """Let row ``seq`` continue the newest stretch or begin one."""
        shift = n - seq if n is not None else 0
        last = self._open
        if (
            last is not None
            and last.document == document
            and last.origin == origin
            and last.chain == chain
            and last.shift == shift
            and seq - last.first < STRETCH_ROWS_MAX
        ):
            return
        if last is None and self._continues_on_disk(seq, document, chain, shift, origin):
            return
        self._db.defer("INSERT INTO stretch", (self._base + seq, document, chain, n, origin))
        self._open = OpenStretch(seq, document, chain, shift, origin)

    def _continues_on_disk(self, seq: int, document: int, chain: int | None, shift: int, origin: int) -> bool:
        found = self._db.row(
            "SELECT pos, document, chain, n, origin FROM stretch WHERE pos > ? AND pos < ?"
            " ORDER BY pos DESC LIMIT 1",
            (self._base, self._base + seq),
        )
        if found is None:
            return False
        first = found[0] - self._base
        was = OpenStretch(
            first, found[1], found[2], found[3] - first if found[3] is not None else 0, found[4]
        )
        if was != OpenStretch(first, document, chain, shift, origin) or seq - first >= STRETCH_ROWS_MAX:
            return False
        self._open = was
        return True

    def _cut_stretches(self, last: int) -> None:
        """Drop what rows up to ``last`` are found by; they are packed."""
        found = self._db.row(
            "SELECT pos, document, chain, n, origin FROM stretch WHERE pos > ? AND pos <= ?"
            " ORDER BY pos DESC LIMIT 1",
            (self._base, self._base + last),
        )
        next_row = self._db.row("SELECT 1 FROM record WHERE pos = ?", (self._base + last + 1,))
        begins = self._db.row("SELECT 1 FROM stretch WHERE pos = ?", (self._base + last + 1,))
        self._db.write("DELETE FROM stretch WHERE pos > ? AND pos <= ?", (self._base, self._base + last))
        if found is not None and next_row is not None and begins is None:
            pos, document, chain, n, origin = found
            first = self._base + last + 1
            number = n + first - pos if n is not None else None
            self._db.write(
                "INSERT INTO stretch VALUES (?, ?, ?, ?, ?)", (first, document, chain, number, origin)
            )
        self._open = None

    def _stretches(self, condition: str, values: Sequence[int]) -> list[Stretch]:
        rows = self._db.rows(
            f"SELECT pos, {_ENDS}, n FROM stretch WHERE {condition}",  # noqa: S608
            (self._base + (1 << SEQ_BITS), *values),
        )
        end = self._base + self._seq
        return [
            Stretch(pos - self._base, (end if last is None else last) - self._base, n or 0)
            for pos, last, n in rows
        ]

    def _loose_seqs(self, column: str, number: int, after: int = 0) -> list[int]:
        """Unpacked rows beyond ``after`` of a document or an origin, ascending."""
        before = self._db.row(
            f"SELECT max(pos) FROM stretch WHERE {column} = ? AND pos <= ? AND pos > ?",  # noqa: S608
            (number, self._base + after, self._base),
        )
        start = before[0] if before and before[0] is not None else self._base
        stretches = self._stretches(
            f"{column} = ? AND pos BETWEEN ? AND ? ORDER BY pos",
            (number, start, self._base + (1 << SEQ_BITS)),
        )
        return [seq for part in stretches for seq in range(max(part.first, after + 1), part.last + 1)]

    def _loose_places(self, chain: int, lo: int, hi: int) -> list[tuple[int, int]]:
        """(n, seq) of the unpacked entries ``lo`` to ``hi`` of a chain."""
        stretches = self._stretches(
            "chain = ? AND n BETWEEN ? AND ?", (chain, max(lo - STRETCH_ROWS_MAX, 0), min(hi, (1 << 62)))
        )
        return [
            (n, part.first + n - part.n)
            for part in stretches
            for n in range(max(part.n, lo), min(part.n + part.last - part.first, hi) + 1)
        ]

    # -- rows ---------------------------------------------------------------------------------------------

    def _checked(self, row: Row) -> bytes | None:
        """The record of a row (``ROW``), or None where it was compacted. Raises ``DamagedStore``."""
        pos, document, chain, n, origin, origin_seq, crc, digest, prev, h, record = row
        try:
            good = crc == row_crc(pos, document, chain, n, origin, origin_seq, digest, prev, h, record)
        except (TypeError, struct.error):
            good = False
        if not good:
            raise self._damaged(pos & SEQ_MAX, document)
        found: bytes | None = record
        return found

    def _is_whole(self, row: Row) -> bool:
        try:
            self._checked(row)
        except DamagedStore:
            return False
        return True

    def _damaged(self, seq: int, document: int | None = None) -> DamagedStore:
        if not 1 <= seq <= SEQ_MAX:
            return self._damage("the table of records")  # That is the number of no record.
        named = self._db.row("SELECT name FROM document WHERE no = ?", (document,)) if document else None
        name = named[0] if named else None
        where = f" ({name})" if name else ""
        return DamagedStore(
            f"{self._db.path}: record {seq}{where} of shop {self._shop.hex()} is damaged",
            shop=self._shop,
            seq=seq,
            document=name,
        )

    def _loose_row(self, seq: int) -> Row | None:
        return self._db.row(f"SELECT {ROW} FROM record WHERE pos = ?", (self._base + seq,))  # noqa: S608

    def _record(self, seq: int, column: int | None = None, value: int = 0) -> bytes | None:
        """The record with that seq, wherever it lies; None where its bytes are gone. With ``column`` (a place
        in ``ROW``) an unpacked row must have that value: what it was found by has no checksum.
        """
        return self._record_of(seq, self._loose_row(seq), column, value)

    def _record_of(self, seq: int, row: Row | None, column: int | None, value: int) -> bytes | None:
        if row is not None:
            if column is not None and row[column] != value:
                raise self._damaged(seq)
            return self._checked(row)
        place = self._shelf.find(self._no, seq)
        if place is None:
            raise self._damaged(seq)
        return self._shelf.records(place)[seq - place.first]

    def _fetch(
        self, seqs: Iterable[int], column: int | None = None, value: int = 0
    ) -> Iterator[tuple[int, bytes]]:
        """(seq, record) of rows that have bytes, read in slices of one state each."""
        wanted = array("q")
        for seq in seqs:
            wanted.append(seq)
            if len(wanted) == SLICE:
                yield from self._fetch_slice(wanted, column, value)
                wanted = array("q")
        yield from self._fetch_slice(wanted, column, value)

    def _fetch_slice(self, seqs: Sequence[int], column: int | None, value: int) -> list[tuple[int, bytes]]:
        with self._db.snapshot():
            # One statement for all: each gives up the interpreter's lock, and gets it back late.
            loose = {row[0]: row for row in self._loose_rows(seqs)}
            found = ((seq, self._record_of(seq, loose.get(self._base + seq), column, value)) for seq in seqs)
            return [(seq, record) for seq, record in found if record is not None]

    def _loose_rows(self, seqs: Sequence[int]) -> list[Row]:
        places = json.dumps([self._base + seq for seq in seqs])
        return self._db.rows(
            f"SELECT {ROW} FROM record WHERE pos IN (SELECT value FROM json_each(?))",  # noqa: S608
            (places,),
        )

    def _entries_at(self, chain: int, n: int) -> list[tuple[int, bytes, bytes]]:
        """(seq, link, prev) of the entries held under a number, ascending by seq.

        The runs say how many there are. Where less are found the file is damaged: to append what is not found
        once more would look right and be wrong.
        """
        count = sum(run.lo <= n <= run.hi for run in self._runs[chain])
        found = self._loose_entries_at(chain, n, count)
        if len(found) < count:
            found = self._packed_entries_at(chain, n) + found
        if len(found) < count:
            raise self._damage(f"what entry {n} of a chain is found by")
        return found

    def _loose_entries_at(self, chain: int, n: int, count: int) -> list[tuple[int, bytes, bytes]]:
        found: set[tuple[int, bytes, bytes]] = set()  # Numbers may go on from one stretch to the next.
        for pos, begins in self._db.each(
            "SELECT pos, n FROM stretch WHERE chain = ? AND n BETWEEN ? AND ? ORDER BY n DESC",
            (chain, n - STRETCH_ROWS_MAX, n),
        ):
            if len(found) == count:
                break
            row = self._loose_row(pos - self._base + n - begins)
            if row is not None and (row[2], row[3]) == (chain, n) and self._checked(row) is not None:
                found.add((row[0] - self._base, row[7], row[8]))
        return sorted(found)

    def _packed_entries_at(self, chain: int, n: int) -> list[tuple[int, bytes, bytes]]:
        found: list[tuple[int, bytes, bytes]] = []
        for place in self._shelf.with_chain(chain, n, n):
            columns = self._shelf.columns(place)
            for number in _places_of(n, columns.ns):
                record = None
                if columns.chains[number] == chain:
                    record = self._shelf.records(place)[number]
                if record is not None:
                    found.append(
                        (place.first + number, record_digest(record), self._shelf.prev(place, number))
                    )
        return found


def _places_of(value: int, column: array[int]) -> Iterator[int]:
    """Where a column has a value. Searched in C: whole packs that are held are asked for row by row."""
    place = -1
    while True:
        try:
            place = column.index(value, place + 1)
        except ValueError:
            return
        yield place
