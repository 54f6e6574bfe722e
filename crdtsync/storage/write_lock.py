"""Whether a store can be written at this moment, and who is in the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import apsw

LOCKS: Final = Path("/proc/locks")

_WRITE_LOCK_BYTE: Final = 120
"""Of the file by which processes share a store in WAL mode (SQLite, walformat.html, section 2.3)."""


def is_kept_locked(path: Path, wait_s: float) -> bool:
    """Whether another process keeps the write lock for as long as one waits here. Writes nothing; who
    records something meanwhile waits for some microseconds. False where it cannot be found out.
    """
    try:
        connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error:
        return False
    try:
        connection.set_busy_timeout(int(wait_s * 1000))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except apsw.BusyError:
        return True
    except apsw.Error:  # Whoever opens the store says what is wrong with it.
        return False
    finally:
        connection.close(True)
    return False


def who_keeps(path: Path, locks: Path | None = None) -> int | None:
    """The process that has the write lock of a store now, if the system says so (Linux does)."""
    try:
        inode = os.stat(f"{path}-shm").st_ino
        lines = (locks or LOCKS).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        # proc(5): number, class, mode, type, process, device:inode, first and last byte; "->": it waits.
        fields = line.split()
        if len(fields) != 8 or fields[3] != "WRITE" or fields[5].rpartition(":")[2] != str(inode):
            continue
        last = fields[7]
        if int(fields[6]) <= _WRITE_LOCK_BYTE and (last == "EOF" or int(last) >= _WRITE_LOCK_BYTE):
            return int(fields[4]) if int(fields[4]) > 0 else None
    return None
