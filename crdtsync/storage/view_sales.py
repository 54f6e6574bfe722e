"""Finding tickets among all of a shop's years: by number, amount, product, register and day, page by page.

A page is asked for by its place (the business day and the log's seq of a ticket), never by how many stand
before it, so that the last page costs what the first one does. Tickets stand by business day, the newest
first, of each day what came into the log last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from crdtsync.storage.view_place import Placed
from crdtsync.storage.view_queries import TICKET_SQL, TicketRow, ViewQueries

INDEXES_SQL: Final = """
CREATE INDEX IF NOT EXISTS view_ticket_by_total ON view_ticket (shop, ttc + oos, day);
CREATE INDEX IF NOT EXISTS view_event_by_print ON view_event (shop, detail) WHERE code = 'print';
"""
"""What finding needs beside the indexes that every store of views has: where nobody searches, they would
only make filing dearer.
"""

SORTED_MAX: Final = 5_000
"""Sales of a product are fetched and sorted up to so many; of more, days are gone through instead."""


class PrintRow(NamedTuple):
    """A copy of a ticket that was printed or sent after its sale."""

    at_ms: int
    tz_min: int
    device: bytes
    operator: str
    link: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; None and empty: whatever. ``numbers`` are whole ticket numbers, ``amount_minor`` is
    what was paid (of a refund negative), ``skus`` are products of which one must be on the ticket, days are
    the first and the last.
    """

    numbers: tuple[str, ...] | None = None
    amount_minor: int | None = None
    skus: tuple[str, ...] | None = None
    device: bytes | None = None
    first_day: str | None = None
    last_day: str | None = None


def find_tickets(
    queries: ViewQueries,
    wanted: Wanted,
    *,
    older_than: Placed | None = None,
    newer_than: Placed | None = None,
    rows_max: int,
) -> list[TicketRow]:
    """One page, the newest first: from the row that follows ``older_than``, or those just before
    ``newer_than``. Raises ``StorageError``.
    """
    search = _Search(queries, wanted, older_than, newer_than, rows_max)
    rows = search.rows()
    return rows if newer_than is None else rows[::-1]


def prints_of(queries: ViewQueries, link: bytes) -> list[PrintRow]:
    """The copies known here of the ticket with that link, the oldest first. Raises ``StorageError``."""
    sql = (
        "SELECT e.at_ms, e.tz_min, c.device, e.operator, e.link"
        " FROM view_event e INDEXED BY view_event_by_print JOIN view_chain c ON c.id = e.chain"
        " WHERE e.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
        " AND e.code = 'print' AND e.detail = :link ORDER BY e.at_ms, e.link"
    )
    return [PrintRow(*row) for row in queries.ask(sql, link=link.hex())]


class _Search:
    def __init__(
        self,
        queries: ViewQueries,
        wanted: Wanted,
        older_than: Placed | None,
        newer_than: Placed | None,
        rows_max: int,
    ) -> None:
        self._queries, self._wanted, self._rows_max = queries, wanted, rows_max
        self._backwards = newer_than is not None
        self._values: dict[str, Any] = {"rows": rows_max}
        self._conditions: list[str] = []
        place = newer_than or older_than
        if place is not None:
            self._add(
                f"(t.day, t.seq) {'>' if self._backwards else '<'} (:at_day, :at_seq)", at_day=place.day
            )
            self._values["at_seq"] = place.seq
            # Said again for the index: SQLite takes a row of values only where all of them are in it.
            self._add(f"t.day {'>=' if self._backwards else '<='} :at_day")
        if wanted.first_day is not None:
            self._add("t.day >= :first_day", first_day=wanted.first_day)
        if wanted.last_day is not None:
            self._add("t.day <= :last_day", last_day=wanted.last_day)

    def _add(self, condition: str, **values: Any) -> None:
        self._conditions.append(condition)
        self._values |= values

    def rows(self) -> list[TicketRow]:
        wanted = self._wanted
        if wanted.numbers is not None:
            self._add("t.number IN (SELECT value FROM json_each(:numbers))")
            self._values["numbers"] = json.dumps(wanted.numbers)
        if wanted.amount_minor is not None:
            self._add("t.ttc + t.oos = :amount", amount=wanted.amount_minor)
        is_rare = wanted.skus is not None and self._look_for_products(wanted.skus)
        if wanted.device is not None:
            self._add("c.device = :device", device=wanted.device)
        if wanted.numbers is not None:
            return self._run("INDEXED BY view_ticket_by_number")
        if is_rare:
            return self._run("", fetched=True)
        if wanted.amount_minor is not None:
            return self._run("INDEXED BY view_ticket_by_total")
        if wanted.device is not None:
            return self._of_chains(wanted.device)
        return self._run("INDEXED BY view_ticket_by_day")

    def _look_for_products(self, skus: tuple[str, ...]) -> bool:
        """Whether so few tickets have any of them that all are fetched."""
        listed = {"skus": json.dumps(skus)}
        sold = (
            "SELECT m.seq FROM view_movement m WHERE m.shop ="
            " (SELECT id FROM view_shop WHERE shop = :shop)"
            " AND m.sku IN (SELECT value FROM json_each(:skus))"
        )
        counted = f"SELECT count(*) FROM ({sold} LIMIT {SORTED_MAX + 1})"  # noqa: S608
        self._values |= listed
        if self._queries.ask(counted, **listed)[0][0] <= SORTED_MAX:
            self._add(f"t.seq IN ({sold})")
            return True
        self._add(
            "EXISTS (SELECT 1 FROM view_line l WHERE l.shop = t.shop AND l.seq = t.seq"
            " AND l.sku IN (SELECT value FROM json_each(:skus)))"
        )
        return False

    def _of_chains(self, device: bytes) -> list[TicketRow]:
        """The tickets of a device, which seldom has more than one chain: of each as many, then the first."""
        chains = self._queries.ask(
            "SELECT id FROM view_chain WHERE device = :device"
            " AND shop = (SELECT id FROM view_shop WHERE shop = :shop)",
            device=device,
        )
        self._add("t.chain = :chain")
        found: list[TicketRow] = []
        for (chain,) in chains:
            self._values["chain"] = chain
            found += self._run("INDEXED BY view_ticket_by_chain")
        found.sort(key=lambda row: (row.day, row.seq), reverse=not self._backwards)
        return found[: self._rows_max]

    def _run(self, by: str, *, fetched: bool = False) -> list[TicketRow]:
        """``fetched``: all tickets that are asked for, by their seq, and sorted then."""
        order = "ASC" if self._backwards else "DESC"
        conditions = "".join(f" AND {one}" for one in self._conditions)
        ordered = f" ORDER BY t.day {order}, t.seq {order} LIMIT :rows"
        sql = TICKET_SQL.format(by=by) + conditions + ordered
        if fetched:
            # With a sign no index helps with the day: else SQLite goes through all days for the order's sake.
            sql = TICKET_SQL.format(by=by) + (conditions + ordered).replace("t.day", "+t.day")
        return [TicketRow(*row) for row in self._queries.ask(sql, **self._values)]
