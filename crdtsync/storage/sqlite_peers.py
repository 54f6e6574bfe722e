"""What a shop's log in SQLite knows of other logs: cursors, acknowledgements, refusals, records set apart."""

from __future__ import annotations

import heapq
import json
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain as chained
from typing import Final

from crdtsync.ids import Origin, Position
from crdtsync.storage.checksums import checksum
from crdtsync.storage.log import Acknowledged, Apart, ApartRow, Cursor, Interval, Refusal
from crdtsync.storage.sqlite_reading import Reading
from crdtsync.storage.sqlite_shelf import PackPlace

_INTERVAL: Final = struct.Struct(">QQ")
_REFUSAL: Final = "seq, digest, code, reason, held, crc"


class Peers(Reading):
    """The part of ``ShopLog`` that is about peers and small state."""

    def cursor(self, log_id: bytes) -> Cursor | None:
        """How far that log is held here. A damaged cursor is none: what it spared is fetched again."""
        if not self._is_read_once:
            return self._cursor_on_disk(log_id)
        if log_id not in self._cursors:
            self._cursors[log_id] = self._cursor_on_disk(log_id)
        return self._cursors[log_id]

    @property
    def _is_read_once(self) -> bool:
        """Whether small values need not be read again: a transaction has looked whether anybody else wrote,
        and if not, what was read before is on disk.
        """
        return self._db.in_transaction and self._generation == self._db.generation

    def _cursor_on_disk(self, log_id: bytes) -> Cursor | None:
        found = self._db.row(
            "SELECT seq, h, wanted, crc FROM cursor WHERE shop = ? AND log_id = ?", (self._no, log_id)
        )
        if found is None:
            return None
        seq, h, wanted, crc = found
        if checksum(log_id, seq, h, wanted) != crc:
            return None
        return Cursor(Position(seq, h), _unpack_intervals(wanted))

    def acknowledged(self, log_id: bytes) -> Acknowledged | None:
        """What that peer last acknowledged of our log under its present log id. If that is damaged, nothing:
        everything is pending until the peer says it again.
        """
        found = self._db.row(
            "SELECT a.our_log_id, a.seq, a.h, a.at_ms, a.crc FROM acknowledged AS a"
            " JOIN shop ON shop.no = a.shop AND shop.log_id = a.our_log_id WHERE a.shop = ? AND a.log_id = ?",
            (self._no, log_id),
        )
        if found is None or checksum(log_id, *found[:4]) != found[4]:
            return None
        return Acknowledged(Position(found[1], found[2]), found[3])

    def refusals_given(self, log_id: bytes) -> list[Refusal]:
        """What we did not admit of that peer's log, by seq."""
        return self._refusals("refusal_given", log_id)

    def refusals_received(self, log_id: bytes) -> list[Refusal]:
        """What that peer did not admit of our log, by seq."""
        return self._refusals("refusal_received", log_id)

    def unacknowledged(self, log_id: bytes | None) -> Iterator[tuple[int, bytes]]:
        """See ``ShopLog.unacknowledged``. Costs what lies beyond the acknowledgement, whatever the age of the
        log.

        The rows themselves are asked where they came from, not the tables that they are found by: these have
        no checksums, and what they had lost would count as safe.
        """
        with self._db.snapshot():
            self._refresh()
            after = self._acknowledged_seq(log_id)
            refused: list[int] = []
            origin = 0
            if log_id is not None:
                origin = self._origin_no(log_id)
                refused = [refusal.seq for refusal in self.refusals_received(log_id)]
                refused = [seq for seq in refused if 1 <= seq <= self._seq]
            packs = self._shelf.beyond(self._no, after)
            loose = self._loose_not_from(origin, max(after, self._shelf.last(self._no)))
        packed = (seq for place in packs for seq in self._packed_not_from(place, origin, after))
        return self._fetch(_distinct(heapq.merge(refused, chained(packed, loose))))

    def apart(self) -> list[Apart]:
        """Everything that was set apart here, oldest first."""
        rows = self._db.rows(
            "SELECT bytes, digest, log_id, log_seq, code, reason, held, at_ms, bytes_crc FROM apart"
            " WHERE shop = ? ORDER BY no",
            (self._no,),
        )
        return [self._as_apart(*row) for row in rows]

    def apart_counts(self) -> dict[tuple[str, bool], int]:
        """See ``ShopLog.apart_counts``. O(records set apart)."""
        rows = self._db.rows(
            "SELECT code, held, count(*) FROM apart WHERE shop = ? GROUP BY code, held", (self._no,)
        )
        return {(code, bool(held)): count for code, held, count in rows}

    def apart_rows(self) -> list[ApartRow]:
        """See ``ShopLog.apart_rows``. O(records set apart)."""
        rows = self._db.rows(
            "SELECT code, held, log_id, log_seq, at_ms FROM apart WHERE shop = ? ORDER BY no", (self._no,)
        )
        return [
            ApartRow(code, bool(held), Origin(log_id, seq) if log_id is not None else None, at_ms)
            for code, held, log_id, seq, at_ms in rows
        ]

    def apart_bytes(self, log_id: bytes) -> int:
        """How many bytes of records that came from that peer's log are set apart. O(records set apart)."""
        found = self._db.row(
            "SELECT total(length(bytes)) FROM apart WHERE shop = ? AND log_id = ?", (self._no, log_id)
        )
        return int(found[0]) if found is not None else 0

    def state(self, key: str) -> bytes | None:
        """A value kept beside the log."""
        is_known = self._is_read_once
        if is_known and key in self._states:
            return self._states[key]
        found = self._db.row("SELECT value, crc FROM state WHERE shop = ? AND key = ?", (self._no, key))
        value: bytes | None = None
        if found is not None:
            self._trust(found[1], f"the value of {key}", key, found[0])
            value = found[0]
        if is_known:
            self._states[key] = value
        return value

    def request(self, request_id: str) -> tuple[bytes, int] | None:
        """(link, seq) of the entry that was made for that request, if it was."""
        found = self._db.row(
            "SELECT link, seq, crc FROM request WHERE shop = ? AND id = ?", (self._no, request_id)
        )
        if found is None:
            return None
        self._trust(found[2], f"what was made for request {request_id}", request_id, *found[:2])
        return (found[0], found[1])

    # -- writing ------------------------------------------------------------------------------------------

    def set_cursor(self, log_id: bytes, cursor: Cursor) -> None:
        """Remember how far that log is held here; the order of the wanted intervals is kept."""
        self._begin_writing()
        seq, h, wanted = cursor.position.seq, cursor.position.h, _pack_intervals(cursor.wanted)
        self._db.defer(
            "INSERT OR REPLACE INTO cursor",
            (self._no, log_id, seq, h, wanted, checksum(log_id, seq, h, wanted)),
        )
        self._cursors[log_id] = cursor

    def set_acknowledged(self, log_id: bytes, position: Position, at_ms: int) -> None:
        """Remember an acknowledgement; it replaces the last one, downwards too."""
        self._begin_writing()
        values = (self._log_id, position.seq, position.h, at_ms)
        self._db.write(
            "INSERT OR REPLACE INTO acknowledged VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._no, log_id, *values, checksum(log_id, *values)),
        )

    def refuse(self, log_id: bytes, refusal: Refusal, record: bytes, at_ms: int) -> None:
        """Set a received record apart. Idempotent per (log, seq) and per digest."""
        self._begin_writing()
        self._put_refusal("refusal_given", log_id, refusal)
        origin = Origin(log_id, refusal.seq)
        self._put_apart(
            Apart(record, refusal.digest, origin, refusal.code, refusal.reason, refusal.held, at_ms)
        )

    def settle_refusals(self, digest: bytes) -> list[Origin]:
        """Drop every refusal that we gave for this record, and the bytes that were set apart."""
        self._begin_writing()
        settled = self._db.rows(
            "DELETE FROM refusal_given WHERE shop = ? AND digest = ? RETURNING log_id, seq",
            (self._no, digest),
        )
        self._db.write("DELETE FROM apart WHERE shop = ? AND digest = ?", (self._no, digest))
        return [Origin(log_id, seq) for log_id, seq in sorted(settled)]

    def set_refusals_received(self, log_id: bytes, refusals: Sequence[Refusal], *, complete: bool) -> None:
        """Add to what a peer refused of our log or, with ``complete``, replace it."""
        self._begin_writing()
        if complete:
            self._db.write("DELETE FROM refusal_received WHERE shop = ? AND log_id = ?", (self._no, log_id))
        for refusal in refusals:
            self._put_refusal("refusal_received", log_id, refusal)

    def set_state(self, key: str, value: bytes | None) -> None:
        """Keep a value beside the log; None removes it."""
        self._begin_writing()
        if value is None:
            self._db.write("DELETE FROM state WHERE shop = ? AND key = ?", (self._no, key))
            self._states[key] = None
        else:
            crc = checksum(key, value)
            self._db.write("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", (self._no, key, value, crc))
            self._states[key] = value

    def set_request(self, request_id: str, link: bytes, seq: int) -> None:
        """Remember which entry was made for a request. The first one stays."""
        self._begin_writing()
        crc = checksum(request_id, link, seq)
        self._db.write(
            "INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?, ?)", (self._no, request_id, link, seq, crc)
        )

    # -- parts --------------------------------------------------------------------------------------------

    def _refusals(self, table: str, log_id: bytes) -> list[Refusal]:
        rows = self._db.rows(
            f"SELECT {_REFUSAL} FROM {table} WHERE shop = ? AND log_id = ? ORDER BY seq",  # noqa: S608
            (self._no, log_id),
        )
        for row in rows:
            self._trust(row[5], "a refusal", log_id, *row[:5])
        return [Refusal(seq, digest, code, reason, bool(held)) for seq, digest, code, reason, held, _ in rows]

    def _put_refusal(self, table: str, log_id: bytes, refusal: Refusal) -> None:
        values = (refusal.seq, refusal.digest, refusal.code, refusal.reason, int(refusal.held))
        self._db.write(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (self._no, log_id, *values, checksum(log_id, *values)),
        )

    def _put_apart(self, apart: Apart) -> None:
        log_id, seq = (apart.origin.log_id, apart.origin.seq) if apart.origin else (None, None)
        self._db.write(
            "INSERT INTO apart VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (shop, digest) DO UPDATE SET code = excluded.code, reason = excluded.reason,"
            " held = excluded.held",
            (
                *(self._no, apart.digest, log_id, seq, apart.code, apart.reason, int(apart.held)),
                *(apart.at_ms, zlib.crc32(apart.record), apart.record),
            ),
        )

    def _as_apart(
        self,
        record: bytes,
        digest: bytes,
        log_id: bytes | None,
        seq: int,
        code: str,
        reason: str,
        held: int,
        at_ms: int,
        crc: int,
    ) -> Apart:
        if zlib.crc32(record) != crc:
            raise self._damage("a record that was set apart")
        origin = Origin(log_id, seq) if log_id is not None else None
        return Apart(record, digest, origin, code, reason, bool(held), at_ms)

    def _acknowledged_seq(self, log_id: bytes | None) -> int:
        """How far that log's acknowledgement reaches. One that does not fit our log counts as none: what is
        pending is never less than the truth.
        """
        known = self.acknowledged(log_id) if log_id is not None else None
        if known is None or self.hash_at(known.position.seq) != known.position.h:
            return 0
        return known.position.seq

    def _loose_not_from(self, origin: int, after: int) -> array[int]:
        found = self._db.row(
            "SELECT count(*), json_group_array(pos) FILTER (WHERE origin <> ?)"
            " FROM record WHERE pos > ? AND pos <= ?",
            (origin, self._base + after, self._base + self._seq),
        )
        if found is None:
            raise AssertionError("an aggregate gives one row")
        if found[0] != self._seq - after:
            raise self._damaged(self._first_missing(after))
        return array("q", sorted(pos - self._base for pos in json.loads(found[1])))

    def _first_missing(self, after: int) -> int:
        rows = self._db.rows(
            "SELECT pos FROM record WHERE pos > ? AND pos <= ?", (self._base + after, self._base + self._seq)
        )
        missing = set(range(after + 1, self._seq + 1)) - {pos - self._base for (pos,) in rows}
        return min(missing, default=after + 1)  # Counted, it was another number than it is now.

    def _packed_not_from(self, place: PackPlace, origin: int, after: int) -> list[int]:
        origins = self._shelf.columns(place).origins
        if origins.count(origin) == len(origins):  # Most packs of a register that joined: all from its relay.
            return []
        return [seq for seq, held in enumerate(origins, start=place.first) if held != origin and seq > after]


def _distinct(seqs: Iterable[int]) -> Iterator[int]:
    last = 0
    for seq in seqs:
        if seq != last:
            yield seq
        last = seq


def _pack_intervals(intervals: Iterable[Interval]) -> bytes:
    return b"".join(_INTERVAL.pack(lo, hi) for lo, hi in intervals)


def _unpack_intervals(packed: bytes) -> tuple[Interval, ...]:
    return tuple((lo, hi) for lo, hi in _INTERVAL.iter_unpack(packed))
