"""``ShopLog`` in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crdtsync.ids import ZERO_HASH, EntryFacts, Item, Origin, Position, next_hash, record_digest
from crdtsync.storage.log import (
    LOOSE_BEFORE_PACK_MAX,
    ROWS_SCANNED_MAX,
    Apart,
    Batch,
    DocumentRow,
    Interval,
    PackRow,
    PreparedPack,
    Run,
    id_after_damage,
)
from crdtsync.storage.memory_peers import MemoryPeers
from crdtsync.storage.memory_tables import Head, MemoryRow, OriginKey
from crdtsync.storage.pack import (
    PACK_BYTES_MAX,
    ROWS_MAX,
    decode_pack,
    encode_pack,
    pack_interval,
    renumbered,
)
from crdtsync.storage.runs import (
    add_entry,
    arrivals,
    by_place,
    continued,
    covers,
    inside,
    merged,
    runs_of,
    with_arrivals,
)

_UNPACKED_BYTES_MAX: Final = 256 << 20
_OWN: Final[OriginKey] = (None, 0)


@dataclass(frozen=True, slots=True)
class _PreparedRows(PreparedPack):
    """A prepared pack with its rows, which must still be the same."""

    rows: tuple[tuple[int, bytes | None], ...]


class MemoryLog(MemoryPeers):
    """The log of one shop on a ``MemoryDisk``, as one handle sees it."""

    # -- reading ----------------------------------------------------------------------------------------

    def hash_at(self, seq: int) -> bytes | None:
        """See ``ShopLog.hash_at``."""
        return self._hash_at(seq)

    def read(
        self,
        after: int,
        *,
        bytes_max: int,
        skip_origin: Origin | None = None,
        covered: Mapping[bytes, Sequence[Interval]] | None = None,
    ) -> Batch:
        """See ``ShopLog.read``."""
        head = self._head()
        h = self._hash_at(after)
        if h is None:
            raise ValueError(f"the log ends at {head.seq}, nothing can be read after {after}")
        skipped, skipped_to = (
            (None, 0) if skip_origin is None else (self._origin(skip_origin.log_id), skip_origin.seq)
        )
        cover = {chain: merged(intervals) for chain, intervals in (covered or {}).items()}
        start = to = Position(after, h)
        records: list[tuple[int, bytes]] = []
        size = 0
        for seq in range(after + 1, min(head.seq, after + ROWS_SCANNED_MAX) + 1):
            row = self._row(seq)
            record = row.record
            is_theirs = row.origin == skipped and row.origin_seq <= skipped_to
            if record is not None and not is_theirs and not _is_covered(cover, row):
                if records and size + len(record) > bytes_max:
                    break
                records.append((seq, record))
                size += len(record)
            to = Position(seq, row.h)
        return Batch(start, to, tuple(records), size)

    def origin_of(self, seq: int) -> Origin | None:
        """See ``ShopLog.origin_of``."""
        row = self._row(seq)
        log_id = row.origin[0]
        return None if log_id is None else Origin(log_id, row.origin_seq)

    def pack_at(self, seq: int, *, skip_origin: Origin | None = None) -> PackRow | None:
        """See ``ShopLog.pack_at``."""
        if not 1 <= seq <= self._head().packed:
            return None
        firsts = sorted(first for first, _ in self._tables.packs.items(self._inside))
        pack = self._tables.packs.get(firsts[bisect_right(firsts, seq) - 1], self._inside)
        if pack is not None and skip_origin is not None:
            origin = self._origin(skip_origin.log_id)
            rows = map(self._row_or_none, range(pack.start.seq + 1, pack.to.seq + 1))
            if all(row and row.origin == origin and row.origin_seq <= skip_origin.seq for row in rows):
                return None
        return pack

    def holds(self, digest: bytes, chain: bytes | None = None, n: int | None = None) -> bool:
        """See ``ShopLog.holds``."""
        if chain is None or n is None:
            return self._tables.updates.get(digest, self._inside) is not None
        return digest in self.links_at(chain, n)

    def entry(self, chain: bytes, n: int) -> tuple[bytes, ...]:
        """See ``ShopLog.entry``."""
        return tuple(sealed for _, sealed in self.chain_entries(chain, n, n))

    def links_at(self, chain: bytes, n: int) -> list[bytes]:
        """See ``ShopLog.links_at``."""
        return [self._row(seq).digest for seq in self._seqs_at(chain, n)]

    def chain_entries(self, chain: bytes, lo: int, hi: int) -> Iterator[tuple[int, bytes]]:
        """See ``ShopLog.chain_entries``."""
        numbers: set[int] = set()
        for run in self._runs(chain):
            numbers.update(range(max(run.lo, lo), min(run.hi, hi) + 1))
        seqs = [seq for n in sorted(numbers) for seq in self._seqs_at(chain, n)]
        return ((seq, record[1:]) for seq, record in self._fetch(seqs))

    def document_records(self, document: str) -> Iterator[tuple[int, bytes]]:
        """See ``ShopLog.document_records``."""
        totals = self._tables.documents.get(document, self._inside)
        last = totals.last_seq if totals else 0
        return self._fetch([seq for seq in range(1, last + 1) if self._row(seq).document == document])

    def document_seqs(self, document: str) -> list[int]:
        """See ``ShopLog.document_seqs``."""
        return [seq for seq, _ in self.document_records(document)]

    def documents(self) -> list[DocumentRow]:
        """See ``ShopLog.documents``."""
        return sorted(
            (row for _, row in self._tables.documents.items(self._inside)), key=lambda row: row.name
        )

    def document(self, name: str) -> DocumentRow | None:
        """See ``ShopLog.document``."""
        return self._tables.documents.get(name, self._inside)

    def document_before(self, name: str) -> str | None:
        """See ``ShopLog.document_before``."""
        return max((row.name for row in self.documents() if row.name < name), default=None)

    def runs(self, chain: bytes | None = None) -> list[Run]:
        """See ``ShopLog.runs``."""
        if chain is not None:
            return sorted(self._runs(chain), key=by_place)
        return sorted(
            (run for _, runs in self._tables.runs.items(self._inside) for run in runs), key=by_place
        )

    # -- writing ----------------------------------------------------------------------------------------

    def append(self, item: Item) -> int | None:
        """See ``ShopLog.append``."""
        self._begin_writing()
        tables, entry, record = self._tables, item.entry, item.record
        head = self._head()
        seq = head.seq + 1
        chain: bytes | None = None
        n, prev = 0, b""
        if entry is not None:
            if not self._add_to_runs(entry):
                return None
            chain, n, prev = entry.chain, entry.n, entry.prev
            tables.numbers.put((chain, n), (*(tables.numbers.get((chain, n), True) or ()), seq))
        else:
            if tables.updates.get(item.digest, True) is not None:
                return None
            tables.updates.put(item.digest, seq)
        h = next_hash(head.h, record)
        origin = self._origin(item.origin.log_id) if item.origin is not None else _OWN
        origin_seq = item.origin.seq if item.origin is not None else 0
        tables.rows.put(
            seq, MemoryRow(record, item.document, item.digest, chain, n, prev, origin, origin_seq, h)
        )
        tables.head.put("", Head(head.log_id, seq, h, head.packed))
        self._count(item.document, 1, len(record), seq)
        return seq

    def rotate_log_id(self, log_id: bytes) -> None:
        """See ``ShopLog.rotate_log_id``."""
        self._begin_writing()
        self._tables.head.put("", self._head()._replace(log_id=log_id))

    def pack(self, rows_max: int, keep_after: int) -> bool:
        """See ``ShopLog.pack``."""
        self._begin_writing()
        prepared = self.prepare_pack(rows_max, keep_after)
        return prepared is not None and self.store_pack(prepared)

    def prepare_pack(
        self, rows_max: int, keep_after: int, *, rows_min: int | None = None
    ) -> PreparedPack | None:
        """See ``ShopLog.prepare_pack``."""
        if not 1 <= rows_max <= ROWS_MAX:
            raise ValueError(f"a pack has 1 to {ROWS_MAX} rows, not {rows_max}")
        head = self._head()
        first, size = head.packed + 1, 0
        last = min(head.seq, keep_after, head.packed + rows_max)
        rows: list[tuple[int, bytes | None]] = []
        for seq in range(first, last + 1):
            record = self._row(seq).record
            size += len(record or b"")
            if rows and size > PACK_BYTES_MAX:
                break
            rows.append((seq, record))
        if not rows or (len(rows) < (rows_min or rows_max) and size <= PACK_BYTES_MAX):
            return None
        records = [(seq, record) for seq, record in rows if record is not None]
        blob = encode_pack(records, first=first, last=rows[-1][0])
        if decode_pack(blob, bytes_max=_UNPACKED_BYTES_MAX) != records:
            raise AssertionError("a pack does not give back what was packed")
        return _PreparedRows(first, rows[-1][0], blob, tuple(rows))

    def store_pack(self, prepared: PreparedPack) -> bool:
        """See ``ShopLog.store_pack``."""
        self._begin_writing()
        head = self._head()
        if not isinstance(prepared, _PreparedRows):
            raise TypeError("this pack was prepared by another store")
        unchanged = all(self._row(seq).record is record for seq, record in prepared.rows)
        if head.packed + 1 != prepared.first or not unchanged:
            return False
        self._put_pack(prepared.first, prepared.last, prepared.blob)
        self._tables.head.put("", head._replace(packed=prepared.last))
        return True

    def append_pack(self, blob: bytes, items: Sequence[Item]) -> list[Position] | None:
        """See ``ShopLog.append_pack``."""
        self._begin_writing()
        first, last = pack_interval(blob)
        updates = [item.digest for item in items if item.entry is None]
        if not items or last - first + 1 != len(items) or len(set(updates)) < len(updates):
            return None
        arrived = arrivals(item.entry for item in items if item.entry is not None)
        if any(with_arrivals(self._runs(chain), runs) is None for chain, runs in arrived.items()):
            return None
        if any(self._tables.updates.get(digest, True) is not None for digest in updates):
            return None
        head = self._head()
        loose = [self._row(seq).record or b"" for seq in range(head.packed + 1, head.seq + 1)]
        if len(loose) > LOOSE_BEFORE_PACK_MAX or (len(loose) > 1 and sum(map(len, loose)) > PACK_BYTES_MAX):
            return None
        if loose:
            self._put_pack(head.packed + 1, head.seq, self._packed(head.packed + 1, head.seq))
        for item in items:
            self.append(item)
        end = self._head()
        self._put_pack(head.seq + 1, end.seq, renumbered(blob, head.seq + 1))
        self._tables.head.put("", end._replace(packed=end.seq))
        return [Position(seq, self._row(seq).h) for seq in range(head.seq + 1, end.seq + 1)]

    def set_damaged_apart(self, seq: int, at_ms: int) -> bool:
        """See ``ShopLog.set_damaged_apart``. Of a pack, the rows that are damaged are set apart here."""
        self._begin_writing()
        row = self._row_or_none(seq)
        if row is None:
            raise ValueError(f"the log ends at {self._head().seq}, there is no record {seq}")
        if not row.damaged or row.record is None:
            return False
        pack = self.pack_at(seq)
        if pack is None:
            self._set_row_apart(seq, row, at_ms)
        else:
            for other in range(pack.start.seq + 1, pack.to.seq + 1):
                packed = self._row_or_none(other)
                if packed is not None and packed.damaged:
                    self._set_row_apart(other, packed, at_ms)
            self._put_pack(pack.start.seq + 1, pack.to.seq, self._packed(pack.start.seq + 1, pack.to.seq))
        self._be_another_log(seq, at_ms)
        return True

    def _set_row_apart(self, seq: int, row: MemoryRow, at_ms: int) -> None:
        record = row.record or b""
        log_id = row.origin[0]
        origin = Origin(log_id, row.origin_seq) if log_id is not None else None
        found = b"?" + record[1:]
        digest = record_digest(found)
        tables, reason = self._tables, f"record {seq} was damaged on this disk"
        tables.apart.put(digest, Apart(found, digest, origin, "damaged", reason, False, at_ms))
        tables.rows.put(seq, row._replace(record=None, damaged=False))
        self._count(row.document, -1, -len(record), 0)
        if row.chain is None:
            self._forget_updates_without_bytes(row.document)
        else:
            tables.runs.put(row.chain, tuple(self._runs_without(row.chain, row.digest)))
            left = tuple(held for held in self._seqs_at(row.chain, row.n) if held != seq)
            tables.numbers.put((row.chain, row.n), left)

    def _forget_updates_without_bytes(self, document: str) -> None:
        for seq, row in self._tables.rows.items(True):
            gone = row.document == document and row.record is None
            if gone and self._tables.updates.get(row.digest, True) == seq:
                self._tables.updates.put(row.digest, None)

    def _be_another_log(self, seq: int, at_ms: int) -> None:
        before = self.log_id
        self.begin_anew(id_after_damage(before, seq, self.end, at_ms))
        for log_id, (ours, acknowledged) in list(self._tables.acknowledged.items(True)):
            if ours == before:
                self._tables.acknowledged.put(log_id, (self.log_id, acknowledged))

    def begin_anew(self, log_id: bytes) -> None:
        """See ``ShopLog.begin_anew``."""
        self.rotate_log_id(log_id)
        met = {row.origin[0] for _, row in self._tables.rows.items(True)}
        met.update(peer for peer, _ in self._tables.cursors.items(True))
        for peer in met:
            if peer is not None:
                self.void_origin(peer)
        for peer, _ in list(self._tables.given.items(True)):
            self._tables.given.put(peer, None)

    def _runs_without(self, chain: bytes, link: bytes) -> list[Run]:
        numbers = {n for run in self._runs(chain) for n in range(run.lo, run.hi + 1)}
        rows = [self._row_or_none(seq) for n in numbers for seq in self._seqs_at(chain, n)]
        return runs_of(
            EntryFacts(chain, row.n, row.prev, row.digest, row.document, "")
            for row in rows
            if row is not None and row.digest != link
        )

    def compact(self, state: Item, replaces: Sequence[int]) -> int:
        """See ``ShopLog.compact``."""
        self._begin_writing()
        if state.entry is not None:
            raise ValueError("a compacted state is not an entry")
        gone = [(seq, self._row_or_none(seq)) for seq in sorted(set(replaces))]
        for seq, row in gone:
            if row is None:
                raise ValueError(f"there is no record {seq} to replace")
            if row.chain is not None or row.document != state.document:
                raise ValueError(f"a state replaces updates of its own document only, not record {seq}")
        new = self.append(state) or self._tables.updates.get(state.digest, True)
        if new is None or new in replaces:
            raise ValueError("a compacted state cannot replace itself")
        packs: dict[int, PackRow] = {}
        for seq, row in gone:
            if row is None or row.record is None:
                continue
            self._tables.rows.put(seq, row._replace(record=None))
            self._count(state.document, -1, -len(row.record), 0)
            pack = self.pack_at(seq)
            if pack is not None:
                packs[pack.to.seq] = pack
        for pack in packs.values():
            first = pack.start.seq + 1
            self._put_pack(first, pack.to.seq, self._packed(first, pack.to.seq))
        return new

    # -- parts ------------------------------------------------------------------------------------------

    def _runs(self, chain: bytes) -> tuple[Run, ...]:
        return self._tables.runs.get(chain, self._inside) or ()

    def _seqs_at(self, chain: bytes, n: int) -> tuple[int, ...]:
        return self._tables.numbers.get((chain, n), self._inside) or ()

    def _add_to_runs(self, entry: EntryFacts) -> bool:
        runs = self._tables.runs.get(entry.chain, True) or ()
        longer = continued(runs, entry)
        if longer is not None:
            self._tables.runs.put(entry.chain, (longer,))
            return True
        if covers(runs, entry.n) and entry.link in self.links_at(entry.chain, entry.n):
            return False
        gone, new = add_entry(runs, entry, self._entries_at(entry.chain))
        self._tables.runs.put(entry.chain, (*(run for run in runs if run not in gone), *new))
        return True

    def _entries_at(self, chain: bytes) -> Callable[[int], list[tuple[bytes, bytes]]]:
        def entries_at(n: int) -> list[tuple[bytes, bytes]]:
            rows = (self._row(seq) for seq in self._seqs_at(chain, n))
            return [(row.digest, row.prev) for row in rows]

        return entries_at

    def _count(self, document: str, records: int, records_bytes: int, seq: int) -> None:
        before = self._tables.documents.get(document, True) or DocumentRow(document, 0, 0, 0)
        self._tables.documents.put(
            document,
            DocumentRow(
                document,
                before.records + records,
                before.records_bytes + records_bytes,
                max(before.last_seq, seq),
            ),
        )

    def _packed(self, first: int, last: int) -> bytes:
        rows = ((seq, self._row(seq).record) for seq in range(first, last + 1))
        return encode_pack(
            [(seq, record) for seq, record in rows if record is not None], first=first, last=last
        )

    def _put_pack(self, first: int, last: int, blob: bytes) -> None:
        start, to = (Position(seq, self._hash_at(seq) or ZERO_HASH) for seq in (first - 1, last))
        self._tables.packs.put(first, PackRow(start, to, last - first + 1, blob))


def _is_covered(cover: Mapping[bytes, Sequence[Interval]], row: MemoryRow) -> bool:
    return row.chain is not None and row.chain in cover and inside(cover[row.chain], row.n)
