"""Setting damaged rows apart, so that the rest of a log works and what was lost is fetched again.

What is written here is found out anew from the rows that are whole; that costs the length of the chains and
documents concerned, and happens only after damage.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from collections.abc import Iterable
from typing import Final

from crdtsync.errors import DamagedStore
from crdtsync.ids import (
    LINK_BYTES,
    ZERO_HASH,
    EntryFacts,
    Origin,
    Position,
    next_hash,
    record_digest,
)
from crdtsync.storage import pack_columns
from crdtsync.storage.checksums import checksum, pack_crc, row_crc
from crdtsync.storage.database import Row
from crdtsync.storage.log import Apart, id_after_damage
from crdtsync.storage.pack import encode_pack
from crdtsync.storage.pack_columns import PackColumns
from crdtsync.storage.runs import runs_of
from crdtsync.storage.schema import SEQ_BITS, SEQ_MAX
from crdtsync.storage.sqlite_peers import Peers
from crdtsync.storage.sqlite_shelf import PackPlace

_NUMBERS: Final = 1 << 62


class Mending(Peers):
    """The part of ``ShopLog`` that deals with damage."""

    def set_damaged_apart(self, seq: int, at_ms: int) -> bool:
        """See ``ShopLog.set_damaged_apart``. Raises ``DamagedStore`` where even the place of the row is
        lost.
        """
        self._begin_mending()
        if not 1 <= seq <= self._seq:
            raise ValueError(f"the log ends at {self._seq}, there is no record {seq}")
        self._must_flush = True
        place = self._shelf.find(self._no, seq)
        if place is not None:
            self._shelf.forget(place)  # What was unpacked before says nothing of the disk.
            if self._is_readable(place):
                return self._mend_hashes(place)
            self._set_pack_apart(place, at_ms)
        else:
            row = self._loose_row(seq)
            if row is not None and self._is_whole(row):
                return False
            self._set_row_apart(seq, row, at_ms)
        self._be_another_log(seq, at_ms)
        return True

    def _begin_mending(self) -> None:
        if not self._db.in_transaction:
            raise RuntimeError("a log is written inside Store.transaction() only")
        self._mends = True
        try:
            self._load()
        finally:
            self._mends = False
        self._begin_writing()

    def begin_anew(self, log_id: bytes) -> None:
        """See ``ShopLog.begin_anew``."""
        self._begin_writing()
        self._log_id = log_id
        self._write_head()
        self._meet_nobody()

    # -- one row ----------------------------------------------------------------------------------------

    def _set_row_apart(self, seq: int, row: Row | None, at_ms: int) -> None:
        pos = self._base + seq
        stretch = self._db.row(
            "SELECT pos, document, chain, n, origin FROM stretch WHERE pos > ? AND pos <= ?"
            " ORDER BY pos DESC LIMIT 1",
            (self._base, pos),
        )
        if stretch is None:
            raise self._damaged(seq)
        first, document, chain, first_n, origin = stretch
        n = None if first_n is None else first_n + pos - first
        found = row[10] if row is not None and isinstance(row[10], bytes) else b""
        h = (
            row[9]
            if row is not None and isinstance(row[9], bytes) and len(row[9]) == LINK_BYTES
            else ZERO_HASH
        )
        origin_seq = row[5] if row is not None and row[4] == origin else 0
        if found:
            reason = f"record {seq} was damaged on this disk"
            self._put_apart(
                Apart(
                    found,
                    record_digest(found),
                    self._origin(origin, origin_seq),
                    "damaged",
                    reason,
                    False,
                    at_ms,
                )
            )
        crc = row_crc(pos, document, chain, n, origin, origin_seq, ZERO_HASH, None, h, None)
        self._db.write(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (pos, document, chain, n, origin, origin_seq, crc, ZERO_HASH, None, h, None),
        )
        self._forget_updates(seq, seq)
        if chain is None:
            self._forget_updates_without_bytes(document)
        self._count_again([document])
        self._follow_again([chain] if chain is not None else [])

    # -- one pack ---------------------------------------------------------------------------------------

    def _is_readable(self, place: PackPlace) -> bool:
        return self._columns_or_none(place) is not None and bool(self._whole_records(place))

    def _set_pack_apart(self, place: PackPlace, at_ms: int) -> None:
        columns = self._columns_or_none(place)
        chains, documents = self._filed_in(place, "chain"), self._filed_in(place, "document")
        if columns is None and not documents:  # It is not where it was put: nothing says what is missing.
            raise self._damaged(place.first)
        self._put_damaged_pack_apart(place, at_ms)
        count = place.last - place.first + 1
        if self._hashes_or_none(place) is None:
            self._write_hashes(place, ZERO_HASH * count)
        self._empty_pack(place, columns or _unknown_columns(count, documents[0], self._own()))
        self._forget_updates(place.first, place.last)
        for document in documents:
            self._forget_updates_without_bytes(document)
        self._count_again(documents)
        self._follow_again(chains)

    def _columns_or_none(self, place: PackPlace) -> PackColumns | None:
        try:
            return self._shelf.columns(place)
        except DamagedStore:
            return None

    def _hashes_or_none(self, place: PackPlace) -> bytes | None:
        try:
            return self._shelf.hashes(place)
        except DamagedStore:
            return None

    def _filed_in(self, place: PackPlace, what: str) -> list[int]:
        found = self._db.rows(f"SELECT {what} FROM pack_{what} WHERE pos = ?", (place.pos,))  # noqa: S608
        return [number for (number,) in found]

    def _put_damaged_pack_apart(self, place: PackPlace, at_ms: int) -> None:
        found = self._db.row("SELECT bytes FROM pack WHERE pos = ?", (place.pos,))
        if found is not None and found[0]:
            digest = hashlib.sha256(found[0]).digest()
            reason = f"the pack of records {place.first} to {place.last} was damaged on this disk"
            self._put_apart(Apart(found[0], digest, None, "damaged", reason, False, at_ms))

    def _empty_pack(self, place: PackPlace, columns: PackColumns) -> None:
        h_before = self._hash(place.first - 1)
        h = self._shelf.hash_at(place, place.last)
        blob = encode_pack([], first=place.first, last=place.last)
        crc = pack_crc(place.pos, place.last, h_before, h, blob)
        self._db.write(
            "UPDATE pack SET crc = ?, h_before = ?, h = ?, columns = ?, bytes = ? WHERE pos = ?",
            (crc, h_before, h, pack_columns.encode(columns), blob, place.pos),
        )

    def _mend_hashes(self, place: PackPlace) -> bool:
        """Hash the records again, if their hashes are damaged; after a row whose bytes are gone nothing is
        known until the pack ends. False if there was nothing to mend.
        """
        if self._hashes_or_none(place) is not None:
            return False
        h: bytes | None = self._hash(place.first - 1)
        hashes = []
        for record in self._shelf.records(place):
            h = next_hash(h, record) if h is not None and record is not None else None
            hashes.append(h or ZERO_HASH)
        hashes[-1] = self._shelf.blob(place).to.h
        self._write_hashes(place, b"".join(hashes))
        return True

    def _write_hashes(self, place: PackPlace, hashes: bytes) -> None:
        checksum = zlib.crc32(hashes).to_bytes(4, "big")
        self._db.write("INSERT OR REPLACE INTO pack_hashes VALUES (?, ?)", (place.pos, checksum + hashes))

    # -- what follows from a loss -----------------------------------------------------------------------

    def _origin(self, number: int, seq: int) -> Origin | None:
        found = self._db.row("SELECT log_id FROM origin WHERE no = ?", (number,))
        return Origin(found[0], seq) if found is not None and found[0] is not None else None

    def _forget_updates(self, first: int, last: int) -> None:
        self._db.write(
            "DELETE FROM held_update WHERE shop = ? AND seq BETWEEN ? AND ?", (self._no, first, last)
        )

    def _forget_updates_without_bytes(self, document: int) -> None:
        """Of a document that lost a record: what a state replaced may have been in that state alone."""
        rows = self._db.rows(
            "SELECT pos FROM record WHERE document = ? AND bytes IS NULL AND pos BETWEEN ? AND ?",
            (document, self._base, self._base + SEQ_MAX),
        )
        seqs = [pos - self._base for (pos,) in rows]
        for place in self._shelf.with_document(document):
            columns = self._columns_or_none(place)
            for at, record in enumerate(self._whole_records(place)):
                if record is None and columns is not None and columns.documents[at] == document:
                    seqs.append(place.first + at)
        self._db.write(
            "DELETE FROM held_update WHERE shop = ? AND seq IN (SELECT value FROM json_each(?))",
            (self._no, json.dumps(seqs)),
        )

    def _count_again(self, documents: Iterable[int]) -> None:
        for number in documents:
            name = str(self._named("document", "name", number))
            found = self._db.row(
                "SELECT count(bytes), total(length(bytes)), max(pos) FROM record"
                " WHERE document = ? AND pos BETWEEN ? AND ?",
                (number, self._base, self._base + (1 << SEQ_BITS)),
            )
            if found is None:
                raise AssertionError("an aggregate gives one row")
            records, size = found[0], int(found[1])
            last_seq = found[2] - self._base if found[2] is not None else 0
            for place in self._shelf.with_document(number):
                columns = self._columns_or_none(place)
                for at, record in enumerate(self._whole_records(place)):
                    if columns is not None and columns.documents[at] == number:
                        last_seq = max(last_seq, place.first + at)
                        records += record is not None
                        size += len(record or b"")
            self._set_totals(name, number, records, size, last_seq)

    def _whole_records(self, place: PackPlace) -> list[bytes | None]:
        try:
            return self._shelf.records(place)
        except DamagedStore:
            return []

    def _follow_again(self, chains: Iterable[int]) -> None:
        for number in chains:
            link: bytes = self._named("chain", "link", number)
            entries = []
            for place in self._shelf.with_chain(number, 0, _NUMBERS):
                columns = self._columns_or_none(place)
                for at, record in enumerate(self._whole_records(place)):
                    if columns is not None and record is not None and columns.chains[at] == number:
                        prev, digest = self._shelf.prev(place, at), record_digest(record)
                        entries.append(EntryFacts(link, columns.ns[at], prev, digest, "", ""))
            for _, seq in self._loose_places(number, 0, _NUMBERS):
                row = self._loose_row(seq)
                if row is not None and row[2] == number and self._is_whole(row) and row[10] is not None:
                    entries.append(EntryFacts(link, row[3], row[8], row[7], "", ""))
            self._chains[link] = number
            self._runs[number] = runs_of(entries)
            self._changed_runs[link] = None

    def _be_another_log(self, seq: int, at_ms: int) -> None:
        """A log that no peer has met, and that has met none."""
        before = self._log_id
        self._log_id = id_after_damage(before, seq, Position(self._seq, self._h), at_ms)
        self._write_head()
        self._meet_nobody()
        known = self._db.rows(
            "SELECT log_id, seq, h, at_ms, crc FROM acknowledged WHERE shop = ? AND our_log_id = ?",
            (self._no, before),
        )
        for log_id, acknowledged, h, said_ms, crc in known:
            if checksum(log_id, before, acknowledged, h, said_ms) == crc:
                self.set_acknowledged(log_id, Position(acknowledged, h), said_ms)

    def _meet_nobody(self) -> None:
        self._db.write("DELETE FROM cursor WHERE shop = ?", (self._no,))
        self._cursors.clear()
        self._db.write("UPDATE origin SET void = 1 WHERE shop = ? AND log_id IS NOT NULL", (self._no,))
        self._origins.clear()
        self._db.write("DELETE FROM refusal_given WHERE shop = ?", (self._no,))


def _unknown_columns(count: int, document: int, origin: int) -> PackColumns:
    zeros = array("q", [0]) * count
    return PackColumns(array("q", [document]) * count, zeros, zeros, array("q", [origin]) * count, zeros, {})
