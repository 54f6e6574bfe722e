"""Reading a shop's log in SQLite: rows, packs, chains, documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain as chained

from crdtsync.errors import DamagedStore
from crdtsync.ids import LINK_BYTES, ZERO_HASH, Origin, Position, next_hash
from crdtsync.storage.log import ROWS_SCANNED_MAX, Batch, DocumentRow, Interval, PackRow, Run
from crdtsync.storage.runs import by_place, covers, inside, merged
from crdtsync.storage.sqlite_rows import CHAIN, DOCUMENT, ROW, Rows
from crdtsync.storage.sqlite_shelf import PackPlace, ints

_RowSeen = tuple[int, int, int, int, int, bytes, bytes | None]
"""seq, chain, n, origin, origin_seq, h, record."""


class Reading(Rows):
    """The reading half of ``ShopLog``, but for peers."""

    def hash_at(self, seq: int) -> bytes | None:
        """The running hash after record ``seq``; None beyond the end."""
        with self._db.snapshot():
            self._refresh()
            if seq == self._seq:
                return self._h
            if not 0 <= seq < self._seq:
                return None
            return self._hash(seq)

    def read(
        self,
        after: int,
        *,
        bytes_max: int,
        skip_origin: Origin | None = None,
        covered: Mapping[bytes, Sequence[Interval]] | None = None,
    ) -> Batch:
        """See ``ShopLog.read``. Raises ``ValueError`` for a seq beyond the end."""
        with self._db.snapshot():
            self._refresh()
            if not 0 <= after <= self._seq:
                raise ValueError(f"the log ends at {self._seq}, nothing can be read after {after}")
            skipped = self._origin_no(skip_origin.log_id) if skip_origin is not None else 0
            skipped_to = skip_origin.seq if skip_origin is not None else 0
            cover = self._cover(covered or {})
            start = to = Position(after, self._h if after == self._seq else self._hash(after))
            records: list[tuple[int, bytes]] = []
            size = 0
            last = after + ROWS_SCANNED_MAX
            while skipped and (past := self._skipped_packed(to.seq, last, skipped, skipped_to)) is not None:
                to = past
            if to.seq == last:
                return Batch(start, to, (), 0)
            for seq, chain, n, origin, origin_seq, h, record in self._rows_after(to.seq):
                skip = (
                    record is None
                    or (origin == skipped and origin_seq <= skipped_to)
                    or (chain in cover and inside(cover[chain], n))
                )
                if record is not None and not skip:
                    if records and size + len(record) > bytes_max:
                        break
                    records.append((seq, record))
                    size += len(record)
                to = Position(seq, h)
                if seq == last:
                    break
            return Batch(start, to, tuple(records), size)

    def origin_of(self, seq: int) -> Origin | None:
        """The place in another log that record ``seq`` came from; None where it was made here."""
        with self._db.snapshot():
            place = self._shelf.find(self._no, seq)
            if place is None:
                sql = "SELECT origin, origin_seq FROM record WHERE pos = ?"
                origin, origin_seq = self._db.row(sql, (self._base + seq,)) or (0, 0)
            else:
                columns = self._shelf.columns(place)
                origin, origin_seq = (
                    columns.origins[seq - place.first],
                    columns.origin_seqs[seq - place.first],
                )
            found = self._db.row("SELECT log_id FROM origin WHERE no = ?", (origin,))
        return Origin(found[0], origin_seq) if found and found[0] is not None else None

    def pack_at(self, seq: int, *, skip_origin: Origin | None = None) -> PackRow | None:
        """See ``ShopLog.pack_at``. Raises ``DamagedStore``."""
        with self._db.snapshot():
            place = self._shelf.find(self._no, seq)
            if place is None:
                return None
            origin = self._origin_no(skip_origin.log_id) if skip_origin is not None else 0
            if origin and skip_origin is not None and self._came_whole(place, origin, skip_origin.seq):
                return None
            return self._shelf.blob(place)

    def holds(self, digest: bytes, chain: bytes | None = None, n: int | None = None) -> bool:
        """Whether exactly this record is held in the log. For an entry give its chain and number."""
        if chain is None or n is None:
            found = self._db.row(
                "SELECT 1 FROM held_update WHERE shop = ? AND digest = ?", (self._no, digest)
            )
            return found is not None
        return digest in self.links_at(chain, n)

    def entry(self, chain: bytes, n: int) -> tuple[bytes, ...]:
        """The sealed entries held as number ``n`` of a chain, in the order in which they came."""
        with self._db.snapshot():
            found = (self._record(seq) for seq, _, _ in self._numbered(chain, n))
            return tuple(record[1:] for record in found if record is not None)

    def links_at(self, chain: bytes, n: int) -> list[bytes]:
        """The links of ``entry(chain, n)``."""
        with self._db.snapshot():
            return [link for _, link, _ in self._numbered(chain, n)]

    def chain_entries(self, chain: bytes, lo: int, hi: int) -> Iterator[tuple[int, bytes]]:
        """(seq, sealed) of the entries ``lo`` to ``hi`` of a chain, ascending by number."""
        with self._db.snapshot():
            self._refresh()
            number = self._chain_no(chain)
            places = self._places_in_chain(number, lo, hi) if number is not None else []
        places.sort()
        found = self._fetch((seq for _, seq in places), CHAIN, number or 0)
        return ((seq, record[1:]) for seq, record in found)

    def document_records(self, document: str) -> Iterator[tuple[int, bytes]]:
        """(seq, record) of one document, ascending by seq; what a state replaced is left out."""
        with self._db.snapshot():
            self._refresh()
            totals = self._totals(document)
            if totals is None:
                return iter(())
            number = totals.no
            packs = self._shelf.with_document(number)
            loose = self._loose_seqs("document", number)
        packed = (seq for place in packs for seq in self._packed_seqs(place, number))
        return self._fetch(chained(packed, loose), DOCUMENT, number)

    def document_seqs(self, document: str) -> list[int]:
        """The seqs of one document's records: from what its rows are found by, if that are as many as there
        are records, else from the records.
        """
        with self._db.snapshot():
            self._refresh()
            totals = self._totals(document)
            if totals is None:
                return []
            packs = self._shelf.with_document(totals.no)
            seqs = [seq for place in packs for seq in self._packed_seqs(place, totals.no)]
            seqs += self._loose_seqs("document", totals.no)
            if len(seqs) == totals.records:
                return seqs
        return [seq for seq, _ in self.document_records(document)]

    def documents(self) -> list[DocumentRow]:
        """All documents, by name."""
        with self._db.snapshot():
            self._refresh()
            rows = self._db.rows(
                "SELECT name, records, records_bytes, last_seq, crc FROM document WHERE shop = ?"
                " ORDER BY name",
                (self._no,),
            )
        for row in rows:
            self._trust(row[4], f"the totals of {row[0]}", *row[:4])
        found = {row[0]: DocumentRow(*row[:4]) for row in rows}
        for name in self._changed_documents:
            totals = self._documents[name]
            found[name] = DocumentRow(name, totals.records, totals.records_bytes, totals.last_seq)
        return [row for row in found.values() if row.last_seq]

    def document_before(self, name: str) -> str | None:
        """See ``ShopLog.document_before``."""
        sql = "SELECT name FROM document WHERE shop = ? AND name < ? ORDER BY name DESC LIMIT 1"
        with self._db.snapshot():
            while (found := self._db.row(sql, (self._no, name))) is not None:
                name = found[0]
                if self.document(name) is not None:
                    return name
        return None

    def document(self, name: str) -> DocumentRow | None:
        """One document; None while it has no records."""
        with self._db.snapshot():
            self._refresh()
            totals = self._totals(name)
        if totals is None or not totals.last_seq:
            return None
        return DocumentRow(name, totals.records, totals.records_bytes, totals.last_seq)

    def runs(self, chain: bytes | None = None) -> list[Run]:
        """The maximal runs of all chains or of one, by (chain, lo, hi_link)."""
        with self._db.snapshot():
            self._refresh()
            if chain is not None:
                number = self._chain_no(chain)
                return sorted(self._runs[number], key=by_place) if number is not None else []
            chains = self._db.rows("SELECT link, no, runs, crc FROM chain WHERE shop = ?", (self._no,))
            numbers = [self._read_chain(*row) for row in chains]
            return sorted((run for number in numbers for run in self._runs[number]), key=by_place)

    # -- parts --------------------------------------------------------------------------------------------

    def _hash(self, seq: int) -> bytes:
        """The running hash after a row that is there."""
        if seq == 0:
            return ZERO_HASH
        row = self._loose_row(seq)
        if row is not None:
            try:
                self._checked(row)
            except DamagedStore:
                if not self._is_hash_before(seq + 1, row[9]):
                    raise
            h: bytes = row[9]
            return h
        place = self._shelf.find(self._no, seq)
        if place is None:
            raise self._damaged(seq)
        return self._shelf.hash_at(place, seq)

    def _is_hash_before(self, seq: int, h: bytes) -> bool:
        """Whether the row ``seq`` confirms the running hash of the one before it, which is damaged."""
        row = self._loose_row(seq)
        try:
            record = self._checked(row) if row is not None else None
            return row is not None and record is not None and next_hash(h, record) == row[9]
        except (DamagedStore, TypeError):
            return False

    def _numbered(self, chain: bytes, n: int) -> list[tuple[int, bytes, bytes]]:
        self._refresh()
        number = self._chain_no(chain)
        if number is None or not covers(self._runs[number], n):
            return []
        return self._entries_at(number, n)

    def _rows_after(self, after: int) -> Iterator[_RowSeen]:
        """Rows in order, packed ones first. A seq that is missing is damage."""
        expected = after + 1
        while expected <= self._seq:
            place = self._shelf.find(self._no, expected)
            if place is None:
                break
            yield from self._packed_rows_from(place, expected)
            expected = place.last + 1
        if expected > self._seq:
            return
        rows = self._db.each(
            f"SELECT {ROW} FROM record WHERE pos BETWEEN ? AND ? ORDER BY pos",  # noqa: S608
            (self._base + expected, self._base + self._seq),
        )
        for row in rows:
            seq = row[0] - self._base
            if seq != expected:
                raise self._damaged(expected)
            record = self._checked(row)
            yield seq, row[2] or 0, row[3] or 0, row[4], row[5], row[9], record
            expected += 1
        if expected != self._seq + 1:
            raise self._damaged(expected)

    def _packed_rows_from(self, place: PackPlace, seq: int) -> Iterator[_RowSeen]:
        records, columns = self._shelf.records(place), self._shelf.columns(place)
        hashes = self._shelf.hashes(place)
        for number in range(seq - place.first, len(records)):
            yield (
                place.first + number,
                columns.chains[number],
                columns.ns[number],
                columns.origins[number],
                columns.origin_seqs[number],
                hashes[number * LINK_BYTES : (number + 1) * LINK_BYTES],
                records[number],
            )

    def _skipped_packed(self, after: int, last: int, origin: int, origin_seq_max: int) -> Position | None:
        """How far packed rows after that seq, up to ``last``, are skipped because their whole pack came from
        that origin, up to that seq. Nothing is unpacked for it: of history that comes in, each row would be.
        """
        place = self._shelf.find(self._no, after + 1) if after < last else None
        if place is None:
            return None
        if not self._came_whole(place, origin, origin_seq_max):
            return None
        seq = min(place.last, last)
        return Position(seq, self._shelf.hash_at(place, seq))

    def _came_whole(self, place: PackPlace, origin: int, origin_seq_max: int) -> bool:
        """Whether all rows of a pack came from that origin, up to that seq."""
        columns = self._shelf.columns(place)
        return (
            min(columns.origins) == max(columns.origins) == origin
            and max(columns.origin_seqs) <= origin_seq_max
        )

    def _cover(self, covered: Mapping[bytes, Sequence[Interval]]) -> dict[int, list[Interval]]:
        cover = {}
        for link, intervals in covered.items():
            number = self._chain_no(link)
            if number is not None and intervals:
                cover[number] = merged(intervals)
        return cover

    def _places_in_chain(self, chain: int, lo: int, hi: int) -> list[tuple[int, int]]:
        """(n, seq) of entries of a chain."""
        places = self._loose_places(chain, lo, hi)
        for place in self._shelf.with_chain(chain, lo, hi):
            columns = self._shelf.columns(place)
            places += [
                (n, place.first + number)
                for number, n in enumerate(columns.ns)
                if lo <= n <= hi and columns.chains[number] == chain
            ]
        return places

    def _packed_seqs(self, place: PackPlace, document: int) -> list[int]:
        return [place.first + number for number in ints(self._shelf.columns(place).documents, document)]
