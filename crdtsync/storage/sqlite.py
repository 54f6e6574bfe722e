"""``Store`` in one SQLite file (by apsw), which several processes may use at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

import apsw

from crdtsync.errors import DamagedStore
from crdtsync.ids import ZERO_HASH
from crdtsync.storage.checksums import checksum
from crdtsync.storage.database import STATEMENTS_KEPT, Database
from crdtsync.storage.schema import SEQ_BITS, SEQ_MAX
from crdtsync.storage.sqlite_heads import Heads
from crdtsync.storage.sqlite_packing import SqliteLog
from crdtsync.storage.sqlite_shelf import PackShelf

BUSY_TIMEOUT_S = 5.0


_OF_A_SHOP = (
    *("chain", "document", "origin", "held_update", "cursor", "acknowledged", "refusal_given"),
    *("refusal_received", "apart", "state", "request"),
)


def make_for_owner_alone(path: Path) -> None:
    """Make a file that nobody else can read, if it is not there. SQLite gives its journal the same rights;
    what keeps it from being made, SQLite tells.
    """
    with suppress(OSError, ValueError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class SqliteStore:
    """One file of logs. Use it from one thread at a time; open one per thread and per process.

    ``create=False`` refuses to make a new store where none is (or where the file is empty). A new one can be
    read by its owner alone, whatever folder it lies in. ``vfs`` names the
    apsw VFS to use, for tests of faults. Raises ``NotAStore``, ``StoreTooNew``, ``ReadOnlyStore``,
    ``DamagedStore``, ``StoreBusy``, ``DiskFull``. May block for ``busy_timeout_s``. ``cache_kib``: how much
    of the file SQLite keeps in memory at most, for who reads little of it again; 2,000 unless told otherwise.
    ``statements_kept``: how many uses of others a compiled statement outlasts, see ``STATEMENTS_KEPT``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        create: bool = True,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        vfs: str | None = None,
        cache_kib: int | None = None,
        statements_kept: int = STATEMENTS_KEPT,
    ) -> None:
        self.path = Path(path)
        if create and not read_only and vfs is None:
            make_for_owner_alone(self.path)
        self._db = Database(
            os.fspath(path),
            read_only=read_only,
            create=create,
            busy_timeout_s=busy_timeout_s,
            vfs=vfs,
            statements_kept=statements_kept,
        )
        if cache_kib is not None:
            self._db.connection.pragma("cache_size", -cache_kib)
        self._shelf = PackShelf(self._db)
        self._logs: dict[bytes, SqliteLog] = {}
        self._written: list[Heads] = []
        self._created: list[bytes] = []

    @property
    def database(self) -> Database:
        """The open file, for tables derived from the log that live in it. Write to them inside
        ``transaction()`` only.
        """
        return self._db

    @property
    def connection(self) -> apsw.Connection:
        """The connection, for tables derived from the log that live in the same file. Write to them inside
        ``transaction()`` only.
        """
        return self._db.connection

    def shops(self) -> list[bytes]:
        """The ids of the shops in this store, oldest first."""
        return [shop for (shop,) in self._db.rows("SELECT id FROM shop ORDER BY no")]

    def newest_rows(self) -> dict[bytes, int]:
        """By shop, the number of the newest row that is not packed (0: there is none). Whatever is appended
        changes it, and it costs microseconds for each shop, so that a relay can look who has grown.
        """
        rows = self._db.rows(
            "SELECT id, ifnull((SELECT max(pos) - (no << ?1) FROM record"
            " WHERE pos BETWEEN no << ?1 AND (no << ?1) + ?2), 0) FROM shop",
            (SEQ_BITS, SEQ_MAX),
        )
        return dict(rows)

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
            (shop, log_id, ZERO_HASH, checksum(log_id, 0, ZERO_HASH)),
        )
        if found is not None:
            self._db.write("INSERT INTO origin VALUES (NULL, ?, NULL, 0)", found)
            self._created.append(shop)
        return self.shop(shop)

    def erase_shop(self, shop: bytes) -> None:
        """Delete everything of a shop, inside a transaction, in a file that nobody else has open. Raises
        ``KeyError`` for an unknown shop.
        """
        if not self._db.in_transaction:
            raise RuntimeError("a shop is erased inside Store.transaction() only")
        found = self._db.row("SELECT no FROM shop WHERE id = ?", (shop,))
        if found is None:
            raise KeyError(shop.hex())
        self._logs.pop(shop, None)
        [number] = found
        for table, key in (("pack_chain", "chain"), ("pack_document", "document"), ("pack_origin", "origin")):
            self._db.write(
                f"DELETE FROM {table} WHERE {key} IN (SELECT no FROM {key} WHERE shop = ?)",  # noqa: S608
                (number,),
            )
        for table in ("record", "stretch", "pack", "pack_hashes"):
            sql = f"DELETE FROM {table} WHERE pos BETWEEN ? AND ?"  # noqa: S608
            self._db.write(sql, (number << SEQ_BITS, (number << SEQ_BITS) + SEQ_MAX))
        for table in _OF_A_SHOP:
            self._db.write(f"DELETE FROM {table} WHERE shop = ?", (number,))  # noqa: S608
        self._db.write("DELETE FROM shop WHERE no = ?", (number,))

    def transaction(self) -> AbstractContextManager[None]:
        """The only way to write; see ``Store.transaction``."""
        return _Transaction(self._db, self._logs, self._written, self._created)

    def snapshot(self) -> AbstractContextManager[None]:
        """See ``Store.snapshot``."""
        return self._db.snapshot()

    def check(self) -> Iterator[DamagedStore]:
        """Check everything: the structure of the file, then every log (see ``SqliteLog.check``). Yields what
        is damaged as errors; nothing is changed. O(everything).
        """
        yield from self._db.check_structure()
        try:
            shops = self.shops()
        except DamagedStore as damage:
            yield damage
            return
        for shop in shops:
            try:
                yield from self.shop(shop).check()
            except DamagedStore as damage:
                yield damage

    def data_version(self) -> int:
        """Changes when another connection has committed. Costs microseconds."""
        return self._db.data_version()

    def close(self) -> None:
        """Close the file. Idempotent; a transaction under way is undone."""
        self._db.close()


class _Transaction:
    """The block of a transaction. A class, because generators cost a tenth of what a commit does."""

    def __init__(
        self, database: Database, logs: dict[bytes, SqliteLog], written: list[Heads], created: list[bytes]
    ) -> None:
        self._db = database
        self._logs = logs
        self._written = written
        self._created = created

    def __enter__(self) -> None:
        self._db.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self._undo()
            else:
                self._commit()
        finally:
            for log in self._written:
                log.end_writing()
            self._written.clear()
            self._created.clear()
        if isinstance(error, apsw.Error):
            raise self._db.storage_error(error) from error

    def _commit(self) -> None:
        try:
            for log in self._written:
                log.flush()
            self._db.commit()
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        for shop in self._created:
            # Whoever kept the log of a shop that is not there after all must not meet another shop's rows.
            self._logs.pop(shop).disown()
        self._db.rollback()
