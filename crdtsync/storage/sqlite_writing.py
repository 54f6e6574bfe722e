"""Appending to a shop's log in SQLite."""

from __future__ import annotations

from crdtsync.ids import EntryFacts, Item, next_hash
from crdtsync.storage.checksums import row_crc
from crdtsync.storage.runs import add_entry, covers
from crdtsync.storage.schema import SEQ_BITS
from crdtsync.storage.sqlite_rows import Rows

_RECORD = "INSERT INTO record"


class Writing(Rows):
    """The writing half of ``ShopLog``, but for packs, compaction and what is known of peers."""

    def append(self, item: Item) -> int | None:
        """Append one record; its seq, or None when it is held already."""
        self._begin_writing()
        entry, record, digest = item.entry, item.record, item.digest
        seq = self._seq + 1
        chain: int | None = None
        n: int | None = None
        prev: bytes | None = None
        if entry is not None:
            chain = self._add_chain(entry.chain)
            if not self._add_to_runs(chain, entry):
                return None
            n, prev = entry.n, entry.prev
        else:
            if self._update_seq(digest) is not None:
                return None
            self._db.write("INSERT INTO held_update VALUES (?, ?, ?)", (self._no, digest, seq))
        if seq >> SEQ_BITS:
            raise OverflowError("a log of 2^40 records is full")
        self._seq = seq
        totals = self._grow(item.document, len(record))
        origin, origin_seq = self._filed_under(item)
        h = next_hash(self._h, record)
        pos = self._base + seq
        crc = row_crc(pos, totals.no, chain, n, origin, origin_seq, digest, prev, h, record)
        self._db.defer(_RECORD, (pos, totals.no, chain, n, origin, origin_seq, crc, digest, prev, h, record))
        self._h = h
        self._file(seq, totals.no, chain, n, origin)
        return seq

    @property
    def hash_appended(self) -> bytes:
        """Right after ``append``, in the same transaction: the running hash after that record."""
        return self._h

    def rotate_log_id(self, log_id: bytes) -> None:
        """Go on under a new log id: what peers acknowledged under the old one counts no more."""
        self._begin_writing()
        self._log_id = log_id
        self._write_head()

    def void_origin(self, log_id: bytes) -> None:
        """Forget that records came from that log, and forget its cursor."""
        self._begin_writing()
        self._origins.pop(log_id, None)
        self._db.write(
            "UPDATE origin SET void = 1 WHERE shop = ? AND log_id = ? AND void = 0", (self._no, log_id)
        )
        self._db.write("DELETE FROM cursor WHERE shop = ? AND log_id = ?", (self._no, log_id))
        self._cursors.pop(log_id, None)
        self._db.write("DELETE FROM refusal_given WHERE shop = ? AND log_id = ?", (self._no, log_id))

    def _filed_under(self, item: Item) -> tuple[int, int]:
        if item.origin is None:
            return self._own_origin or self._own(), 0
        log_id = item.origin.log_id
        return self._origins.get(log_id) or self._add_origin(log_id), item.origin.seq

    def _update_seq(self, digest: bytes) -> int | None:
        found = self._db.row("SELECT seq FROM held_update WHERE shop = ? AND digest = ?", (self._no, digest))
        return found[0] if found else None

    # -- runs ---------------------------------------------------------------------------------------------

    def _add_to_runs(self, chain: int, entry: EntryFacts) -> bool:
        """False if the entry is held already."""
        if self._continue_run(chain, entry):
            return True
        runs = self._runs[chain]
        if covers(runs, entry.n) and entry.link in [link for _, link, _ in self._entries_at(chain, entry.n)]:
            return False
        gone, new = add_entry(
            runs, entry, lambda n: [(link, prev) for _, link, prev in self._entries_at(chain, n)]
        )
        for run in gone:
            runs.remove(run)
        runs.extend(new)
        self._changed_runs[entry.chain] = None
        self._must_flush = True
        return True
