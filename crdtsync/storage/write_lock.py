"""Whether a store can be written at this moment, who is in the way, and how one waits for them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import apsw

LOCKS: Final = Path("/proc/locks")

_WRITE_LOCK_BYTE: Final = 120
"""Of the file by which processes share a store in WAL mode (SQLite, walformat.html, section 2.3)."""


FIRST_LOOKS: Final = 5
FIRST_PAUSE_S: Final = 0.001
PAUSE_S: Final = 0.004


class Patience:
    """A busy handler of SQLite: waits for the lock of another writer, ``timeout_s`` at most.

    SQLite's own one looks every tenth of a second in the end. Where others write one transaction after the
    other, it finds the lock taken each time, and a sale is refused that had fifty chances in five seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until_s = 0.0

    def __call__(self, looks: int) -> bool:
        """Whether to look again, after a pause. ``looks``: how often it was looked for this lock before."""
        now_s = time.monotonic()
        if looks == 0:
            self._until_s = now_s + self._timeout_s
        if now_s >= self._until_s:
            return False
        pause_s = FIRST_PAUSE_S if looks < FIRST_LOOKS else PAUSE_S
        time.sleep(min(pause_s, self._until_s - now_s))
        return True


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
