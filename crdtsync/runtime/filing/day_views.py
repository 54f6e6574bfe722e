"""Some business days in memory, while the views on disk are still years behind.

A register that has just joined an old shop, or whose views are made again, files its past for minutes. Today
is shown all the same: its entries are found by their documents and filed into tables like those on disk, and
the same questions are asked of them. Beside the days themselves everything is filed that names them: the
owner's entries (devices), and of each chain the first entry and the newest ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from crdtsync.ids import ENTRY, OWNER_DOCUMENT
from crdtsync.runtime.filing.views import entry_rows
from crdtsync.storage.log import ShopLog
from crdtsync.storage.scratch import ScratchDatabase
from crdtsync.storage.view_place import Placed
from crdtsync.storage.view_queries import TicketRow, ViewQueries
from crdtsync.storage.views import ViewTables


class DayViews:
    """Views of those business days that were asked for; see ``ViewQueries``. Close it after use."""

    def __init__(self, log: ShopLog, *days: str) -> None:
        """What every day needs, and these days. O(chains, devices and what was recorded in the days); raises
        ``StorageError``.
        """
        self._log = log
        self._days: set[str] = set()
        self._filed: set[int] = set()
        self._database = ScratchDatabase()
        try:
            self._tables = ViewTables(self._database)
            with self._database.whole_transaction():
                self._tables.prepare()
            self.queries = ViewQueries(self._database, log.shop)
            self._file(log.document_records(OWNER_DOCUMENT))
            self._file(self._ends_of_chains())
            for day in days:
                self.add(day)
        except BaseException:
            self._database.close()
            raise

    def add(self, day: str) -> None:
        """File one more business day. O(what was recorded in it)."""
        if day not in self._days:
            for name in self._ledgers.get(day, ()):
                self._file(self._log.document_records(name))
            self._days.add(day)

    def newest_tickets(
        self, *, device: bytes | None, older_than: Placed | None, rows_max: int
    ) -> list[TicketRow]:
        """As ``ViewQueries.tickets``: of as many days as it takes, the newest first."""
        found: list[TicketRow] = []
        for day in sorted(self._ledgers, reverse=True):
            if older_than is not None and day > older_than.day:
                continue
            self.add(day)
            found += self.queries.tickets(
                day=day, device=device, older_than=older_than, rows_max=rows_max - len(found)
            )
            if len(found) >= rows_max:
                break
        return found

    def close(self) -> None:
        """Forget it."""
        self._database.close()

    @cached_property
    def _ledgers(self) -> dict[str, list[str]]:
        """The names of the ledgers of each business day."""
        days: dict[str, list[str]] = {}
        for row in self._log.documents():
            if row.name.startswith("ledger/"):
                days.setdefault(row.name.rsplit("/", 1)[1], []).append(row.name)
        return days

    def _ends_of_chains(self) -> Iterator[tuple[int, bytes]]:
        newest: dict[bytes, int] = {}
        for run in self._log.runs():
            newest[run.chain] = max(run.hi, newest.get(run.chain, 0))
        for chain, hi in newest.items():
            for n in {1, hi}:
                yield from ((seq, ENTRY + sealed) for seq, sealed in self._log.chain_entries(chain, n, n))

    def _file(self, records: Iterator[tuple[int, bytes]]) -> None:
        fresh = {seq: record for seq, record in records if record[:1] == ENTRY and seq not in self._filed}
        with self._database.whole_transaction():
            rows = ((seq, entry_rows(record)) for seq, record in fresh.items())
            self._tables.file_entries(self._log.shop, rows, through=0)
        self._filed |= fresh.keys()
