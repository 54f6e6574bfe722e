"""The stock of a shop as its back office knows it: sums of movements since the last count of each product.

It may be negative: two registers can sell the last bottle at once, and a delivery may be recorded late. That
is shown, and blocks nothing. The arithmetic is ``model.stock``'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from crdtsync.model.movement import build_count
from crdtsync.model.stock import Count, Level, standing_counts
from crdtsync.runtime.committing.writer import Payload, Session
from crdtsync.runtime.register.stock import count_of_row
from crdtsync.storage.view_stock import moved_beyond, moved_totals
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.shops.contacts import read_contact
from crdtsync_server.shops.devices import machines_of
from crdtsync_server.shops.owner import OwnerChain

LOOKED_FOR_MS: Final = 10_000
"""So long the list of oversold products is told again without looking, where something was filed since."""

TOLD_MAX: Final = 10_000
"""Of what a register says that it has not sent, a count takes so many entries for true."""


class OfficeStock:
    """For the thread of the office."""

    def __init__(self, shop: OfficeShop) -> None:
        self._shop = shop
        self._oversold: tuple[int, int, tuple[str, ...]] | None = None

    def levels(self, skus: Iterable[str]) -> dict[str, Level]:
        """What is there of these products. Raises ``StorageError``."""
        wanted = list(skus)
        moved = moved_totals(self._shop.queries, wanted)
        counts = self._counts(wanted)
        counted = self._counted(counts)
        return {sku: counted.get(sku) or Level(sku, moved.get(sku, 0)) for sku in wanted}

    def oversold(self) -> tuple[str, ...]:
        """The products of which more was sold than was known to be there, by SKU."""
        seq = self._shop.tables.seq(self._shop.log.shop)
        now_ms = self._shop.clock.now_ms()
        known = self._oversold
        if known is not None and (known[0] == seq or 0 <= now_ms - known[1] < LOOKED_FOR_MS):
            return known[2]
        counted = self._counted(self._counts(None))
        moved = moved_totals(self._shop.queries)
        below = {sku for sku, quantity in moved.items() if quantity < 0 and sku not in counted}
        below |= {sku for sku, level in counted.items() if level.quantity < 0}
        self._oversold = seq, now_ms, tuple(sorted(below))
        return self._oversold[2]

    def forget(self) -> None:
        """Something was recorded here: look anew."""
        self._oversold = None

    def _counts(self, skus: list[str] | None) -> dict[str, list[Count]]:
        found: dict[str, list[Count]] = defaultdict(list)
        wanted = None if skus is None else set(skus)
        rows = (
            self._shop.queries.counts()
            if wanted is None
            else (row for sku in wanted for row in self._shop.queries.counts(sku))
        )
        for row in rows:
            found[row.sku].append(count_of_row(row))
        return found

    def _counted(self, counts: Mapping[str, list[Count]]) -> dict[str, Level]:
        """The levels of products that were counted. Products with one cut are asked for together."""
        standing = {sku: standing_counts(found) for sku, found in counts.items()}
        by_cut: dict[tuple[tuple[bytes, int], ...], list[tuple[str, Count]]] = defaultdict(list)
        for sku, found in standing.items():
            for count in found:
                known = {**count.cut, count.chain: count.known_of(count.chain)}
                by_cut[tuple(sorted(known.items()))].append((sku, count))
        quantities: dict[str, list[tuple[Count, int]]] = defaultdict(list)
        for cut, counted in by_cut.items():
            since = moved_beyond(self._shop.queries, {sku for sku, _ in counted}, dict(cut))
            for sku, count in counted:
                quantities[sku].append((count, count.counted + since[sku]))
        levels = {}
        for sku, found in standing.items():
            of_count = {id(count): quantity for count, quantity in quantities[sku]}
            ordered = [of_count[id(count)] for count in found]
            levels[sku] = Level(sku, ordered[0], found[0].at_ms, disputed=len(set(ordered)) > 1)
        return levels

    # -- counting ------------------------------------------------------------------------------------------

    def cut(self) -> dict[bytes, int]:
        """What a count that is made now includes: what is here, and what registers have told that they sold
        and have not sent yet. That was taken from the shelf before it was counted, and is not taken off again
        when it comes.
        """
        log = self._shop.log
        cut: dict[bytes, int] = {}
        for run in log.runs():
            cut[run.chain] = max(run.hi, cut.get(run.chain, 0))
        for certificate in machines_of(OwnerChain.read(log).directory):
            contact = read_contact(log, certificate.device)
            if contact is None or contact.own_chain is None or contact.own_to is None:
                continue
            chain = bytes.fromhex(contact.own_chain)
            # What one device says of another's chain counts for nothing.
            if chain in cut and self._is_of(chain, certificate.device):
                cut[chain] = max(cut[chain], min(contact.own_to, cut[chain] + TOLD_MAX))
        return cut

    def count_payload(self, quantities: Mapping[str, int], session: Session) -> Payload:
        """The payload of a count: SKU -> thousandths. Raises ``InvalidSale``, ``InvalidAmount``."""
        cut = self.cut()
        cut[session.head.chain] = session.head.n
        return build_count(quantities, cut=cut)

    def away(self) -> list[str]:
        """The registers that may have sold what is not here: what they sold before a count that is made now,
        and never told of, will be taken off once more.
        """
        states = self._shop.device_states()
        return [
            state.certificate.name
            for state in states
            if state.certificate.role == "register"
            and not state.revoked
            and not state.connected
            and state.contact is not None
        ]

    def _is_of(self, chain: bytes, device: bytes) -> bool:
        return any(row.chain == chain and row.device == device for row in self._shop.queries.chains())
