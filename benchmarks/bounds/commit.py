"""A bare commit: one row of so many bytes into SQLite, in a transaction of its own, with fsync."""

from __future__ import annotations

import os
from pathlib import Path

import apsw


class BareCommits:
    """A table of bytes. WAL and ``synchronous=FULL``, as the product's store."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        self._connection.execute("CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, bytes BLOB)")

    def commit(self, row_bytes: int, rows: int = 1) -> None:
        """Durable on return."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for _ in range(rows):
            execute("INSERT INTO record (bytes) VALUES (?)", (os.urandom(row_bytes),))
        execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
