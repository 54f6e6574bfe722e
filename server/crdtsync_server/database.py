"""``access.sqlite``: opened, migrated, written by several processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from crdtsync.errors import (
    DamagedStore,
    DiskFull,
    NotAStore,
    ReadOnlyStore,
    StorageError,
    StoreBusy,
    StoreTooNew,
)

APPLICATION_ID = 0x63727361
"""``crsa`` in the file's header: no other program's database is taken for ours."""

SCHEMA_VERSION = 1

BUSY_TIMEOUT_MS = 5_000
"""`pair` beside `serve`: each transaction takes a few milliseconds."""

_SCHEMA = """
CREATE TABLE shop (
    id BLOB PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE code (
    selector TEXT PRIMARY KEY, shop BLOB NOT NULL, role TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL,
    created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, used_ms INTEGER, device BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX code_by_shop ON code (shop);
CREATE TABLE attempt (at_ms INTEGER NOT NULL, address TEXT NOT NULL, shop BLOB) STRICT;
CREATE INDEX attempt_by_address ON attempt (address, at_ms);
CREATE INDEX attempt_by_shop ON attempt (shop, at_ms) WHERE shop IS NOT NULL;
CREATE INDEX attempt_by_time ON attempt (at_ms);
"""


class AccessDatabase:
    """One connection. Use from one thread at a time. Every method raises ``StorageError`` and its kind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translated():
            # SQLite gives journal and shared memory the rights of the file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = apsw.Connection(str(path))
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # A code that was taken stays taken: full, although nothing here is a sale.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._migrate()

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """The only way to write: takes the write lock at once, durable when the block ends."""
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, and then says so.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, statement: str, values: tuple[Any, ...] = ()) -> apsw.Cursor:
        """Run a query."""
        with self._translated():
            return self._connection.execute(statement, values)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _migrate(self) -> None:
        found = (self._connection.pragma("application_id"), self._connection.pragma("user_version"))
        if found == (APPLICATION_ID, SCHEMA_VERSION):
            return
        with self.transaction() as db:
            application = db.pragma("application_id")
            version = db.pragma("user_version")
            if version == 0 and application == 0:
                db.execute(_SCHEMA)
                db.pragma("application_id", APPLICATION_ID)
                db.pragma("user_version", SCHEMA_VERSION)
            elif application != APPLICATION_ID:
                raise NotAStore(f"{self._path} belongs to another program")
            elif version > SCHEMA_VERSION:
                raise StoreTooNew(f"{self._path} was written by a newer crdtsync-relay")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except apsw.BusyError as error:
            raise StoreBusy(f"{self._path} is locked by another process") from error
        except apsw.FullError as error:
            raise DiskFull(f"no space left for {self._path}") from error
        except (apsw.ReadOnlyError, apsw.CantOpenError, PermissionError) as error:
            raise ReadOnlyStore(f"{self._path} cannot be written") from error
        except apsw.NotADBError as error:
            raise NotAStore(f"{self._path} is no database") from error
        except apsw.CorruptError as error:
            raise DamagedStore(
                f"{self._path} is damaged",
                hint="move it away: shops and devices are in relay.sqlite, only open pairing codes are lost",
            ) from error
        except (apsw.Error, OSError) as error:
            raise StorageError(f"{self._path}: {error}") from error
