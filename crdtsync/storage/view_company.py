"""Where it is said who sells: the technical events of that code, by the device that signed them."""

from __future__ import annotations

from typing import Final, NamedTuple

from crdtsync.storage.view_queries import ViewQueries


class CompanyRow(NamedTuple):
    """One such event, entry ``n`` of a chain; ``seq`` is its record."""

    at_ms: int
    link: bytes
    seq: int
    device: bytes
    chain: bytes
    n: int


_BY_DEVICE: Final = (
    "SELECT e.at_ms, e.link, e.seq, c.device, c.chain, e.n"
    " FROM view_chain c CROSS JOIN view_event e INDEXED BY view_event_by_company"
    " ON e.chain = c.id AND e.code = '240'"
    " WHERE c.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND c.device = :device"
    " ORDER BY c.chain, c.device, e.n, e.link"
)


def told_companies(queries: ViewQueries, own: bytes | None) -> list[CompanyRow]:
    """What back offices said, the newest last; where none has spoken, what the device ``own`` said. What
    any other device says counts for nobody, and costs nobody anything. Raises ``StorageError``.

    Along a chain what was said later counts, whatever the clock said: of one that was ahead ``at_ms`` is that
    of what was said next.
    """
    offices = sorted(one.device for one in queries.devices() if one.role == "backoffice")
    told = [row for device in offices for row in _told_by(queries, device)]
    if not told and own is not None:
        told = _told_by(queries, own)
    for place in range(len(told) - 2, -1, -1):
        row, later = told[place : place + 2]
        if (row.chain, row.device) == (later.chain, later.device):
            told[place] = row._replace(at_ms=min(row.at_ms, later.at_ms))
    return sorted(told, key=lambda row: row.at_ms)


def _told_by(queries: ViewQueries, device: bytes) -> list[CompanyRow]:
    return [CompanyRow(*row) for row in queries.ask(_BY_DEVICE, device=device)]
