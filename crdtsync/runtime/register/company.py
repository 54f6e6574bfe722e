"""Who sells, as the shop has said it: what stands on tickets beside the sale itself.

The back office says it for all registers; a register that belongs to no shop with one says it itself.
"""

from __future__ import annotations

from crdtsync.errors import DamagedStore
from crdtsync.model.company import Company, build_company, read_company
from crdtsync.runtime.committing.writer import Written, entry_at
from crdtsync.runtime.folder.replica import Replica
from crdtsync.storage.log import ShopLog
from crdtsync.storage.view_company import CompanyRow, told_companies
from crdtsync.storage.view_queries import ViewQueries


class Companies:
    """What was said of the company, and when. ``own``: the device whose word counts where no back office has
    spoken. Not for more than one thread.
    """

    def __init__(self, log: ShopLog, queries: ViewQueries, own: bytes | None) -> None:
        self._log, self._queries, self._own = log, queries, own
        self._read: dict[bytes, Company] = {}

    def at(self, at_ms: int | None = None) -> Company:
        """What was said last, or at that moment (Unix milliseconds); of a time before anything was said, what
        was said first. As far as it is filed here; an empty one where nobody has said anything.
        Raises ``StorageError``.
        """
        rows = told_companies(self._queries, self._own)
        if not rows:
            return Company()
        before = [row for row in rows if at_ms is None or row.at_ms <= at_ms]
        return self._company(before[-1] if before else rows[0])

    def _company(self, row: CompanyRow) -> Company:
        if row.link not in self._read:
            try:
                found = read_company(entry_at(self._log, row.seq).body)
            except DamagedStore:
                return Company()  # Whoever walks through the store reports it.
            self._read[row.link] = found or Company()
        return self._read[row.link]


def say_company(replica: Replica, company: Company) -> Written:
    """Record who sells, in the chain of this register. Durable on return. Raises ``InvalidName``,
    ``StorageError``.
    """
    return replica.writer.write("jet", build_company(company))
