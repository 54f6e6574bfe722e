"""``office.sqlite``: accounts, sessions, and who changed what in the catalogue from here.

Nothing in it is a part of a log, and nothing in it is needed to synchronise.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from crdtsync.errors import ReadOnlyStore
from crdtsync.storage.database import Database

APPLICATION_ID: Final = 0x43724F66
"""``CrOf`` in the header of the file."""

VIEWS_APPLICATION_ID: Final = 0x43724F76
"""``CrOv``: the views of one shop, which can be dropped and made again."""

BUSY_TIMEOUT_S: Final = 5.0

_TABLES: Final = """
CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE account (
    id BLOB PRIMARY KEY, shop BLOB NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL, hash TEXT, locale TEXT, created_ms INTEGER NOT NULL, ended_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX account_by_shop ON account (shop);
CREATE TABLE link (
    hash BLOB PRIMARY KEY, account BLOB NOT NULL, expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
    hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, account BLOB NOT NULL, token TEXT NOT NULL,
    created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_account ON session (account);
CREATE TABLE attempt (at_ms INTEGER NOT NULL, address TEXT NOT NULL, name TEXT NOT NULL) STRICT;
CREATE INDEX attempt_by_address ON attempt (address, at_ms);
CREATE INDEX attempt_by_name ON attempt (name, at_ms);
CREATE TABLE upload (
    account BLOB PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE product_change (
    shop BLOB NOT NULL, sku TEXT NOT NULL, no INTEGER NOT NULL, at_ms INTEGER NOT NULL, device BLOB,
    account TEXT, differences TEXT NOT NULL, PRIMARY KEY (shop, sku, no)
) STRICT, WITHOUT ROWID;
CREATE TABLE price_author (
    shop BLOB NOT NULL, change TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY (shop, change)
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: Final = (_TABLES,)
"""``MIGRATIONS[i]`` leads from version i to version i + 1. Never change one that was released."""


class OfficeDatabase(Database):
    """One file of the back office, for one thread. It is made, for its owner's eyes only, if it is missing.

    Raises ``StorageError`` and its kind.
    """

    def __init__(self, path: Path, application_id: int = APPLICATION_ID) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives journal and shared memory the rights of the file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ReadOnlyStore(f"{path} cannot be written: {error.strerror}") from error
        super().__init__(
            str(path),
            read_only=False,
            create=True,
            busy_timeout_s=BUSY_TIMEOUT_S,
            application_id=application_id,
            migrations=MIGRATIONS if application_id == APPLICATION_ID else ("SELECT 1;",),
        )

    transaction = Database.whole_transaction
