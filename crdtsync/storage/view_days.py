"""What the views say of many days at once: sums of days, months and years, the newest first, and closings."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from crdtsync.storage.view_queries import ViewQueries

Span = Literal["day", "month", "year"]

_CHARACTERS: Final = {"day": 10, "month": 7, "year": 4}
"""Of a business day those that name the span."""


class SpanRow(NamedTuple):
    """What the shop took in one day, month or year (``2026-11-24``, ``2026-11``, ``2026``), all registers
    together. ``chains`` had something to tell of it.
    """

    name: str
    tickets: int
    refunds: int
    total: int
    refunded: int
    discounts: int
    days: int
    chains: int


class ClosedRow(NamedTuple):
    """A closing of one register; ``automatic``: made by itself."""

    chain: bytes
    device: bytes
    n: int
    link: bytes
    level: str
    z: int
    day: str
    at_ms: int
    tickets: int
    total: int
    gt_real: int
    cash_expected: int | None
    cash_counted: int | None
    automatic: bool


class DayCells(NamedTuple):
    """One number of one register's day: ``what`` it is of (a VAT rate and class, a means of payment)."""

    day: str
    device: bytes
    what: str
    amount: int
    tax: int


class RegisterDayRow(NamedTuple):
    """The totals of one register and business day."""

    day: str
    device: bytes
    tickets: int
    refunds: int
    total: int
    refunded: int
    discounts: int
    outside_vat: int


def spans(queries: ViewQueries, span: Span, *, before: str | None = None, rows_max: int) -> list[SpanRow]:
    """The spans in which anything was recorded, the newest first; with ``before`` those older than that one.
    Costs days, not tickets. Raises ``StorageError``.
    """
    name = "day" if span == "day" else f"substr(day, 1, {_CHARACTERS[span]})"
    sums = (
        ", sum(tickets), sum(refunds), sum(ttc + oos), sum(refunds_due), sum(discounts),"
        " count(DISTINCT day), count(DISTINCT chain)"
        " FROM view_day WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND (:before IS NULL OR day < :before) GROUP BY 1 ORDER BY 1 DESC LIMIT :rows"
    )
    rows = queries.ask(f"SELECT {name}{sums}", before=before, rows=rows_max)
    return [SpanRow(*row) for row in rows]


def closings_between(queries: ViewQueries, level: Span, first: str, last: str) -> list[ClosedRow]:
    """The closings of that level with a business day from ``first`` to ``last``, the newest first.

    Raises ``StorageError``.
    """
    sql = (
        "SELECT c.chain, c.device, v.n, v.link, v.level, v.z, v.day, v.at_ms, v.tickets, v.ttc, v.gt_real,"
        " v.cash_expected, v.cash_counted, v.automatic"
        " FROM view_closing v INDEXED BY view_closing_by_day JOIN view_chain c ON c.id = v.chain"
        " WHERE v.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND v.day BETWEEN :first AND :last AND v.level = :level"
        " ORDER BY v.day DESC, c.device, v.n DESC"
    )
    rows = queries.ask(sql, level=level, first=first, last=last)
    return [ClosedRow(*row) for row in rows]


def register_days(queries: ViewQueries, first: str, last: str) -> list[RegisterDayRow]:
    """What every register took on every day of these, the oldest first. Raises ``StorageError``."""
    sql = (
        "SELECT d.day, c.device, sum(tickets), sum(refunds), sum(ttc + oos), sum(refunds_due),"
        " sum(discounts), sum(oos) FROM view_day d JOIN view_chain c ON c.id = d.chain"
        " WHERE d.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND d.day BETWEEN :first AND :last GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return [RegisterDayRow(*row) for row in queries.ask(sql, first=first, last=last)]


def register_day_cells(queries: ViewQueries, first: str, last: str) -> list[DayCells]:
    """The same days by VAT rate (``vat 2000 N``, with its tax) and by means of payment (``pay card``).

    Raises ``StorageError``.
    """
    sql = (
        "SELECT d.day, c.device, 'vat ' || vat || ' ' || vc, sum(ht), sum(tva)"
        " FROM view_day_vat d JOIN view_chain c ON c.id = d.chain"
        " WHERE d.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND d.day BETWEEN :first AND :last GROUP BY 1, 2, 3"
        " UNION ALL SELECT d.day, c.device, 'pay ' || means, sum(amount), 0"
        " FROM view_day_payment d JOIN view_chain c ON c.id = d.chain"
        " WHERE d.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND d.day BETWEEN :first AND :last GROUP BY 1, 2, 3"
    )
    return [DayCells(*row) for row in queries.ask(sql, first=first, last=last)]
