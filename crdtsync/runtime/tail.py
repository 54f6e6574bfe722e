"""The newest rows of a log in memory, so that a commit reaches every connection without a read from disk."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from crdtsync.ids import Origin, Position, next_hash
from crdtsync.protocol.limits import BATCH_BYTES
from crdtsync.storage.log import Batch, ShopLog


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number, the running hash after it, its bytes, where it came from (None: made here)."""

    seq: int
    h: bytes
    record: bytes
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Growth:
    """What one commit added to one shop's log after ``start``.

    ``admitted_anew``: logs some of whose held records came in. ``unchecked``: seqs of entries that only later
    ones vouch for so far (``runtime.upkeep`` checks them). ``documents``: those that received Yjs updates.
    """

    shop: bytes
    start: Position
    rows: list[Row]
    admitted_anew: frozenset[bytes] = frozenset()
    unchecked: tuple[int, ...] = ()
    documents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Shared:
    """The last answer in which nothing was skipped: it is the same for every peer whose log is not in it."""

    batch: Batch
    bytes_max: int
    logs: frozenset[bytes]

    def fits(self, after: int, bytes_max: int, skip_origin: Origin | None) -> bool:
        return (
            after == self.batch.start.seq
            and bytes_max == self.bytes_max
            and (skip_origin is None or skip_origin.log_id not in self.logs)
        )


class Tail:
    """A bounded stretch of consecutive rows up to the end of a log. What lies before is read from disk."""

    def __init__(self, end: Position, bytes_max: int) -> None:
        self.end = self._start = end
        self._bytes_max = bytes_max
        self._rows: list[Row] = []
        self._sizes = [0]
        self._shared: _Shared | None = None
        self._log_id = b""

    def belong_to(self, log_id: bytes) -> None:
        """The log has this id now. If it had another one, a row may have been damaged on the disk and set
        apart: who was sent it from memory, as a row of the new log, would never give it back.
        """
        if log_id != self._log_id:
            self._log_id = log_id
            self.clear()

    def extend(self, start: Position, rows: list[Row]) -> None:
        """Add the rows of one commit, after ``start``. A gap (another process wrote) empties the tail."""
        if not rows:
            return
        self._shared = None
        if start.seq != self.end.seq:
            self.end = start
            self.clear()
        sizes, size = self._sizes, self._sizes[-1]
        for row in rows:
            size += len(row.record)
            sizes.append(size)
        self._rows += rows
        self.end = Position(rows[-1].seq, rows[-1].h)
        if size - sizes[0] > 2 * self._bytes_max:
            self._forget(bisect_left(sizes, size - self._bytes_max))

    def clear(self) -> None:
        """Forget the rows; they are read from disk."""
        self._start = self.end
        self._rows = []
        self._sizes = [0]
        self._shared = None

    def read(self, after: int, *, bytes_max: int, skip_origin: Origin | None) -> Batch | None:
        """Rows after seq ``after`` as ``ShopLog.read`` gives them, or None if the disk has to be asked."""
        if after < self._start.seq or after >= self.end.seq:
            return None
        if self._shared is not None and self._shared.fits(after, bytes_max, skip_origin):
            return self._shared.batch
        lo = after - self._start.seq
        before = self._rows[lo - 1] if lo else None
        start = Position(before.seq, before.h) if before else self._start
        # Skipped rows count as well here: a frame may be smaller for it, which costs nothing.
        hi = max(lo + 1, bisect_right(self._sizes, self._sizes[lo] + bytes_max) - 1)
        rows = self._rows[lo:hi]
        if skip_origin is None:
            records = tuple([(row.seq, row.record) for row in rows])
        else:
            log_id, seq = skip_origin.log_id, skip_origin.seq
            records = tuple(
                [
                    (row.seq, row.record)
                    for row in rows
                    if (origin := row.origin) is None or origin.log_id != log_id or origin.seq > seq
                ]
            )
        to = Position(rows[-1].seq, rows[-1].h)
        batch = Batch(start, to, records, sum([len(record) for _, record in records]))
        if len(records) == len(rows):
            logs = frozenset([row.origin.log_id for row in rows if row.origin is not None])
            self._shared = _Shared(batch, bytes_max, logs)
        return batch

    def _forget(self, count: int) -> None:
        row = self._rows[count - 1]
        self._start = Position(row.seq, row.h)
        del self._rows[:count], self._sizes[:count]


def read_on(log: ShopLog, rows: list[Row], start: Position) -> bytes:
    """Add what a log has beyond ``rows``, which follow ``start`` without a gap; the running hash at its end.

    Inside a transaction: for what was appended past the committer, a compacted state say. With a row missing
    among the others, these would be sent under wrong hashes, and who lags a commit would miss some of them.
    """
    known, end = Position(rows[-1].seq, rows[-1].h) if rows else start, log.end
    while known.seq < end.seq:
        batch = log.read(known.seq, bytes_max=BATCH_BYTES)
        h = known.h
        for seq, record in batch.records:
            h = next_hash(h, record)
            rows.append(Row(seq, h, record, None))
        known = batch.to
    return known.h
