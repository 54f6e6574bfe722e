"""Where it is said who sells: the technical events of that code, by the device that signed them."""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.storage.view_queries import ViewQueries


class CompanyRow(NamedTuple):
    """One such event, entry ``n`` of a chain; ``seq`` is its record."""

    at_ms: int
    link: bytes
    seq: int
    device: bytes
    chain: bytes
    n: int


def told_companies(queries: ViewQueries, own: bytes | None) -> list[CompanyRow]:
    """What back offices said, the newest last; where none has spoken, what the device ``own`` said. What
    any other device says counts for nobody. Raises ``StorageError``.

    Along a chain what was said later counts, whatever the clock said: of one that was ahead ``at_ms`` is that
    of what was said next.
    """
    sql = (
        "SELECT e.at_ms, e.link, e.seq, c.device, c.chain, e.n"
        " FROM view_event e INDEXED BY view_event_by_company JOIN view_chain c ON c.id = e.chain"
        " WHERE e.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND e.code = '240'"
        " ORDER BY c.chain, c.device, e.n, e.link"
    )
    rows = [CompanyRow(*row) for row in queries.ask(sql)]
    if not rows:
        return []
    offices = {one.device for one in queries.devices() if one.role == "backoffice"}
    told = [row for row in rows if row.device in offices] or [row for row in rows if row.device == own]
    for place in range(len(told) - 2, -1, -1):
        row, later = told[place : place + 2]
        if (row.chain, row.device) == (later.chain, later.device):
            told[place] = row._replace(at_ms=min(row.at_ms, later.at_ms))
    return sorted(told, key=lambda row: row.at_ms)
