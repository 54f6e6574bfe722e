"""What views say that somebody should know: sales that were given back twice, days with flags, two prices."""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.storage.view_queries import ViewQueries


class OverpaidRow(NamedTuple):
    """A sale, what was paid for it, and what was given back (negative)."""

    number: str
    link: bytes
    total: int
    refunded: int


def overpaid(queries: ViewQueries, *, rows_max: int) -> list[OverpaidRow]:
    """The newest of these sales. Costs refunds, not sales. Raises ``StorageError``."""
    sql = (
        "SELECT s.number, s.link, s.ttc + s.oos, r.refunded FROM ("
        " SELECT ref_number, ref_link, sum(ttc + oos) AS refunded, max(seq) AS newest FROM view_ticket"
        " INDEXED BY view_ticket_by_ref"
        " WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop) AND ref_link IS NOT NULL"
        " AND mode = 'live' GROUP BY ref_link) r"
        # Crossed, so that sales are looked up for refunds and not the other way round.
        " CROSS JOIN view_ticket s INDEXED BY view_ticket_by_number"
        " WHERE s.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND s.number = r.ref_number AND s.link = r.ref_link"
        " AND s.ttc + s.oos + r.refunded < 0 ORDER BY r.newest DESC LIMIT :rows"
    )
    return [OverpaidRow(*row) for row in queries.ask(sql, rows=rows_max)]


def flagged_days(queries: ViewQueries, since: str) -> list[tuple[str, int]]:
    """The business days from ``since`` on with entries that cannot be so, and how often that was flagged; the
    newest first. Raises ``StorageError``.
    """
    sql = (
        "SELECT day, count(*) FROM view_flag INDEXED BY view_flag_by_day"
        " WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop) AND day >= :since"
        " GROUP BY day ORDER BY day DESC"
    )
    return [(day, count) for day, count in queries.ask(sql, since=since)]


def disputed_prices(queries: ViewQueries, at_ms: int) -> int:
    """How many products on sale have a price at that time that two people changed without seeing one another.
    Raises ``StorageError``.
    """
    sql = (
        "SELECT count(*) FROM view_price r JOIN view_product p ON p.shop = r.shop AND p.sku = r.sku"
        " WHERE r.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND r.conflict AND NOT p.archived"
        " AND r.from_ms = (SELECT max(from_ms) FROM view_price"
        " WHERE shop = r.shop AND sku = r.sku AND from_ms <= :at_ms)"
    )
    return int(queries.ask(sql, at_ms=at_ms)[0][0])
