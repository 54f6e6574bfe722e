"""The head of a shop's log in SQLite: its end, its runs and totals, and the numbers of names.

What is cached here is valid for one ``generation`` of the database: until another connection commits or a
transaction is rolled back. If the others did nothing but append, as tills do, what they appended is counted
and the rest stays valid.

On disk the head may lag behind the rows: it is written every ``HEAD_LAG_MAX`` rows, and whenever more
happened than that entries continued the one run of their chain and documents grew. The rest is read from the
rows themselves when the log is loaded. So a sale that is committed alone writes one row, and opening reads a
few rows, never the log. And where the head on disk is the one that was read before, nothing else happened.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import DamagedStore
from crdtsync.ids import ZERO_HASH, EntryFacts, Position
from crdtsync.storage.checksums import chain_crc, checksum
from crdtsync.storage.database import Database, Row
from crdtsync.storage.log import Cursor, Run
from crdtsync.storage.runs import continued
from crdtsync.storage.schema import SEQ_BITS
from crdtsync.storage.sqlite_errors import SALVAGE
from crdtsync.storage.sqlite_shelf import PackShelf

HEAD_LAG_MAX: Final = 16
"""Whoever loads a log reads and checks so many rows, 7 us each."""

RECOUNTED: Final = "recounted"
"""State of the log, changed where totals became smaller and the head, which does not tell that, may stay as
it was.
"""

_RUN: Final = struct.Struct(">QQ32s32s")


@dataclass(slots=True)
class Totals:
    """One document's totals while they are cached."""

    no: int
    records: int
    records_bytes: int
    last_seq: int


class Heads(ABC):
    """The head and the names of one shop's log."""

    def __init__(
        self, database: Database, shelf: PackShelf, no: int, shop: bytes, enlist: Callable[[Heads], None]
    ) -> None:
        self._db = database
        self._shelf = shelf
        self._no = no
        self._base = no << SEQ_BITS
        self._shop = shop
        self._enlist = enlist
        self._rollbacks = 0
        self._enlisted = False
        self._mends = False
        self._forget()

    def _forget(self) -> None:
        # Until all of it is read again: reading may fail, and whoever passes over that must not go on here.
        self._generation = -1
        self._head: Row | None = None
        self._log_id = b""
        self._seq = self._seq_on_disk = 0
        self._h = ZERO_HASH
        self._own_origin = 0
        self._chains: dict[bytes, int] = {}
        self._origins: dict[bytes, int] = {}
        self._runs: dict[int, list[Run]] = {}
        self._documents: dict[str, Totals] = {}
        self._states: dict[str, bytes | None] = {}
        self._cursors: dict[bytes, Cursor | None] = {}
        # As dictionaries, each log with a device connected takes a kilobyte less than with empty sets.
        self._changed_runs: dict[bytes, None] = {}
        self._changed_documents: dict[str, None] = {}
        self._must_flush = False

    def let_go(self) -> None:
        """See ``ShopLog``."""
        if not self._enlisted and not self._db.in_transaction:
            self._forget()
            self._shelf.let_go(self._no)

    @property
    def shop(self) -> bytes:
        """The id of the shop."""
        return self._shop

    @property
    def log_id(self) -> bytes:
        """The name of this log, as it is on disk now."""
        with self._db.snapshot():
            self._refresh()
            return self._log_id

    @property
    def end(self) -> Position:
        """After the newest record, as it is on disk now (or in the transaction under way)."""
        with self._db.snapshot():
            self._refresh()
            return Position(self._seq, self._h)

    # -- loading ----------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Notice what others wrote. Inside a snapshot or a transaction."""
        if self._generation != self._db.generation and not self._follow():
            self._load()

    def _load(self) -> None:
        self._forget()
        if self._no < 0:
            raise KeyError(self._shop.hex())
        found = self._head_on_disk()
        if found is None:
            raise self._damage("the head of the log")
        self._trust(found[3], "the head of the log", *found[:3])
        self._log_id, self._seq, self._h = found[:3]
        self._seq_on_disk = self._seq
        self._count_rows(self._rows_beyond(self._seq))
        self._head = found
        self._rollbacks = self._db.rollbacks
        self._generation = self._db.generation

    def _follow(self) -> bool:
        """Count what others appended since; False where they may have done more than that."""
        head, self._head = self._head, None
        if head is None or not self._seq or self._rollbacks != self._db.rollbacks:
            return False
        if self._head_on_disk() != head:
            return False
        start = min(self._seq_on_disk, self._seq - 1)
        rows = self._rows_beyond(start)
        known = self._seq - start
        if len(rows) < known or (rows[known - 1][0], rows[known - 1][9]) != (self._base + self._seq, self._h):
            return False
        # Also those that are counted already: damage is noticed while a till is open.
        if not all(map(self._is_whole, rows)):
            return False
        self._count_rows(rows[known:])
        self._forget_names_of_logs()
        self._head = head
        self._generation = self._db.generation
        return True

    def _head_on_disk(self) -> Row | None:
        return self._db.row(
            "SELECT log_id, seq, h, crc, (SELECT value FROM state WHERE shop = ?1 AND key = ?2)"
            " FROM shop WHERE no = ?1",
            (self._no, RECOUNTED),
        )

    def _forget_names_of_logs(self) -> None:
        """Forget what others may change without changing the head."""
        self._origins = {}
        self._states = {}
        self._cursors = {}

    @abstractmethod
    def _rows_beyond(self, seq: int) -> list[Row]:
        """The unpacked rows after ``seq``; what a row is, ``Rows`` knows."""

    @abstractmethod
    def _is_whole(self, row: Row) -> bool:
        """Whether a row has its checksum."""

    @abstractmethod
    def _count_rows(self, rows: list[Row]) -> None:
        """Count rows that follow what is counted here, which the head on disk does not count yet."""

    def _trust(self, crc: int, what: str, *values: bytes | str | int | None) -> None:
        """Raise ``DamagedStore`` where values do not have their checksum."""
        if checksum(*values) != crc:
            raise self._damage(what)

    def _damage(self, what: str) -> DamagedStore:
        shop = self._shop
        return DamagedStore(
            f"{self._db.path}: {what} is damaged (shop {shop.hex()})", shop=shop, hint=SALVAGE
        )

    # -- changing ---------------------------------------------------------------------------------------

    def _begin_writing(self) -> None:
        if not self._db.in_transaction:
            raise RuntimeError("a log is written inside Store.transaction() only")
        self._refresh()
        if not self._enlisted:
            self._enlisted = True
            self._enlist(self)

    def _grow(self, document: str, size: int) -> Totals:
        """Count one more record, the newest, in a document's totals."""
        totals = self._documents.get(document) or self._add_document(document)
        totals.records += 1
        totals.records_bytes += size
        totals.last_seq = self._seq
        self._changed_documents[document] = None
        return totals

    def _set_totals(
        self, document: str, number: int, records: int, records_bytes: int, last_seq: int
    ) -> None:
        self._documents[document] = Totals(number, records, records_bytes, last_seq)
        self._changed_documents[document] = None

    def _continue_run(self, chain: int, entry: EntryFacts) -> bool:
        """Let an entry continue the one run of its chain; False where that is not all that it does."""
        runs = self._runs.get(chain)
        if runs is None:
            raise self._damage("the table of chains")
        longer = continued(runs, entry)
        if longer is None:
            return False
        runs[0] = longer
        self._changed_runs[entry.chain] = None
        return True

    def flush(self) -> None:
        """At the end of a transaction: write the head, where it lags too far behind. Raises ``DamagedStore``
        where the log could not be read again meanwhile: whoever passed over that cannot commit.
        """
        self._refresh()
        if self._must_flush or self._seq - self._seq_on_disk >= HEAD_LAG_MAX:
            self._write_head()

    def _write_head(self) -> None:
        self._db.write(
            "UPDATE shop SET log_id = ?, seq = ?, h = ?, crc = ? WHERE no = ?",
            (self._log_id, self._seq, self._h, checksum(self._log_id, self._seq, self._h), self._no),
        )
        self._seq_on_disk = self._seq
        self._head = self._head_on_disk()
        if self._changed_runs:
            self._db.update_many(
                "UPDATE chain SET runs = new.column2, crc = new.column3",
                "chain.no = new.column1",
                [self._chain_row(link) for link in self._changed_runs],
            )
        self._changed_runs = {}
        if self._changed_documents:
            self._db.update_many(
                "UPDATE document SET records = new.column2, records_bytes = new.column3,"
                " last_seq = new.column4, crc = new.column5",
                "document.no = new.column1",
                [self._document_row(name) for name in self._changed_documents],
            )
        self._changed_documents = {}
        self._must_flush = False

    def _chain_row(self, link: bytes) -> tuple[int, bytes, int]:
        number = self._chains[link]
        packed = _pack_runs(self._runs[number])
        return number, packed, chain_crc(link, packed)

    def _document_row(self, name: str) -> tuple[int, int, int, int, int]:
        totals = self._documents[name]
        row = totals.records, totals.records_bytes, totals.last_seq
        return (totals.no, *row, checksum(name, *row))

    def disown(self) -> None:
        """The shop was never created: from now on the log raises ``KeyError``."""
        self._no = self._base = -1
        self._generation = -1
        self._head = None

    def end_writing(self) -> None:
        """The transaction ended, either way."""
        self._enlisted = False

    # -- the numbers of names -----------------------------------------------------------------------------

    def _chain_no(self, link: bytes) -> int | None:
        number = self._chains.get(link)
        if number is None:
            found = self._db.row(
                "SELECT no, runs, crc FROM chain WHERE shop = ? AND link = ?", (self._no, link)
            )
            if found is None:
                return None
            number = self._read_chain(link, *found)
        return number

    def _add_chain(self, link: bytes) -> int:
        number = self._chain_no(link)
        if number is None:
            found = self._db.row(
                "INSERT INTO chain VALUES (NULL, ?, ?, ?, ?) RETURNING no",
                (self._no, link, b"", chain_crc(link, b"")),
            )
            number = self._read_chain(link, _number(found), b"", chain_crc(link, b""))
        return number

    def _read_chain(self, link: bytes, number: int, packed: bytes, crc: int) -> int:
        if chain_crc(link, packed) != crc:
            raise self._damage(f"what is held of chain {link.hex()}")
        if number not in self._runs:
            self._runs[number] = _unpack_runs(link, packed)
        self._chains[link] = number
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
            self._own()  # Where that is lost, its number is free, and our own rows would seem to be theirs.
            found = self._db.row("INSERT INTO origin VALUES (NULL, ?, ?, 0) RETURNING no", (self._no, log_id))
            number = self._origins[log_id] = _number(found)
        return number

    def _totals(self, name: str) -> Totals | None:
        totals = self._documents.get(name)
        if totals is None:
            found = self._db.row(
                "SELECT no, records, records_bytes, last_seq, crc FROM document WHERE shop = ? AND name = ?",
                (self._no, name),
            )
            if found is None:
                return None
            self._trust(found[4], f"the totals of {name}", name, *found[1:4])
            totals = self._documents[name] = Totals(*found[:4])
        return totals

    def _add_document(self, name: str) -> Totals:
        totals = self._totals(name)
        if totals is None:
            found = self._db.row(
                "INSERT INTO document VALUES (NULL, ?, ?, 0, 0, 0, ?) RETURNING no",
                (self._no, name, checksum(name, 0, 0, 0)),
            )
            totals = self._documents[name] = Totals(_number(found), 0, 0, 0)
        return totals


def _pack_runs(runs: list[Run]) -> bytes:
    return b"".join(_RUN.pack(run.lo, run.hi, run.lo_prev, run.hi_link) for run in runs)


def _unpack_runs(chain: bytes, packed: bytes) -> list[Run]:
    return [Run(chain, lo, lo_prev, hi, hi_link) for lo, hi, lo_prev, hi_link in _RUN.iter_unpack(packed)]


def _number(found: Row | None) -> int:
    if found is None:
        raise DamagedStore("a number that the store gave is not there", hint=SALVAGE)
    return int(found[0])
