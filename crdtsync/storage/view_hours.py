"""One more question that the views answer: what a business day took, hour by hour."""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.storage.view_queries import ViewQueries


class HourRow(NamedTuple):
    """What one device took in one hour of its local time. ``amount`` is turnover and what is outside the
    scope of VAT, refunds taken off; ``sold`` the same of sales alone.
    """

    device: bytes
    hour: int
    sales: int
    refunds: int
    amount: int
    sold: int


def hours_of(queries: ViewQueries, day: str, until_ms: int) -> list[HourRow]:
    """The tickets of a business day that were made by then, by device and hour. O(tickets of the day)."""
    sql = (
        "SELECT c.device, ((t.at_ms / 60000 + t.tz_min) / 60) % 24, sum(t.kind = 'sale'),"
        " sum(t.kind = 'refund'), sum(t.ttc + t.oos), sum(iif(t.kind = 'sale', t.ttc + t.oos, 0))"
        " FROM view_ticket t INDEXED BY view_ticket_by_day JOIN view_chain c ON c.id = t.chain"
        " WHERE t.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND t.day = :day"
        " AND t.mode = 'live' AND t.at_ms <= :until_ms GROUP BY 1, 2 ORDER BY 2, 1"
    )
    return [HourRow(*row) for row in queries.ask(sql, day=day, until_ms=until_ms)]
