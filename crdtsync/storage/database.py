"""One SQLite file: opened safely, written in whole transactions, its errors put in our words.

SQLite is apsw's everywhere: two SQLite libraries in one process lose each other's locks on a file. The
file is in WAL mode with ``synchronous=FULL``: a commit that returned is on disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw

from crdtsync.errors import DamagedStore, NotAStore, ReadOnlyStore, StorageError, StoreBusy, StoreTooNew
from crdtsync.storage import schema
from crdtsync.storage.sqlite_errors import file_at, has_no_room_to_share, meaning
from crdtsync.storage.write_lock import Patience

SYNCHRONOUS_FULL: Final = 2
PAGE_BYTES_MIN: Final = 512
WAL_BYTES_KEPT: Final = 64 << 20
"""What a long reader made the WAL grow beyond this is given back to the disk."""

ROWS_PER_STATEMENT: Final = 64
"""Far below SQLite's limit of 32,766 values. Other numbers of rows are put together of powers of two: for a
length of its own each statement would be compiled anew, which costs more than to run it.
"""

STATEMENTS_KEPT: Final = 100
"""So many uses of others later a statement is compiled anew, however few different ones these were."""

Row = tuple[Any, ...]
Values = Sequence[Any]

_REMOVED: Final = (
    "stop this program, put back the file that was there, and start again: what was recorded before is in it"
)

_READ_ONLY: Final = "let it be written, or look at a copy of its folder on another disk: lists lag behind"

_UNDER_WAY: Final = nullcontext()
"""A snapshot where there is one, or a transaction."""


class Database:
    """A connection to one file, and to no other that comes in its place: once it is removed or replaced
    nothing more is written, for nobody would find it. ``generation`` changes whenever what was cached of the
    file may be old, ``rollbacks`` when that is because changes of this connection were undone.

    ``application_id`` and ``migrations`` say what sort of file it is: a store, unless told otherwise.
    ``whatever_is_left``: see ``read_whatever_is_left``.
    """

    def __init__(
        self,
        path: str,
        *,
        read_only: bool,
        create: bool,
        busy_timeout_s: float,
        vfs: str | None = None,
        whatever_is_left: bool = False,
        statements_kept: int = STATEMENTS_KEPT,
        application_id: int = schema.APPLICATION_ID,
        migrations: Sequence[str] = schema.MIGRATIONS,
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.generation = 0
        self.rollbacks = 0
        self.in_transaction = False
        self._depth = 0
        self._open_cursors: set[apsw.Cursor] = set()
        self._deferred: dict[str, list[Values]] = {}
        self._deferred_failed = False
        self._version = self._file_version = -1
        self._files: dict[str, tuple[int, int]] = {}
        self._busy_timeout_s = busy_timeout_s
        self._statements_kept = statements_kept
        self._application_id = application_id
        self._migrations = migrations
        size = os.path.getsize(path) if os.path.exists(path) else 0
        if not size and (read_only or not create):
            raise NotAStore(f"there is no store at {path}")
        if 0 < size < PAGE_BYTES_MIN:
            # SQLite takes a file of a few bytes for an empty one, and would write over it.
            raise NotAStore(f"{path} is not a store of crdtsync, or is cut off")
        whole = os.path.abspath(path)  # Whoever opened it may change to another folder.
        file_before = file_at(whole) if vfs is None else None
        with self._translated():
            self.connection = self._connect(vfs, create=create)
        try:
            with self._translated():
                if whatever_is_left:
                    read_whatever_is_left(self.connection)
                self._prepare()
            # Whoever waited for a lock meanwhile has the file that it opened, not the one that is there now.
            if file_before is not None and file_at(whole) != file_before:
                raise StoreBusy(f"{path} was replaced as it was opened", hint="try again")
            if vfs is None and not read_only:
                self._files = {name: file for name in (whole, whole + "-wal") if (file := file_at(name))}
        except BaseException:
            self.close()
            raise

    # -- statements -------------------------------------------------------------------------------------

    def write(self, sql: str, values: Values = ()) -> None:
        """Run a statement that gives no rows."""
        try:
            self._write_deferred()
            self.connection.execute(sql, values)
        except apsw.Error as error:
            raise self.storage_error(error) from error

    def write_many(self, sql: str, rows: Sequence[Values]) -> None:
        """Run a statement once per row of values."""
        try:
            self._write_deferred()
            self.connection.executemany(sql, rows)
        except apsw.Error as error:
            raise self.storage_error(error) from error

    def insert_many(self, into: str, rows: Sequence[Values], after: str = "") -> None:
        """Insert rows, all of one width, many with each statement: ``into`` is what stands before ``VALUES``,
        ``after`` what follows.

        Each statement gives up the interpreter's lock. Where another thread computes it comes back some
        milliseconds later: with a statement for each row, 6,400 of them take 1.2 s instead of 5 ms.
        """
        try:
            self._write_deferred()
            self._insert(into, rows, after)
        except apsw.Error as error:
            raise self.storage_error(error) from error

    def defer(self, into: str, values: Values) -> None:
        """Insert a row, inside a transaction, together with others: before the next statement of any other
        sort, or at the commit. What is wrong with it shows only then, and whoever passes over that error
        cannot commit any more.
        """
        self._deferred.setdefault(into, []).append(values)

    def _write_deferred(self) -> None:
        if self._deferred:
            deferred, self._deferred = self._deferred, {}
            self._deferred_failed = True
            for into, rows in deferred.items():
                self._insert(into, rows, "")
            self._deferred_failed = False

    def _insert(self, into: str, rows: Sequence[Values], after: str) -> None:
        first, size = 0, ROWS_PER_STATEMENT
        while first < len(rows):
            while size > len(rows) - first:
                size //= 2
            values = [value for values in rows[first : first + size] for value in values]
            self.connection.execute(f"{into} {_places(size, len(rows[first]))} {after}", values)
            first += size

    def update_many(self, update: str, place: str, rows: Sequence[Values]) -> None:
        """Update rows, many with each statement, for the reason of ``insert_many``. ``update`` is what stands
        before ``FROM`` and speaks of the values as ``new.column1`` and so on, ``place`` the condition.
        """
        try:
            self._write_deferred()
            for first in range(0, len(rows), ROWS_PER_STATEMENT):
                part = rows[first : first + ROWS_PER_STATEMENT]
                size = 1 << (len(part) - 1).bit_length()
                part = [*part, *[part[-1]] * (size - len(part))]  # To set a row twice changes nothing.
                values = [value for values in part for value in values]
                source = f"({_places(size, len(part[0]))}) AS new"
                self.connection.execute(f"{update} FROM {source} WHERE {place}", values)
        except apsw.Error as error:
            raise self.storage_error(error) from error

    def row(self, sql: str, values: Values = ()) -> Row | None:
        """The first row, if there is one."""
        try:
            self._write_deferred()
            found: Row | None = self.connection.execute(sql, values).fetchone()
        except apsw.Error as error:
            raise self.storage_error(error) from error
        return found

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows."""
        try:
            self._write_deferred()
            return self.connection.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise self.storage_error(error) from error

    def each(self, sql: str, values: Values = ()) -> Iterator[Row]:
        """The rows one by one. Only within ``snapshot`` or a transaction: the statement stays open."""
        try:
            self._write_deferred()
            cursor = self.connection.execute(sql, values)
            self._open_cursors.add(cursor)
            try:
                yield from cursor
            finally:
                self._open_cursors.discard(cursor)
                cursor.close(True)
        except apsw.Error as error:
            raise self.storage_error(error) from error

    # -- transactions -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the write lock. Raises ``StoreBusy``, ``ReadOnlyStore``, ``StorageError``."""
        if self.in_transaction:
            raise RuntimeError("a transaction is under way already")
        if self._depth:
            raise RuntimeError("a transaction cannot begin inside a read")
        if self.read_only:
            raise ReadOnlyStore(f"{self.path} was opened for reading only", hint=_READ_ONLY)
        for name, file in self._files.items():
            if file_at(name) != file:  # Commits would go on succeeding, into a file without a name.
                raise StorageError(
                    f"{name} was removed or replaced while it was in use: nothing more is recorded",
                    hint=_REMOVED,
                )
        self.write("BEGIN IMMEDIATE")
        self.in_transaction = True
        try:
            if self._file_version != self.connection.data_version():
                self.poll()
        except BaseException:
            self.rollback()
            raise

    def commit(self) -> None:
        """Commit with fsync. After an error the transaction is still to be rolled back."""
        if self._deferred_failed:
            raise StorageError(f"{self.path}: a row could not be written, and with it nothing is")
        self.write("COMMIT")
        self.in_transaction = False
        # Counts what others commit too, once this connection reads again. Costs nothing; `poll` does.
        self._file_version = self.connection.data_version()

    def rollback(self) -> None:
        """Undo the transaction; afterwards the connection can be used again, whatever went wrong."""
        self.in_transaction = False
        self.generation += 1
        self.rollbacks += 1
        self._deferred.clear()
        self._deferred_failed = False
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except apsw.Error as error:
            if self.connection.in_transaction:
                raise self.storage_error(error) from error

    def snapshot(self) -> AbstractContextManager[None]:
        """Several reads of one committed state (or of the transaction under way)."""
        return _UNDER_WAY if self.in_transaction or self._depth else _Snapshot(self)

    def begin_snapshot(self) -> None:
        """See ``snapshot``."""
        self.write("BEGIN")
        self._depth += 1
        try:
            self.poll()
        except BaseException:
            self.end_snapshot()
            raise

    def end_snapshot(self) -> None:
        """See ``snapshot``."""
        self._depth -= 1
        # An error that somebody keeps holds the frames that it went through, and with them a statement
        # that is not finished: left open, it would keep this connection in the past for ever.
        while self._open_cursors:
            self._open_cursors.pop().close(True)
        if self.connection.in_transaction:
            self.write("COMMIT")

    def poll(self) -> None:
        """Notice what other connections committed: then what was cached is old."""
        version = self.data_version()
        if version != self._version:
            self._version = version
            self.generation += 1

    def refresh(self) -> None:
        """``poll`` where that is needed: not inside a transaction or a snapshot, which polled already."""
        if not self.in_transaction and not self._depth:
            self.poll()

    def data_version(self) -> int:
        """SQLite's counter of other connections' commits."""
        found = self.row("PRAGMA data_version")
        return int(found[0]) if found else 0

    def check_structure(self) -> Iterator[DamagedStore]:
        """What SQLite itself finds wrong with the file. O(everything)."""
        try:
            found = self.rows("PRAGMA integrity_check")
        except DamagedStore as damage:
            yield damage
            return
        for (line,) in found:
            if line != "ok":
                says = "; ".join(part for part in line.split("\n") if not part.startswith("***"))
                yield DamagedStore(f"the structure of {self.path} is damaged (SQLite: {says})")

    def close(self) -> None:
        """Close the connection. Idempotent; an unfinished transaction is undone."""
        self.in_transaction = False
        try:
            self.connection.close(True)
        except apsw.Error:
            # The last connection checkpoints when it closes; where that fails, the WAL is read next time.
            self.connection.close(True)

    # -- opening ----------------------------------------------------------------------------------------

    def _connect(self, vfs: str | None, *, create: bool) -> apsw.Connection:
        if not self.read_only:
            flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
            return apsw.Connection(self.path, flags=flags, vfs=vfs, statementcachesize=self._statements_kept)
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        uri = Path(os.path.abspath(self.path)).as_uri() if vfs is None else "file:" + quote(self.path)
        wal, folder = self.path + "-wal", os.path.dirname(os.path.abspath(self.path))
        # Where no shared memory file can be made and no WAL is left, nobody can be writing.
        has_wal = os.path.exists(wal) and os.path.getsize(wal)
        if not has_wal and (not os.access(folder, os.W_OK) or has_no_room_to_share(uri, flags, vfs)):
            uri += "?immutable=1"
        return apsw.Connection(uri, flags=flags, vfs=vfs)

    def _prepare(self) -> None:
        connection = self.connection
        connection.set_busy_handler(Patience(self._busy_timeout_s))
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # Else other values compile a statement anew.
        self._recognise()
        if not self.read_only:
            self._use_wal()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
        connection.execute("PRAGMA foreign_keys=OFF")
        if connection.pragma("synchronous") != SYNCHRONOUS_FULL:
            raise StorageError(f"SQLite does not keep {self.path} with synchronous=FULL")
        self._migrate()

    def _recognise(self) -> None:
        # Before the header: another process may be making the file, and writes both in one transaction.
        is_empty = not self.connection.pragma("schema_version")
        application, version = self._header()
        may_be_made = is_empty and not application and not self.read_only
        if application != self._application_id and not may_be_made:
            raise NotAStore(f"{self.path} is not a store of crdtsync")
        if version > len(self._migrations):
            raise StoreTooNew(f"{self.path} was written by a newer version of crdtsync")

    def _header(self) -> tuple[int, int]:
        return int(self.connection.pragma("application_id")), int(self.connection.pragma("user_version"))

    def _use_wal(self) -> None:
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                mode = self.connection.pragma("journal_mode", "wal")
                break
            except apsw.BusyError:
                # This one lock is taken without waiting; two processes that create a store meet here.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        if mode != "wal":
            raise StorageError(f"SQLite cannot keep {self.path} in WAL mode on this disk")

    def _migrate(self) -> None:
        if self._header()[1] == len(self._migrations):
            return
        if self.read_only:
            raise ReadOnlyStore(f"{self.path} is of an older version and has to be opened for writing once")
        with self.whole_transaction():
            # Another process may have done it meanwhile.
            _, version = self._header()
            for number, script in enumerate(self._migrations[version:], start=version + 1):
                self.connection.execute(script)
                self.connection.execute(f"PRAGMA user_version={number}")
            self.connection.execute(f"PRAGMA application_id={self._application_id}")

    @contextmanager
    def whole_transaction(self) -> Iterator[None]:
        """``begin`` to ``commit``, with ``rollback`` where the block or the commit fails."""
        self.begin()
        try:
            yield
            self.commit()
        except apsw.Error as error:
            self.rollback()
            raise self.storage_error(error) from error
        except BaseException:
            self.rollback()
            raise

    # -- errors -----------------------------------------------------------------------------------------

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise self.storage_error(error) from error

    def storage_error(self, error: apsw.Error) -> Exception:
        """What an error of SQLite means for whoever keeps sales in this file."""
        return meaning(error, self.path)


def read_whatever_is_left(connection: apsw.Connection) -> None:
    """Let a file be read of which the end is gone, or of which the list of tables is damaged. Without it
    SQLite gives nothing of a file that has fewer pages than its header says. Nothing is written by it.
    """
    connection.execute("PRAGMA writable_schema=ON")


@lru_cache(maxsize=128)
def _places(rows: int, width: int) -> str:
    """``VALUES`` with a place for each value."""
    row = f"({', '.join('?' * width)})"
    return f"VALUES {', '.join([row] * rows)}"


class _Snapshot:
    """The block of a snapshot. A class, because a generator costs more than what most of them read."""

    __slots__ = ("_db",)

    def __init__(self, database: Database) -> None:
        self._db = database

    def __enter__(self) -> None:
        self._db.begin_snapshot()

    def __exit__(self, *error: object) -> None:
        self._db.end_snapshot()
