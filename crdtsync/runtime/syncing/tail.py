"""The newest rows of a log in memory, so that a commit reaches every connection without a read from disk."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from crdtsync.ids import Origin, Position, next_hash
from crdtsync.protocol.limits import BATCH_BYTES
from crdtsync.protocol.slab import Portion, Slab
from crdtsync.storage.log import Batch, ShopLog


@dataclass(slots=True)
class Row:
    """One row: its number, the running hash after it, its bytes, where it came from (None: made here). Never
    changed; not frozen because one is made for every row that is stored.
    """

    seq: int
    h: bytes
    record: bytes
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Growth:
    """What one commit added to one shop's log after ``start``.

    ``admitted_anew``: logs some of whose held records came in, or were here already: then there may be no
    rows. ``unchecked``: seqs of entries that only later ones vouch for so far (``committing.upkeep`` checks
    them). ``documents``: those that received Yjs updates.
    """

    shop: bytes
    start: Position
    rows: list[Row]
    admitted_anew: frozenset[bytes] = frozenset()
    unchecked: tuple[int, ...] = ()
    documents: frozenset[str] = frozenset()


PASSED_ROWS_MIN = 64
PASSED_MAX = 64
"""Of commits that brought so many rows, all from one other log, the newest so many are remembered as such."""

ANSWERS_MAX = 8
"""Stretches that are kept encoded: who keeps up reads the newest ones, a frame each."""


class _Answer:
    """Some rows, encoded once: for every peer the same but for what came from its own log."""

    def __init__(self, start: Position, rows: list[Row]) -> None:
        self.start, self.to = start, Position(rows[-1].seq, rows[-1].h)
        self._slab = Slab(rows[0].seq, [row.record for row in rows])
        self._size = sum([len(row.record) for row in rows])
        self._came: dict[bytes, list[tuple[int, int]]] = {}
        for place, row in enumerate(rows):
            if row.origin is not None:
                self._came.setdefault(row.origin.log_id, []).append((place, row.origin.seq))
        self._whole = Batch(start, self.to, Portion(self._slab), self._size)

    def without(self, skip: Origin | None) -> Batch:
        """The rows but for those that came from that log, up to that number in it."""
        came = self._came.get(skip.log_id) if skip is not None else None
        if skip is None or came is None:
            return self._whole
        left_out = [place for place, seq in came if seq <= skip.seq]
        records = self._slab.records
        size = self._size - sum([len(records[place]) for place in left_out])
        return Batch(self.start, self.to, Portion(self._slab, left_out), size)


@dataclass(frozen=True, slots=True)
class _Passed:
    """What one commit added, all of it from one other log, where its last number is ``last``."""

    start: Position
    to: Position
    log_id: bytes
    last: int


def _from_one_log(start: Position, rows: list[Row]) -> _Passed | None:
    if len(rows) < PASSED_ROWS_MIN or rows[0].origin is None:
        return None
    log_id, last = rows[0].origin.log_id, 0
    for row in rows:
        origin = row.origin
        if origin is None or origin.log_id != log_id:
            return None
        last = max(last, origin.seq)
    return _Passed(start, Position(rows[-1].seq, rows[-1].h), log_id, last)


class Tail:
    """A bounded stretch of consecutive rows up to the end of a log. What lies before is read from disk."""

    def __init__(self, end: Position, bytes_max: int) -> None:
        self.end = self._start = end
        self._bytes_max = bytes_max
        self._rows: list[Row] = []
        self._sizes = [0]
        self._answers: dict[tuple[int, int], _Answer] = {}
        self._passed: dict[int, _Passed] = {}
        self._log_id = b""
        self._looked_seq = -1

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
        self._answers.clear()
        if start.seq != self.end.seq:
            self.end = start
            self.clear()
        if (passed := _from_one_log(start, rows)) is not None:
            self._passed[start.seq] = passed
            if len(self._passed) > PASSED_MAX:
                del self._passed[next(iter(self._passed))]
        sizes, size = self._sizes, self._sizes[-1]
        for row in rows:
            size += len(row.record)
            sizes.append(size)
        self._rows += rows
        self.end = Position(rows[-1].seq, rows[-1].h)
        if size - sizes[0] > 2 * self._bytes_max:
            self._forget(bisect_left(sizes, size - self._bytes_max))

    def let_go(self) -> bool:
        """Keep nothing encoded: who needs it has it. Nor the rows, if none has come since the last time: who
        still lags has other things in its way than a read from disk. Whether it is quiet for the first time.
        """
        self._answers = {}
        is_quiet, self._looked_seq = self.end.seq == self._looked_seq, self.end.seq
        has_rows = self._start is not self.end
        if is_quiet and has_rows:
            self.clear()
        return is_quiet and has_rows

    def clear(self) -> None:
        """Forget the rows; they are read from disk."""
        self._start = self.end
        self._rows = []
        self._sizes = [0]
        self._answers = {}
        self._passed = {}

    def bytes_after(self, after: int) -> int:
        """How much is kept of the rows after seq ``after``."""
        return self._sizes[-1] - self._sizes[max(0, after - self._start.seq)]

    def read(self, after: int, *, bytes_max: int, skip_origin: Origin | None) -> Batch | None:
        """Rows after seq ``after`` as ``ShopLog.read`` gives them, or None if the disk has to be asked."""
        to = self.passed(after, skip_origin)
        if to is not None:
            return Batch(self._passed[after].start, to, (), 0)
        if after < self._start.seq or after >= self.end.seq:
            return None
        answer = self._answers.get((after, bytes_max))
        if answer is None:
            lo = after - self._start.seq
            before = self._rows[lo - 1] if lo else None
            start = Position(before.seq, before.h) if before else self._start
            # Skipped rows count as well here: a frame may be smaller for it, which costs nothing.
            hi = max(lo + 1, bisect_right(self._sizes, self._sizes[lo] + bytes_max) - 1)
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            answer = self._answers[after, bytes_max] = _Answer(start, self._rows[lo:hi])
        return answer.without(skip_origin)

    def passed(self, after: int, skip: Origin | None) -> Position | None:
        """How far rows after seq ``after`` came from that log, up to that number in it, where that is known
        of the commits that brought them, also when their bytes are long forgotten; None where it is not. Who
        fetches thousands of rows need not read them from disk again to find that they are no news.
        """
        found = None
        while skip is not None and (passed := self._passed.get(found.seq if found else after)) is not None:
            if passed.log_id != skip.log_id or passed.last > skip.seq:
                break
            found = passed.to
        return found

    def _forget(self, count: int) -> None:
        row = self._rows[count - 1]
        self._start = Position(row.seq, row.h)
        del self._rows[:count], self._sizes[:count]


def read_on(log: ShopLog, rows: list[Row], start: Position) -> None:
    """Add what a log has beyond ``rows``, which follow ``start`` without a gap.

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
