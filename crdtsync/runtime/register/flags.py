"""What cannot be so about the entries of a business day: what each shows by itself, and what several tills
gave back that was sold once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdtsync.errors import DamagedStore
from crdtsync.storage.log import ShopLog
from crdtsync.storage.view_queries import FlagRow, TicketRow, ViewQueries

if TYPE_CHECKING:
    from crdtsync.model.entry import Entry
    from crdtsync.model.returns import Place


def day_flags(log: ShopLog, queries: ViewQueries, day: str) -> list[FlagRow]:
    """The flags of a business day, as far as it is filed here. O(its tickets)."""
    return [*queries.flags(day), *_refund_flags(log, queries, day)]


def held_versions(log: ShopLog, place: Place) -> list[Entry]:
    """The versions of an entry that are held here, without those that are damaged."""
    from crdtsync.model.entry import read_entry

    try:
        return [read_entry(sealed) for _, sealed in log.chain_entries(place.chain, place.n, place.n)]
    except DamagedStore:
        return []  # Whoever walks through the store reports it.


def _refund_flags(log: ShopLog, queries: ViewQueries, day: str) -> list[FlagRow]:
    """Refunds of the day after which more was given back than was sold. One till alone cannot make them: only
    those are read whose ticket has another refund.
    """
    if not any(row.refunds for row in queries.day(day)):
        return []
    tickets = queries.tickets(day=day, rows_max=sum(row.tickets + row.refunds for row in queries.day(day)))
    often = {
        row.link: row
        for link in {row.ref_link for row in tickets if row.ref_link is not None}
        if len(known := queries.refunds_of(link)) > 1
        for row in known
    }
    return _checked(log, often, day) if often else []


def _checked(log: ShopLog, refunds: dict[bytes, TicketRow], day: str) -> list[FlagRow]:
    from crdtsync.model.returns import Place, Returns

    returns = Returns()
    for row in refunds.values():
        for entry in held_versions(log, Place(row.chain, row.n, row.link)):
            returns.add(entry)
    found = ((refunds.get(one.link), one) for one in returns.check(lambda place: held_versions(log, place)))
    return [
        FlagRow(row.device, row.chain, row.n, row.link, row.number, defect.code, defect.message)
        for row, defect in found
        if row is not None and row.day == day
    ]
