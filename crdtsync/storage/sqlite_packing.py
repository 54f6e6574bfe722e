"""Packing and compacting a shop's log in SQLite."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence

from crdtsync.ids import Item, Position, next_hash
from crdtsync.storage import pack_columns
from crdtsync.storage.checksums import row_crc
from crdtsync.storage.database import Row
from crdtsync.storage.log import LOOSE_BEFORE_PACK_MAX, PreparedPack, Run
from crdtsync.storage.pack import (
    PACK_BYTES_MAX,
    ROWS_MAX,
    decode_pack,
    encode_pack,
    pack_interval,
    renumbered,
)
from crdtsync.storage.pack_columns import PackColumns, PackedRow
from crdtsync.storage.runs import arrivals, with_arrivals
from crdtsync.storage.schema import SEQ_BITS
from crdtsync.storage.sqlite_check import Checking
from crdtsync.storage.sqlite_heads import RECOUNTED, Totals
from crdtsync.storage.sqlite_mending import Mending
from crdtsync.storage.sqlite_rows import ROW
from crdtsync.storage.sqlite_shelf import UNPACKED_BYTES_MAX, NewPack, PackPlace
from crdtsync.storage.sqlite_writing import Writing


class SqliteLog(Writing, Mending, Checking):
    """``ShopLog`` in SQLite."""

    def pack(self, rows_max: int, keep_after: int) -> bool:
        """Pack the oldest ``rows_max`` unpacked rows, or as many as fill a pack by their bytes. False where
        there are not that many up to seq ``keep_after``.
        """
        self._begin_writing()
        new = self.prepare_pack(rows_max, keep_after)
        return new is not None and self.store_pack(new)

    def prepare_pack(self, rows_max: int, keep_after: int, *, rows_min: int | None = None) -> NewPack | None:
        """The slow half of ``pack``, which needs no transaction: compress, unpack again, compare."""
        if not 1 <= rows_max <= ROWS_MAX:
            raise ValueError(f"a pack has 1 to {ROWS_MAX} rows, not {rows_max}")
        with self._db.snapshot():
            self._refresh()
            first = self._shelf.last(self._no) + 1
            last = min(self._seq, keep_after, first + rows_max - 1)
            rows = self._rows_to_pack(first, last)
            if not rows:
                return None
            h_before = self.hash_at(first - 1) or b""
            filled = len(rows) < last - first + 1
            last = first + len(rows) - 1
            if len(rows) < (rows_min or rows_max) and not filled:
                return None
            fingerprint = self._fingerprint(first, last)
        records = [(row[0] - self._base, row[10]) for row in rows if row[10] is not None]
        blob = encode_pack(records, first=first, last=last)
        if decode_pack(blob, bytes_max=UNPACKED_BYTES_MAX) != records:
            raise AssertionError("a pack does not give back what was packed")
        columns = pack_columns.from_rows(
            (PackedRow(row[1], row[2] or 0, row[3] or 0, row[4], row[5], row[8]), row[7]) for row in rows
        )
        hashes = b"".join(row[9] for row in rows)
        packed = pack_columns.encode(columns)
        return NewPack(first, last, blob, columns, packed, hashes, h_before, fingerprint)

    def store_pack(self, prepared: PreparedPack) -> bool:
        """The quick half of ``pack``. False if the rows changed since, which then stay as they are."""
        self._begin_writing()
        if not isinstance(prepared, NewPack):
            raise TypeError("this pack was prepared by another store")
        new = prepared
        if self._shelf.last(self._no) + 1 != new.first:
            return False
        if self._fingerprint(new.first, new.last) != new.fingerprint:
            return False
        self._write_head()
        self._shelf.put(self._no, new)
        self._db.write(
            "DELETE FROM record WHERE pos BETWEEN ? AND ?", (self._base + new.first, self._base + new.last)
        )
        self._cut_stretches(new.last)
        return True

    def append_pack(self, blob: bytes, items: Sequence[Item]) -> list[Position] | None:
        """See ``ShopLog.append_pack``. Raises ``MalformedRecord`` for bytes that are no pack."""
        self._begin_writing()
        first, last = pack_interval(blob)
        arrived = arrivals(item.entry for item in items if item.entry is not None)
        if not items or last - first + 1 != len(items) or not self._are_new(items, arrived):
            return None
        if not self._pack_all_loose():
            return None
        self._take_runs(arrived)
        positions = self._count_items(items)
        first, last = positions[0].seq, positions[-1].seq
        columns = self._columns_of(items)
        packed, hashes = pack_columns.encode(columns), b"".join([position.h for position in positions])
        new = NewPack(first, last, renumbered(blob, first), columns, packed, hashes, self._h, (0, 0, 0))
        self._seq, self._h = last, positions[-1].h
        self._open = None
        self._write_head()
        self._shelf.put(self._no, new)
        return positions

    def _are_new(self, items: Sequence[Item], arrived: Mapping[bytes, Sequence[Run]]) -> bool:
        updates = [item.digest for item in items if item.entry is None]
        if len(set(updates)) < len(updates) or any(self._update_seq(one) is not None for one in updates):
            return False
        for link, runs in arrived.items():
            number = self._chain_no(link)
            if with_arrivals(self._runs[number] if number is not None else (), runs) is None:
                return False
        return True

    def _pack_all_loose(self) -> bool:
        """Pack what is not packed yet; False where that is too much to be done within a transaction."""
        count = self._seq - self._shelf.last(self._no)
        if count > LOOSE_BEFORE_PACK_MAX:
            return False
        if count:
            new = self.prepare_pack(count, self._seq)
            if new is None or new.last != self._seq or not self.store_pack(new):
                return False
        return True

    def _take_runs(self, arrived: Mapping[bytes, Sequence[Run]]) -> None:
        for link, arriving in arrived.items():
            number = self._add_chain(link)
            runs = with_arrivals(self._runs[number], arriving)
            if runs is None:
                raise AssertionError("these entries were found to be new")
            self._runs[number] = runs
            self._changed_runs[link] = None

    def _count_items(self, items: Sequence[Item]) -> list[Position]:
        """Count appended records in the totals of their documents; the position after each."""
        h = self._h
        if self._seq + len(items) >> SEQ_BITS:
            raise OverflowError("a log of 2^40 records is full")
        positions = []
        counts: dict[str, list[int]] = {}
        """By document: records, their bytes, the last seq."""
        for seq, item in enumerate(items, self._seq + 1):
            record = item.record
            h = next_hash(h, record)
            positions.append(Position(seq, h))
            count = counts.get(item.document)
            if count is None:
                count = counts[item.document] = [0, 0, 0]
            count[0] += 1
            count[1] += len(record)
            count[2] = seq
        for name, (records, size, last_seq) in counts.items():
            totals = self._add_document(name)
            totals.records += records
            totals.records_bytes += size
            totals.last_seq = last_seq
            self._changed_documents[name] = None
        updates = [
            (self._no, item.digest, position.seq)
            for item, position in zip(items, positions, strict=True)
            if item.entry is None
        ]
        if updates:
            self._db.insert_many("INSERT INTO held_update", updates)
        return positions

    def _columns_of(self, items: Sequence[Item]) -> PackColumns:
        documents = {item.document: 0 for item in items}
        for name in documents:
            documents[name] = self._add_document(name).no
        filed = [self._filed_under(item) for item in items]
        chains, ns, prevs = array("q"), array("q"), dict[int, bytes]()
        last_links: dict[int, bytes] = {}
        for place, item in enumerate(items):
            entry = item.entry
            if entry is None:
                chains.append(0)
                ns.append(0)
                continue
            chain = self._chains[entry.chain]
            chains.append(chain)
            ns.append(entry.n)
            if last_links.get(chain) != entry.prev:
                prevs[place] = entry.prev
            last_links[chain] = item.digest
        return PackColumns(
            array("q", [documents[item.document] for item in items]),
            chains,
            ns,
            array("q", [origin for origin, _ in filed]),
            array("q", [origin_seq for _, origin_seq in filed]),
            prevs,
        )

    def compact(self, state: Item, replaces: Sequence[int]) -> int:
        """Append a compacted state of a document and drop the bytes of the rows that it replaces.

        Raises ``ValueError`` if one of them is an entry, or of another document.
        """
        self._begin_writing()
        if state.entry is not None:
            raise ValueError("a compacted state is not an entry")
        totals = self._add_document(state.document)
        loose, packed = self._rows_to_replace(totals.no, sorted(set(replaces)))
        seq = self.append(state)
        if seq is None:
            seq = self._update_seq(state.digest)
            recounted = int.from_bytes(self.state(RECOUNTED) or b"", "big")
            self.set_state(RECOUNTED, (recounted + 1).to_bytes(8, "big"))
        if seq is None or seq in replaces:
            raise ValueError("a compacted state cannot replace itself")
        self._changed_documents[state.document] = None
        self._must_flush = True
        for row in loose:
            self._drop_bytes(row, totals)
        for place, seqs in packed.items():
            records = self._shelf.records(place)
            totals.records -= len(seqs)
            totals.records_bytes -= sum(len(records[gone - place.first] or b"") for gone in seqs)
            self._shelf.drop_bytes(place, seqs)
        return seq

    def _rows_to_pack(self, first: int, last: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        for row in self._db.each(
            f"SELECT {ROW} FROM record WHERE pos BETWEEN ? AND ? ORDER BY pos",  # noqa: S608
            (self._base + first, self._base + last),
        ):
            if row[0] != self._base + first + len(rows):
                raise self._damaged(first + len(rows))
            size += len(self._checked(row) or b"")
            if rows and size > PACK_BYTES_MAX:
                break
            rows.append(row)
        return rows

    def _fingerprint(self, first: int, last: int) -> tuple[int, int, int]:
        found = self._db.row(
            "SELECT count(*), count(bytes), total(crc) FROM record WHERE pos BETWEEN ? AND ?",
            (self._base + first, self._base + last),
        )
        if found is None:
            raise AssertionError("an aggregate gives one row")
        return (found[0], found[1], int(found[2]))

    def _rows_to_replace(
        self, document: int, seqs: Sequence[int]
    ) -> tuple[list[Row], dict[PackPlace, list[int]]]:
        loose: list[Row] = []
        packed: defaultdict[PackPlace, list[int]] = defaultdict(list)
        for seq in seqs:
            row = self._loose_row(seq)
            if row is not None:
                found, chain = row[1], row[2]
                if self._checked(row) is not None:
                    loose.append(row)
            else:
                place = self._shelf.find(self._no, seq)
                if place is None:
                    raise ValueError(f"there is no record {seq} to replace")
                columns, number = self._shelf.columns(place), seq - place.first
                found, chain = columns.documents[number], columns.chains[number]
                if self._shelf.records(place)[number] is not None:
                    packed[place].append(seq)
            if chain or found != document:
                raise ValueError(f"a state replaces updates of its own document only, not record {seq}")
        return loose, packed

    def _drop_bytes(self, row: Row, totals: Totals) -> None:
        pos, document, chain, n, origin, origin_seq, _, digest, prev, h, record = row
        crc = row_crc(pos, document, chain, n, origin, origin_seq, digest, prev, h, None)
        self._db.write("UPDATE record SET bytes = NULL, crc = ? WHERE pos = ?", (crc, pos))
        totals.records -= 1
        totals.records_bytes -= len(record)
