"""``access.sqlite``: its tables. How a file is opened, locked and written is ``storage.database``'s part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from crdtsync.errors import ReadOnlyStore
from crdtsync.storage.database import Database

APPLICATION_ID: Final = 0x43724163
"""``CrAc`` in the header of the file: no other program's database, and no store, is taken for it."""

BUSY_TIMEOUT_S: Final = 5.0
"""`pair` beside `serve`: each transaction takes a few milliseconds."""

_TABLES: Final = """
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

_NOTED: Final = "CREATE TABLE noted (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

_REPLACES: Final = "ALTER TABLE code ADD COLUMN replaces BLOB;"
"""The device that whoever uses the code takes the place of."""

MIGRATIONS: Final = (_TABLES, _NOTED, _REPLACES)
"""``MIGRATIONS[i]`` leads from version i to version i + 1. Never change one that was released."""


def open_access_database(path: Path) -> Database:
    """A connection, to be used from one thread at a time. Raises ``StorageError`` and its kind."""
    try:
        # SQLite gives journal and shared memory the rights of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ReadOnlyStore(f"{path} cannot be written: {error.strerror}") from error
    return Database(
        str(path),
        read_only=False,
        create=True,
        busy_timeout_s=BUSY_TIMEOUT_S,
        application_id=APPLICATION_ID,
        migrations=MIGRATIONS,
    )
