"""Keeping the views in step with the log.

Views follow the log, in transactions of their own that are short, so that a sale never waits for one. Who
reads a view calls ``catch_up`` first; `run` does so after every commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from crdtsync.errors import DamagedStore, StorageError
from crdtsync.ids import ENTRY
from crdtsync.storage.log import ShopLog
from crdtsync.storage.views import EntryRows, ViewTables

BATCH_BYTES_MAX = 192 * 1024
"""About 200 sales: they are filed in 20 ms."""


class Transactions(Protocol):
    """Where the tables of the views lie: the store of the log, or a file of their own."""

    def transaction(self) -> AbstractContextManager[None]:
        """A whole transaction: all of it is on disk when the block has ended, or nothing."""
        ...


class ViewKeeper:
    """Fills the views of one shop from its log. ``store`` is where their tables lie."""

    def __init__(
        self,
        store: Transactions,
        log: ShopLog,
        tables: ViewTables,
        mend: Callable[[DamagedStore], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._mend = mend
        self._log = log
        self._tables = tables

    def transaction(self) -> AbstractContextManager[None]:
        """What writes to the tables of the views happens in one of these."""
        return self._store.transaction()

    def prepare(self) -> None:
        """Make the tables if they are not there in this version's shape."""
        if not self._tables.is_current():
            with self._store.transaction():
                self._tables.prepare()

    def rebuild(self) -> None:
        """Drop the views and make them again from the log."""
        with self._store.transaction():
            self._tables.drop()
            self._tables.prepare()
        self.catch_up()

    def lag(self) -> int:
        """How many records of the log are not in the views yet."""
        while True:
            try:
                return self._log.end.seq - self._tables.seq(self._log.shop)
            except DamagedStore as damage:
                if not self._mend(damage):
                    raise

    def catch_up(
        self, progress: Callable[[int], None] = lambda _: None, *, go_on: Callable[[], bool] = lambda: True
    ) -> None:
        """File all entries that came since. ``progress`` is told the lag after each transaction, ``go_on`` is
        asked whether there should be another one.

        A record that is damaged is set apart or else passed over: the rest is shown.
        """
        if self.lag() < 0:
            # Made from another log than this one: nothing of them is believed.
            self.rebuild()
        while True:
            start = self._tables.seq(self._log.shop)
            records, through = self._read(start)
            if through == start:
                return
            self._file(start, records, through)
            progress(self._log.end.seq - through)
            if not go_on():
                return

    def catch_up_a_little(self, bytes_max: int = BATCH_BYTES_MAX, *, lag_rows_max: int | None = None) -> None:
        """File one transaction's worth (some 200 entries, 20 ms, or fewer) of what came since. Where the disk
        cannot take it, the views go on lagging. With ``lag_rows_max``, views that lag further are left to
        others, unless they hold nothing yet.
        """
        try:
            start, lag = self._tables.seq(self._log.shop), self.lag()
            if lag <= 0 or (lag_rows_max is not None and lag > lag_rows_max and start):
                return
            records, through = self._read(start, bytes_max)
            if start < through:
                self._file(start, records, through)
        except StorageError:
            return

    def _file(self, start: int, records: Sequence[tuple[int, bytes]], through: int) -> None:
        rows = [(seq, entry_rows(record)) for seq, record in records if record[:1] == ENTRY]
        with self._store.transaction():
            # Another process may have filed them meanwhile.
            if self._tables.seq(self._log.shop) == start:
                self._tables.file_entries(self._log.shop, rows, through=through)

    def _read(self, after: int, bytes_max: int = BATCH_BYTES_MAX) -> tuple[Sequence[tuple[int, bytes]], int]:
        """Some records after seq ``after``, and the seq up to which they reach; past what is damaged."""
        try:
            batch = self._log.read(after, bytes_max=bytes_max)
        except DamagedStore as error:
            if self._mend(error):
                return self._read(after, bytes_max)
            if error.seq is None or error.seq <= after:
                raise
            if error.seq == after + 1:
                return (), error.seq
            # One record at a time up to the damage.
            batch = self._log.read(after, bytes_max=1)
        return batch.records, batch.to.seq


def entry_rows(record: bytes) -> EntryRows:
    """The rows of an entry's record."""
    # Reading an entry needs the signature module; commands that only look at the log do without it.
    from crdtsync.model.entry import read_admitted
    from crdtsync.model.views import project

    return project(read_admitted(record[1:]))
