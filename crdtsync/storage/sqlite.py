"""``Store`` in one SQLite file (by apsw), which several processes may use at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import apsw

from crdtsync.ids import ZERO_HASH
from crdtsync.storage.database import Database
from crdtsync.storage.sqlite_base import LogBase, shop_crc
from crdtsync.storage.sqlite_packing import SqliteLog
from crdtsync.storage.sqlite_shelf import PackShelf

BUSY_TIMEOUT_S = 5.0


class SqliteStore:
    """One file of logs. Use it from one thread at a time; open one per thread and per process.

    ``create=False`` refuses to make a new store where none is (or where the file is empty). ``vfs`` names the
    apsw VFS to use, for tests of faults. Raises ``NotAStore``, ``StoreTooNew``, ``ReadOnlyStore``,
    ``DamagedStore``, ``StoreBusy``, ``DiskFull``. May block for ``busy_timeout_s``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        create: bool = True,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        vfs: str | None = None,
    ) -> None:
        self.path = Path(path)
        self._db = Database(
            os.fspath(path), read_only=read_only, create=create, busy_timeout_s=busy_timeout_s, vfs=vfs
        )
        self._shelf = PackShelf(self._db)
        self._logs: dict[bytes, SqliteLog] = {}
        self._written: list[LogBase] = []

    @property
    def connection(self) -> apsw.Connection:
        """The connection, for tables derived from the log that live in the same file. Write to them inside
        ``transaction()`` only.
        """
        return self._db.connection

    def shops(self) -> list[bytes]:
        """The ids of the shops in this store, oldest first."""
        return [shop for (shop,) in self._db.rows("SELECT id FROM shop ORDER BY no")]

    def shop(self, shop: bytes) -> SqliteLog:
        """The log of a shop. Raises ``KeyError`` for an unknown shop."""
        log = self._logs.get(shop)
        if log is None:
            found = self._db.row("SELECT no FROM shop WHERE id = ?", (shop,))
            if found is None:
                raise KeyError(shop.hex())
            log = self._logs[shop] = SqliteLog(self._db, self._shelf, found[0], shop, self._written.append)
        return log

    def create_shop(self, shop: bytes, log_id: bytes) -> SqliteLog:
        """Inside a transaction. An existing shop is returned as it is."""
        if not self._db.in_transaction:
            raise RuntimeError("a shop is created inside Store.transaction() only")
        found = self._db.row(
            "INSERT INTO shop VALUES (NULL, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING RETURNING no",
            (shop, log_id, ZERO_HASH, shop_crc(log_id, 0, ZERO_HASH)),
        )
        if found is not None:
            self._db.write("INSERT INTO origin VALUES (NULL, ?, NULL, 0)", found)
        return self.shop(shop)

    def transaction(self) -> AbstractContextManager[None]:
        """The only way to write; see ``Store.transaction``."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        shops = set(self._logs)
        with self._ended(shops), self._db.whole_transaction():
            yield
            for log in self._written:
                log.flush()

    @contextmanager
    def _ended(self, shops: set[bytes]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            # A shop that was created in a transaction that failed is not there any more.
            for shop in set(self._logs) - shops:
                del self._logs[shop]
            raise
        finally:
            for log in self._written:
                log.end_writing()
            self._written.clear()

    def data_version(self) -> int:
        """Changes when another connection has committed. Costs microseconds."""
        return self._db.data_version()

    def close(self) -> None:
        """Close the file. Idempotent; a transaction under way is undone."""
        self._db.close()
