"""What the views say of stock: movements since a count, and what became of one product."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from crdtsync.storage.view_queries import ViewQueries


class MovedRow(NamedTuple):
    """One movement of a product: a ticket's (``number``), or a delivery's or loss's with its ``reason``."""

    at_ms: int
    tz_min: int
    kind: str
    device: bytes
    number: str | None
    link: bytes
    operator: str
    reason: str | None
    delta: int


def moved_totals(queries: ViewQueries, skus: Iterable[str] | None = None) -> dict[str, int]:
    """The sum of all movements of these products or of all, where a table of them is kept (the back office).

    Raises ``StorageError``.
    """
    sql = (
        "SELECT sku, moved FROM view_stock WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND (:skus IS NULL OR sku IN (SELECT value FROM json_each(:skus)))"
    )
    listed = None if skus is None else json.dumps(list(skus))
    return dict(queries.ask(sql, skus=listed))


def moved_beyond(queries: ViewQueries, skus: Iterable[str], cut: Mapping[bytes, int]) -> dict[str, int]:
    """Of each product the sum of the movements that lie beyond a cut: of every chain of the shop those after
    the number that is known of it (after none, where it is not named). Raises ``StorageError``.
    """
    sql = (
        "SELECT w.value, (SELECT coalesce(sum(m.delta), 0) FROM view_chain c CROSS JOIN view_movement m"
        " WHERE c.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND m.shop = c.shop"
        " AND m.sku = w.value AND m.chain = c.id"
        " AND m.n > coalesce((SELECT k.value FROM json_each(:cut) k WHERE k.key = lower(hex(c.chain))), 0))"
        " FROM json_each(:skus) w"
    )
    known = json.dumps({chain.hex(): n for chain, n in cut.items()})
    return dict(queries.ask(sql, skus=json.dumps(list(skus)), cut=known))


def movements_of(queries: ViewQueries, sku: str, *, rows_max: int) -> list[MovedRow]:
    """The newest movements of a product, of each chain at most so many. Raises ``StorageError``."""
    chains = queries.ask(
        "SELECT id FROM view_chain WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop)"
    )
    sql = (
        "SELECT coalesce(t.at_ms, v.at_ms), coalesce(t.tz_min, v.tz_min), coalesce(t.kind, v.kind),"
        " c.device, t.number, coalesce(t.link, v.link), coalesce(t.operator, v.operator), v.reason, m.delta"
        " FROM (SELECT * FROM view_movement WHERE shop ="
        " (SELECT id FROM view_shop WHERE shop = :shop) AND sku = :sku AND chain = :chain"
        " ORDER BY n DESC LIMIT :rows) m JOIN view_chain c ON c.id = m.chain"
        " LEFT JOIN view_ticket t ON t.shop = m.shop AND t.seq = m.seq"
        " LEFT JOIN view_move v ON v.shop = m.shop AND v.seq = m.seq"
    )
    found: list[MovedRow] = []
    for (chain,) in chains:
        found += [MovedRow(*row) for row in queries.ask(sql, sku=sku, chain=chain, rows=rows_max)]
    return sorted(found, key=lambda row: row.at_ms, reverse=True)[:rows_max]
