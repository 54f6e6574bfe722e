"""What a log in memory knows of other logs: cursors, acknowledgements, refusals, records set apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from crdtsync.errors import DamagedStore
from crdtsync.ids import ZERO_HASH, Origin, Position
from crdtsync.storage.log import Acknowledged, Apart, ApartRow, Cursor, Refusal
from crdtsync.storage.memory_tables import Head, MemoryRow, OriginKey, ShopTables, Table

if TYPE_CHECKING:
    from crdtsync.storage.memory import MemoryStore


class MemoryPeers:
    """The head of a log, and the part of ``ShopLog`` that is about peers and small state."""

    def __init__(self, store: MemoryStore, shop: bytes, tables: ShopTables) -> None:
        self._store = store
        self._shop = shop
        self._tables = tables

    @property
    def shop(self) -> bytes:
        """The id of the shop."""
        return self._shop

    @property
    def log_id(self) -> bytes:
        """See ``ShopLog.log_id``."""
        return self._head().log_id

    def let_go(self) -> None:
        """See ``ShopLog.let_go``: it is all in memory."""

    @property
    def hash_appended(self) -> bytes:
        """Right after ``append``, in the same transaction: the running hash after that record."""
        return self.end.h

    @property
    def end(self) -> Position:
        """See ``ShopLog.end``."""
        head = self._head()
        return Position(head.seq, head.h)

    # -- reading ----------------------------------------------------------------------------------------

    def cursor(self, log_id: bytes) -> Cursor | None:
        """See ``ShopLog.cursor``."""
        return self._tables.cursors.get(log_id, self._inside)

    def acknowledged(self, log_id: bytes) -> Acknowledged | None:
        """See ``ShopLog.acknowledged``."""
        known = self._tables.acknowledged.get(log_id, self._inside)
        return known[1] if known and known[0] == self.log_id else None

    def refusals_given(self, log_id: bytes) -> list[Refusal]:
        """See ``ShopLog.refusals_given``."""
        return self._refusals(self._tables.given, log_id)

    def refusals_received(self, log_id: bytes) -> list[Refusal]:
        """See ``ShopLog.refusals_received``."""
        return self._refusals(self._tables.received, log_id)

    def unacknowledged(self, log_id: bytes | None) -> Iterator[tuple[int, bytes]]:
        """See ``ShopLog.unacknowledged``. Costs what lies beyond the acknowledgement."""
        end = self._head().seq
        after, refused, origin = 0, set[int](), None
        if log_id is not None:
            known = self.acknowledged(log_id)
            if known is not None and self._hash_at(known.position.seq) == known.position.h:
                after = known.position.seq
            origin = self._origin(log_id)
            refused = {refusal.seq for refusal in self.refusals_received(log_id) if 1 <= refusal.seq <= end}
        seqs = [seq for seq in refused if seq <= after]
        seqs.sort()
        seqs += [
            seq for seq in range(after + 1, end + 1) if seq in refused or self._row(seq).origin != origin
        ]
        return self._fetch(seqs)

    def apart(self) -> list[Apart]:
        """See ``ShopLog.apart``."""
        return [apart for _, apart in self._tables.apart.items(self._inside)]

    def apart_counts(self) -> dict[tuple[str, bool], int]:
        """See ``ShopLog.apart_counts``."""
        return Counter((one.code, one.held) for one in self.apart())

    def apart_rows(self) -> list[ApartRow]:
        """See ``ShopLog.apart_rows``."""
        return [ApartRow(one.code, one.held, one.origin, one.at_ms) for one in self.apart()]

    def apart_bytes(self, log_id: bytes) -> int:
        """See ``ShopLog.apart_bytes``."""
        return sum(
            len(one.record) for one in self.apart() if one.origin is not None and one.origin.log_id == log_id
        )

    def state(self, key: str) -> bytes | None:
        """See ``ShopLog.state``."""
        return self._tables.state.get(key, self._inside)

    def request(self, request_id: str) -> tuple[bytes, int] | None:
        """See ``ShopLog.request``."""
        return self._tables.requests.get(request_id, self._inside)

    # -- writing ----------------------------------------------------------------------------------------

    def set_cursor(self, log_id: bytes, cursor: Cursor) -> None:
        """See ``ShopLog.set_cursor``."""
        self._begin_writing()
        self._tables.cursors.put(log_id, cursor)

    def set_acknowledged(self, log_id: bytes, position: Position, at_ms: int) -> None:
        """See ``ShopLog.set_acknowledged``."""
        self._begin_writing()
        self._tables.acknowledged.put(log_id, (self.log_id, Acknowledged(position, at_ms)))

    def refuse(self, log_id: bytes, refusal: Refusal, record: bytes, at_ms: int) -> None:
        """See ``ShopLog.refuse``."""
        self._begin_writing()
        known = self._tables.given.get(log_id, True) or {}
        self._tables.given.put(log_id, {**known, refusal.seq: refusal})
        before = self._tables.apart.get(refusal.digest, True)
        origin = before.origin if before else Origin(log_id, refusal.seq)
        self._tables.apart.put(
            refusal.digest,
            Apart(
                before.record if before else record,
                refusal.digest,
                origin,
                refusal.code,
                refusal.reason,
                refusal.held,
                before.at_ms if before else at_ms,
            ),
        )

    def settle_refusals(self, digest: bytes) -> list[Origin]:
        """See ``ShopLog.settle_refusals``."""
        self._begin_writing()
        settled = []
        for log_id, given in list(self._tables.given.items(True)):
            seqs = [seq for seq, refusal in given.items() if refusal.digest == digest]
            if seqs:
                left = {seq: refusal for seq, refusal in given.items() if seq not in seqs}
                self._tables.given.put(log_id, left)
                settled += [Origin(log_id, seq) for seq in seqs]
        self._tables.apart.put(digest, None)
        return sorted(settled, key=lambda origin: (origin.log_id, origin.seq))

    def set_refusals_received(self, log_id: bytes, refusals: Sequence[Refusal], *, complete: bool) -> None:
        """See ``ShopLog.set_refusals_received``."""
        self._begin_writing()
        known = {} if complete else (self._tables.received.get(log_id, True) or {})
        self._tables.received.put(log_id, {**known, **{refusal.seq: refusal for refusal in refusals}})

    def set_state(self, key: str, value: bytes | None) -> None:
        """See ``ShopLog.set_state``."""
        self._begin_writing()
        self._tables.state.put(key, value)

    def set_request(self, request_id: str, link: bytes, seq: int) -> None:
        """See ``ShopLog.set_request``."""
        self._begin_writing()
        if self._tables.requests.get(request_id, True) is None:
            self._tables.requests.put(request_id, (link, seq))

    def void_origin(self, log_id: bytes) -> None:
        """See ``ShopLog.void_origin``."""
        self._begin_writing()
        self._tables.voids.put(log_id, (self._tables.voids.get(log_id, True) or 0) + 1)
        self._tables.cursors.put(log_id, None)
        self._tables.given.put(log_id, None)

    # -- parts ------------------------------------------------------------------------------------------

    @property
    def _inside(self) -> bool:
        return self._store.sees_pending()

    def _begin_writing(self) -> None:
        if not self._store.in_transaction:
            raise RuntimeError("a log is written inside Store.transaction() only")
        self._store.touched.add(self._shop)

    def _head(self) -> Head:
        head = self._tables.head.get("", self._inside)
        if head is None:
            raise KeyError(self._shop.hex())
        return head

    def _row(self, seq: int) -> MemoryRow:
        row = self._tables.rows.get(seq, self._inside)
        if row is None:
            raise AssertionError(f"row {seq} of a log in memory is missing")
        if row.damaged:
            raise DamagedStore(
                f"record {seq} of shop {self._shop.hex()} is damaged",
                shop=self._shop,
                seq=seq,
                document=row.document,
            )
        return row

    def _row_or_none(self, seq: int) -> MemoryRow | None:
        return self._tables.rows.get(seq, self._inside)

    def _hash_at(self, seq: int) -> bytes | None:
        row = self._row_or_none(seq)
        return row.h if row is not None else (ZERO_HASH if seq == 0 else None)

    def _origin(self, log_id: bytes | None) -> OriginKey:
        if log_id is None:
            return (None, 0)
        return (log_id, self._tables.voids.get(log_id, self._inside) or 0)

    def _fetch(self, seqs: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for seq in seqs:
            record = self._row(seq).record
            if record is not None:
                yield seq, record

    def _refusals(self, table: Table[bytes, Mapping[int, Refusal]], log_id: bytes) -> list[Refusal]:
        known = table.get(log_id, self._inside) or {}
        return [known[seq] for seq in sorted(known)]
