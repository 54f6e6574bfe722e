"""Checking a whole log: every row, and that everything kept beside the rows follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from crdtsync.errors import DamagedStore
from crdtsync.ids import ENTRY, ZERO_HASH, next_hash, record_digest
from crdtsync.storage.database import Row
from crdtsync.storage.schema import SEQ_MAX
from crdtsync.storage.sqlite_peers import Peers
from crdtsync.storage.sqlite_rows import ROW
from crdtsync.storage.sqlite_shelf import PackPlace


@dataclass(slots=True)
class _Walk:
    """What was seen of the rows so far. ``h`` is the running hash where it is known (damage that was mended
    may have cost it: then zeros stand for it).
    """

    seq: int = 0
    h: bytes | None = ZERO_HASH
    entries: Counter[int] = field(default_factory=Counter)
    """By chain."""
    origins: set[int] = field(default_factory=set)
    records: Counter[int] = field(default_factory=Counter)
    records_bytes: Counter[int] = field(default_factory=Counter)
    """By document."""


class Checking(Peers):
    """The part of a log in SQLite that checks it."""

    def check(self) -> Iterator[DamagedStore]:
        """Every damage that can be found, as an error that is yielded, not raised. Reads everything, in one
        snapshot: writers go on meanwhile, but nothing of the WAL can be given back.
        """
        with self._db.snapshot():
            try:
                self._refresh()
            except DamagedStore as damage:
                # Without the head nothing can be compared; the rows themselves can.
                yield damage
            walk = _Walk()
            packs = self._shelf.of_shop(self._no)
            for place in packs:
                yield from self._check_pack(place, walk)
            yield from self._check_loose(walk)
            if self._generation == self._db.generation:
                yield from self._check_totals(walk)
                yield from self._check_chains(walk)
            yield from self._check_origins(walk)
            yield from self._check_small()

    # -- rows -------------------------------------------------------------------------------------------

    def _check_pack(self, place: PackPlace, walk: _Walk) -> Iterator[DamagedStore]:
        if place.first != walk.seq + 1:
            yield self._damaged(walk.seq + 1)
        walk.seq = place.last
        try:
            records, columns = self._shelf.records(place), self._shelf.columns(place)
            hashes, pack = self._shelf.hashes(place), self._shelf.blob(place)
        except DamagedStore as damage:
            yield damage
            walk.h = None
            return
        if walk.h is not None and pack.start.h != walk.h:
            yield self._damaged(place.first)
        walk.h = pack.start.h
        for at, record in enumerate(records):
            h = hashes[32 * at : 32 * at + 32]
            if record is not None and not _follows(walk.h, record, h):
                yield self._damaged(place.first + at, columns.documents[at])
            walk.h = None if h == ZERO_HASH else h
            self._count_row(walk, columns.documents[at], columns.chains[at], record)
        walk.origins |= set(columns.origins)
        if walk.h not in (None, pack.to.h) or not self._is_filed(place):
            yield self._damaged(place.first)

    def _is_filed(self, place: PackPlace) -> bool:
        columns = self._shelf.columns(place)
        spans: dict[int, tuple[int, int]] = {}
        for chain, n in zip(columns.chains, columns.ns, strict=True):
            lo, hi = spans.get(chain, (n, n))
            spans[chain] = (min(lo, n), max(hi, n))
        spans.pop(0, None)
        rows = self._db.rows("SELECT chain, lo, hi FROM pack_chain WHERE pos = ?", (place.pos,))
        documents = self._db.rows("SELECT document FROM pack_document WHERE pos = ?", (place.pos,))
        origins = self._db.rows("SELECT origin FROM pack_origin WHERE pos = ?", (place.pos,))
        return (
            {chain: (lo, hi) for chain, lo, hi in rows} == spans
            and {number for (number,) in documents} == set(columns.documents)
            and {number for (number,) in origins} == set(columns.origins)
        )

    def _check_loose(self, walk: _Walk) -> Iterator[DamagedStore]:
        stretches = iter(
            self._db.rows(
                "SELECT pos, document, chain, n, origin FROM stretch WHERE pos BETWEEN ? AND ? ORDER BY pos",
                (self._base, self._base + SEQ_MAX),
            )
        )
        stretch, after = next(stretches, None), next(stretches, None)
        for row in self._db.each(
            f"SELECT {ROW} FROM record WHERE pos BETWEEN ? AND ? ORDER BY pos",  # noqa: S608
            (self._base, self._base + SEQ_MAX),
        ):
            seq = row[0] - self._base
            if seq != walk.seq + 1:
                yield self._damaged(walk.seq + 1)
            walk.seq = seq
            if after is not None and after[0] <= row[0]:
                stretch, after = after, next(stretches, None)
            if not self._is_whole(row) or not _is_in(stretch, row) or not self._fits(walk, row):
                yield self._damaged(seq, row[1])
            walk.h = None if row[9] == ZERO_HASH else row[9]
            self._count_row(walk, row[1], row[2] or 0, row[10])
            walk.origins.add(row[4])
        if self._generation == self._db.generation and walk.seq != self._seq:
            yield self._damaged(walk.seq + 1)

    def _fits(self, walk: _Walk, row: Row) -> bool:
        """Whether hash and digest are those of the bytes."""
        record = row[10]
        if record is None:
            return True
        digest: bytes = row[7]
        return _follows(walk.h, record, row[9]) and record_digest(record) == digest

    def _count_row(self, walk: _Walk, document: int, chain: int, record: bytes | None) -> None:
        if record is not None:
            walk.records[document] += 1
            walk.records_bytes[document] += len(record)
            walk.entries[chain] += record[:1] == ENTRY

    # -- what is kept beside the rows ---------------------------------------------------------------------

    def _check_totals(self, walk: _Walk) -> Iterator[DamagedStore]:
        numbers = self._db.rows("SELECT no, name FROM document WHERE shop = ?", (self._no,))
        try:
            totals = {row.name: row for row in self.documents()}
        except DamagedStore as damage:
            yield damage
            return
        for number, name in numbers:
            known = totals.get(name)
            held = (known.records, known.records_bytes) if known else (0, 0)
            if held != (walk.records.pop(number, 0), walk.records_bytes[number]):
                yield self._damage(f"the totals of {name}")
        if walk.records:
            yield self._damage("the list of documents")

    def _check_chains(self, walk: _Walk) -> Iterator[DamagedStore]:
        for link, *stored in self._db.rows(
            "SELECT link, no, runs, crc FROM chain WHERE shop = ?", (self._no,)
        ):
            try:
                number = self._read_chain(link, *stored)
                runs = self._runs[number]
                found = all(run.hi_link in self.links_at(link, run.hi) for run in runs)
            except DamagedStore as damage:
                yield damage
                continue
            if not found or sum(run.hi - run.lo + 1 for run in runs) != walk.entries[number]:
                yield self._damage(f"what is held of chain {link.hex()}")

    def _check_origins(self, walk: _Walk) -> Iterator[DamagedStore]:
        rows = self._db.rows("SELECT no, log_id FROM origin WHERE shop = ?", (self._no,))
        if not walk.origins <= {number for number, _ in rows} or not any(log is None for _, log in rows):
            yield self._damage("where records came from")

    def _check_small(self) -> Iterator[DamagedStore]:
        reads: list[tuple[str, str, Callable[[bytes], object]]] = [
            ("cursor", "log_id", self.cursor),
            ("acknowledged", "log_id", self.acknowledged),
            ("refusal_given", "log_id", self.refusals_given),
            ("refusal_received", "log_id", self.refusals_received),
            ("state", "CAST(key AS BLOB)", lambda key: self.state(key.decode())),
            ("request", "CAST(id AS BLOB)", lambda key: self.request(key.decode())),
        ]
        for table, column, read in reads:
            sql = f"SELECT DISTINCT {column} FROM {table} WHERE shop = ?"  # noqa: S608
            for (key,) in self._db.rows(sql, (self._no,)):
                try:
                    read(key)
                except (DamagedStore, UnicodeDecodeError) as damage:
                    yield damage if isinstance(damage, DamagedStore) else self._damage(table)
        try:
            self.apart()
        except DamagedStore as damage:
            yield damage


def _follows(before: bytes | None, record: bytes, h: bytes) -> bool:
    """Whether ``h`` is the running hash after a record, as far as that can be told."""
    return before is None or h == ZERO_HASH or next_hash(before, record) == h


def _is_in(stretch: Row | None, row: Row) -> bool:
    """Whether a row belongs to the stretch that it lies in."""
    if stretch is None or stretch[0] > row[0]:
        return False
    pos, document, chain, n, origin = stretch
    expected = (document, chain, n + row[0] - pos if n is not None else None, origin)
    fits: bool = row[1:5] == expected
    return fits
