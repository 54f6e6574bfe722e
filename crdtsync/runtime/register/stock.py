"""Stock: what was delivered or lost, what was counted, what is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.model.stock import Count, Level, settled
from crdtsync.runtime.committing.writer import Payload, Session
from crdtsync.runtime.folder.replica import Replica
from crdtsync.storage.view_queries import CountRow


class Stock:
    """The shop's stock as this register knows it. Quantities are thousandths of the product's unit.

    It may be negative: two registers can sell the last bottle at once. Selling never depends on it.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def add(
        self,
        sku: str,
        quantity_thousandths: int,
        *,
        why: str = "delivery",
        reference: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """Record that some came or, negative, went. Durable on return.

        ``why``: delivery, supplier-return, breakage, corked, tasting, transfer or other. Raises
        ``InvalidSale``, ``InvalidAmount``, ``StorageError``.
        """
        self.move([Moved(sku, quantity_thousandths, why, reference)], request_id=request_id)

    def move(self, lines: Sequence[Moved], *, request_id: str | None = None) -> None:
        """Record a delivery, say, of several products at once. As ``add``."""
        self._replica.writer.write("move", build_move(lines), request_id=request_id)

    def count(self, quantities: Mapping[str, int], *, request_id: str | None = None) -> None:
        """Record what lies on the shelves: SKU -> thousandths. Durable on return.

        Everything known to this register now counts as included; what was sold elsewhere before, and
        arrives later, is not subtracted a second time. Raises as ``add``.
        """

        def payload(session: Session) -> Payload:
            cut: dict[bytes, int] = {}
            for run in self._replica.log.runs():
                cut[run.chain] = max(run.hi, cut.get(run.chain, 0))
            cut[session.head.chain] = session.head.n
            return build_count(quantities, cut=cut)

        self._replica.writer.write("count", payload, request_id=request_id)

    def level(self, sku: str) -> Level:
        """What is there of one product."""
        self._replica.views.catch_up()
        return self._level(sku, self._replica.queries.counts(sku), None)

    def levels(self) -> list[Level]:
        """What is there of every product that ever moved or was counted, by SKU."""
        self._replica.views.catch_up()
        moved = self._replica.queries.moved_by_sku()
        counts: dict[str, list[CountRow]] = defaultdict(list)
        for row in self._replica.queries.counts():
            counts[row.sku].append(row)
        return [self._level(sku, counts[sku], moved.get(sku, 0)) for sku in sorted(moved.keys() | counts)]

    def _level(self, sku: str, rows: Iterable[CountRow], moved: int | None) -> Level:
        def since(count: Count | None) -> int:
            if count is None:
                return moved if moved is not None else self._replica.queries.moved(sku)
            chains = {row.chain for row in self._replica.queries.chains()}
            return self._replica.queries.moved(sku, [(chain, count.known_of(chain)) for chain in chains])

        return settled(sku, [count_of_row(row) for row in rows], since)


def count_of_row(row: CountRow) -> Count:
    """A count as the views tell it."""
    pairs = (part.split(":") for part in row.cut.split())
    cut = {bytes.fromhex(chain): int(n) for chain, n in pairs}
    return Count(row.sku, row.chain, row.n, row.link, row.at_ms, row.counted, cut)
