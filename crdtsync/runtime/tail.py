"""The newest rows of a log in memory, so that a commit reaches every connection without a read from disk."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from crdtsync.ids import Origin, Position
from crdtsync.storage.log import Batch


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


class Tail:
    """A bounded stretch of consecutive rows up to the end of a log. What lies before is read from disk."""

    def __init__(self, end: Position, bytes_max: int) -> None:
        self.end = end
        self._start = end
        self._rows: deque[Row] = deque()
        self._bytes = 0
        self._bytes_max = bytes_max

    def extend(self, start: Position, rows: list[Row]) -> None:
        """Add the rows of one commit, after ``start``. A gap (another process wrote) empties the tail."""
        if start.seq != self.end.seq:
            self.clear()
            self._start = start
        self._rows.extend(rows)
        self._bytes += sum(len(row.record) for row in rows)
        self.end = Position(rows[-1].seq, rows[-1].h) if rows else self.end
        while self._bytes > self._bytes_max:
            row = self._rows.popleft()
            self._bytes -= len(row.record)
            self._start = Position(row.seq, row.h)

    def clear(self) -> None:
        """Forget the rows; they are read from disk."""
        self._rows.clear()
        self._bytes, self._start = 0, self.end

    def read(self, after: int, *, bytes_max: int, skip_origin: Origin | None) -> Batch | None:
        """Rows after seq ``after`` as ``ShopLog.read`` gives them, or None if the disk has to be asked."""
        if after < self._start.seq or after >= self.end.seq:
            return None
        offset = after - self._start.seq
        before = self._rows[offset - 1] if offset else None
        start = Position(before.seq, before.h) if before else self._start
        records: list[tuple[int, bytes]] = []
        size, to = 0, start
        for index in range(offset, len(self._rows)):
            row = self._rows[index]
            if not _is_from(row.origin, skip_origin):
                if records and size + len(row.record) > bytes_max:
                    break
                records.append((row.seq, row.record))
                size += len(row.record)
            to = Position(row.seq, row.h)
        return Batch(start, to, tuple(records), size)


def _is_from(origin: Origin | None, log: Origin | None) -> bool:
    return origin is not None and log is not None and origin.log_id == log.log_id and origin.seq <= log.seq
