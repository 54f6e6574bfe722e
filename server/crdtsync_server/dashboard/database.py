"""``office.sqlite``: accounts, sessions, who changed what in the catalogue from here, and invoices.

Nothing in it is a part of a log, and nothing in it is needed to synchronise.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Final

from crdtsync.errors import ReadOnlyStore, StorageError
from crdtsync.storage.database import Database
from crdtsync_server.folder import DataFolder

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

_INVOICES: Final = """
CREATE TABLE company (shop BLOB PRIMARY KEY, facts TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE invoice (
    shop BLOB NOT NULL, series TEXT NOT NULL, no INTEGER NOT NULL, number TEXT NOT NULL, ticket TEXT NOT NULL,
    link BLOB NOT NULL, issued_ms INTEGER NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (shop, series, no)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX invoice_by_number ON invoice (shop, number);
CREATE UNIQUE INDEX invoice_by_link ON invoice (shop, link);
"""

_NAMES_OF_A_SHOP: Final = """
CREATE TABLE account_of_shop (
    id BLOB PRIMARY KEY, shop BLOB NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL,
    role TEXT NOT NULL, hash TEXT, locale TEXT, created_ms INTEGER NOT NULL, ended_ms INTEGER,
    UNIQUE (shop, folded)
) STRICT, WITHOUT ROWID;
INSERT INTO account_of_shop SELECT * FROM account;
DROP TABLE account;
ALTER TABLE account_of_shop RENAME TO account;
"""

MIGRATIONS: Final = (_TABLES, _INVOICES, _NAMES_OF_A_SHOP)
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


def views_path(folder: Path, shop: bytes) -> Path:
    """Where the views of a shop are."""
    return folder / f"{shop.hex()}.sqlite"


def remove_views(path: Path) -> None:
    """Remove a file of views, if it is there. Raises ``OSError``."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def erase_office(folder: DataFolder, shop: bytes) -> None:
    """Erase what the back office has of a shop, while nobody serves it: its views, its people and where they
    are signed in, who changed what. Durable on return, idempotent. Raises ``StorageError``.
    """
    try:
        remove_views(views_path(folder.office_views, shop))
    except OSError as error:
        raise StorageError(f"{folder.office_views} cannot be emptied: {error.strerror}") from error
    if not folder.office.exists():
        return
    with closing(OfficeDatabase(folder.office)) as database:
        with database.transaction():
            for table in ("link", "session", "upload"):
                sql = f"DELETE FROM {table} WHERE account IN (SELECT id FROM account WHERE shop = ?)"  # noqa: S608
                database.write(sql, (shop,))
            for table in ("account", "product_change", "price_author", "company", "invoice"):
                database.write(f"DELETE FROM {table} WHERE shop = ?", (shop,))  # noqa: S608
        database.write("VACUUM")
