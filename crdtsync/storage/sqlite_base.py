"""What every part of a shop's log in SQLite stands on: the head, the numbers of names, the rows.

What is cached here is valid for one ``generation`` of the database: until another connection commits or a
transaction is rolled back. What a transaction changes of heads, runs and totals is written when it commits.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import DamagedStore
from crdtsync.ids import ZERO_HASH, Position, record_digest
from crdtsync.storage.database import Database, Row
from crdtsync.storage.log import Run
from crdtsync.storage.schema import SEQ_BITS
from crdtsync.storage.sqlite_shelf import PackShelf

ROW: Final = "pos, document, chain, n, origin, origin_seq, crc, digest, prev, h, bytes"
SLICE: Final = 256
"""Rows that an iterator reads at once; between slices no statement is open."""

_NUMBERS: Final = struct.Struct("<qqqqqq")
_SEQ_MASK: Final = (1 << SEQ_BITS) - 1


def row_crc(
    pos: int,
    document: int,
    chain: int | None,
    n: int | None,
    origin: int,
    origin_seq: int,
    digest: bytes,
    prev: bytes | None,
    h: bytes,
    record: bytes | None,
) -> int:
    """The checksum of a row of ``record``: over its bytes and over all that it is filed by."""
    numbers = _NUMBERS.pack(pos, document, chain or 0, n or 0, origin, origin_seq)
    return zlib.crc32(record or b"", zlib.crc32(b"".join((numbers, digest, prev or b"", h))))


def run_crc(chain: int, run: Run) -> int:
    """The checksum of a row of ``run``."""
    return zlib.crc32(b"%d %d %d %b%b" % (chain, run.lo, run.hi, run.lo_prev, run.hi_link))


def shop_crc(log_id: bytes, seq: int, h: bytes) -> int:
    """The checksum of a row of ``shop``."""
    return zlib.crc32(b"%b%d %b" % (log_id, seq, h))


@dataclass(slots=True)
class Totals:
    """One document's totals while they are cached."""

    no: int
    records: int
    records_bytes: int
    last_seq: int


class LogBase:
    """The head, the names and the rows of one shop's log."""

    def __init__(
        self, database: Database, shelf: PackShelf, no: int, shop: bytes, enlist: Callable[[LogBase], None]
    ) -> None:
        self._db = database
        self._shelf = shelf
        self._no = no
        self._base = no << SEQ_BITS
        self._shop = shop
        self._enlist = enlist
        self._generation = -1
        self._enlisted = False
        self._forget()

    def _forget(self) -> None:
        self._log_id = b""
        self._seq = 0
        self._h = ZERO_HASH
        self._own_origin = 0
        self._chains: dict[bytes, int] = {}
        self._origins: dict[bytes, int] = {}
        self._runs: dict[int, list[Run]] = {}
        self._runs_on_disk: dict[int, list[Run]] = {}
        self._documents: dict[str, Totals] = {}
        self._changed_runs: set[int] = set()
        self._changed_documents: set[str] = set()
        self._head_changed = False

    # -- the head ---------------------------------------------------------------------------------------

    @property
    def shop(self) -> bytes:
        """The id of the shop."""
        return self._shop

    @property
    def log_id(self) -> bytes:
        """The name of this log, as it is on disk now."""
        self._refresh()
        return self._log_id

    @property
    def end(self) -> Position:
        """After the newest record, as it is on disk now (or in the transaction under way)."""
        self._refresh()
        return Position(self._seq, self._h)

    def _refresh(self) -> None:
        database = self._db
        if not database.in_transaction:
            database.refresh()
        if self._generation != database.generation:
            self._load()

    def _load(self) -> None:
        self._forget()
        found = self._db.row("SELECT log_id, seq, h, crc FROM shop WHERE no = ?", (self._no,))
        if found is None or shop_crc(*found[:3]) != found[3]:
            raise DamagedStore(
                f"{self._db.path}: the head of the log of shop {self._shop.hex()} is damaged", shop=self._shop
            )
        self._log_id, self._seq, self._h = found[:3]
        self._generation = self._db.generation

    def _begin_writing(self) -> None:
        if not self._db.in_transaction:
            raise RuntimeError("a log is written inside Store.transaction() only")
        if self._generation != self._db.generation:
            self._load()
        if not self._enlisted:
            self._enlisted = True
            self._enlist(self)

    def flush(self) -> None:
        """Write what the transaction changed of the head, the runs and the totals."""
        if self._head_changed:
            self._db.write(
                "UPDATE shop SET log_id = ?, seq = ?, h = ?, crc = ? WHERE no = ?",
                (self._log_id, self._seq, self._h, shop_crc(self._log_id, self._seq, self._h), self._no),
            )
            self._head_changed = False
        for chain in self._changed_runs:
            self._flush_runs(chain)
        self._changed_runs.clear()
        for name in self._changed_documents:
            totals = self._documents[name]
            self._db.write(
                "UPDATE document SET records = ?, records_bytes = ?, last_seq = ? WHERE no = ?",
                (totals.records, totals.records_bytes, totals.last_seq, totals.no),
            )
        self._changed_documents.clear()

    def end_writing(self) -> None:
        """The transaction ended, either way."""
        self._enlisted = False

    def _flush_runs(self, chain: int) -> None:
        now, before = self._runs[chain], self._runs_on_disk[chain]
        if len(now) == len(before) == 1 and now[0].lo == before[0].lo:
            run = now[0]
            self._db.write(
                "UPDATE run SET hi_link = ?, hi = ?, lo_prev = ?, crc = ? WHERE chain = ? AND lo = ?",
                (run.hi_link, run.hi, run.lo_prev, run_crc(chain, run), chain, run.lo),
            )
        else:
            kept = set(now) & set(before)
            self._db.write_many(
                "DELETE FROM run WHERE chain = ? AND lo = ? AND hi_link = ?",
                [(chain, run.lo, run.hi_link) for run in before if run not in kept],
            )
            self._db.write_many(
                "INSERT INTO run (chain, lo, hi_link, lo_prev, hi, crc) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (chain, run.lo, run.hi_link, run.lo_prev, run.hi, run_crc(chain, run))
                    for run in now
                    if run not in kept
                ],
            )
        self._runs_on_disk[chain] = list(now)

    # -- the numbers of names -----------------------------------------------------------------------------

    def _chain_no(self, link: bytes) -> int | None:
        number = self._chains.get(link)
        if number is None:
            found = self._db.row("SELECT no FROM chain WHERE shop = ? AND link = ?", (self._no, link))
            if found is None:
                return None
            number = self._chains[link] = found[0]
        return number

    def _add_chain(self, link: bytes) -> int:
        number = self._chain_no(link)
        if number is None:
            found = self._db.row("INSERT INTO chain VALUES (NULL, ?, ?) RETURNING no", (self._no, link))
            number = self._chains[link] = _number(found)
        return number

    def _origin_no(self, log_id: bytes | None) -> int:
        """The number under which records of that log are filed now; 0 if there is none."""
        if log_id is None:
            return self._own()
        number = self._origins.get(log_id)
        if number is None:
            found = self._db.row(
                "SELECT no FROM origin WHERE shop = ? AND log_id = ? AND void = 0", (self._no, log_id)
            )
            if found is None:
                return 0
            number = self._origins[log_id] = found[0]
        return number

    def _own(self) -> int:
        if not self._own_origin:
            found = self._db.row("SELECT no FROM origin WHERE shop = ? AND log_id IS NULL", (self._no,))
            self._own_origin = _number(found)
        return self._own_origin

    def _add_origin(self, log_id: bytes) -> int:
        number = self._origin_no(log_id)
        if not number:
            found = self._db.row("INSERT INTO origin VALUES (NULL, ?, ?, 0) RETURNING no", (self._no, log_id))
            number = self._origins[log_id] = _number(found)
        return number

    def _totals(self, name: str) -> Totals | None:
        totals = self._documents.get(name)
        if totals is None:
            found = self._db.row(
                "SELECT no, records, records_bytes, last_seq FROM document WHERE shop = ? AND name = ?",
                (self._no, name),
            )
            if found is None:
                return None
            totals = self._documents[name] = Totals(*found)
        return totals

    def _add_document(self, name: str) -> Totals:
        totals = self._totals(name)
        if totals is None:
            found = self._db.row(
                "INSERT INTO document VALUES (NULL, ?, ?, 0, 0, 0) RETURNING no", (self._no, name)
            )
            totals = self._documents[name] = Totals(_number(found), 0, 0, 0)
        return totals

    def _chain_runs(self, number: int, link: bytes) -> list[Run]:
        runs = self._runs.get(number)
        if runs is None:
            found = self._db.rows("SELECT lo, lo_prev, hi, hi_link, crc FROM run WHERE chain = ?", (number,))
            runs = self._runs[number] = [self._checked_run(number, link, row) for row in found]
            self._runs_on_disk[number] = list(runs)
        return runs

    def _checked_run(self, number: int, link: bytes, row: Row) -> Run:
        run = Run(link, *row[:4])
        if run_crc(number, run) != row[4]:
            raise DamagedStore(
                f"{self._db.path}: what is held of chain {link.hex()} from number {run.lo} is damaged",
                shop=self._shop,
            )
        return run

    # -- rows ---------------------------------------------------------------------------------------------

    def _checked(self, row: Row) -> bytes | None:
        """The record of a row (``ROW``), or None where it was compacted. Raises ``DamagedStore``."""
        pos, document, chain, n, origin, origin_seq, crc, digest, prev, h, record = row
        try:
            good = crc == row_crc(pos, document, chain, n, origin, origin_seq, digest, prev, h, record)
        except (TypeError, struct.error):
            good = False
        if not good:
            raise self._damaged(pos & _SEQ_MASK, document)
        found: bytes | None = record
        return found

    def _damaged(self, seq: int, document: int | None = None) -> DamagedStore:
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

    def _record(self, seq: int) -> bytes | None:
        """The record with that seq, wherever it lies; None where its bytes are gone."""
        row = self._loose_row(seq)
        if row is not None:
            return self._checked(row)
        place = self._shelf.find(self._no, seq)
        if place is None:
            raise self._damaged(seq)
        return self._shelf.records(place)[seq - place.first]

    def _fetch(self, seqs: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """(seq, record) of rows that have bytes, read in slices of one state each."""
        wanted = array("q")
        for seq in seqs:
            wanted.append(seq)
            if len(wanted) == SLICE:
                yield from self._fetch_slice(wanted)
                wanted = array("q")
        yield from self._fetch_slice(wanted)

    def _fetch_slice(self, seqs: Sequence[int]) -> list[tuple[int, bytes]]:
        with self._db.snapshot():
            found = ((seq, self._record(seq)) for seq in seqs)
            return [(seq, record) for seq, record in found if record is not None]

    def _entries_at(self, chain: int, n: int) -> list[tuple[int, bytes, bytes]]:
        """(seq, link, prev) of the entries held under a number, ascending by seq."""
        found: list[tuple[int, bytes, bytes]] = []
        for place in self._shelf.with_chain(chain, n, n):
            columns = self._shelf.columns(place)
            for number, held in enumerate(columns.ns):
                record = None
                if held == n and columns.chains[number] == chain:
                    record = self._shelf.records(place)[number]
                if record is not None:
                    found.append(
                        (place.first + number, record_digest(record), self._shelf.prev(place, number))
                    )
        loose = self._db.rows(
            f"SELECT {ROW} FROM record WHERE chain = ? AND n = ? AND bytes IS NOT NULL ORDER BY pos",  # noqa: S608
            (chain, n),
        )
        for row in loose:
            self._checked(row)
            found.append((row[0] & _SEQ_MASK, row[7], row[8]))
        return found


def _number(found: Row | None) -> int:
    if found is None:
        raise DamagedStore("a number that the store gave is not there")
    return int(found[0])
