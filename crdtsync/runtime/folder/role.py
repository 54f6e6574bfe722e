"""Roles that one process at a time may hold: synchronising a register, serving a relay's folder.

A role is a lock file. The lock is the kernel's: it goes when the process goes, however that happens.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from crdtsync.errors import ReadOnlyStore, RoleTaken

SYNC_LOCK = "sync.lock"
"""In a register's folder: the role of synchronising it."""


@contextmanager
def hold_role(path: Path, taken: str, *, hint: str) -> Iterator[None]:
    """Hold the role whose lock file is ``path``. Does not wait.

    Raises ``RoleTaken`` (``taken`` says what the other process does; its id is added), ``ReadOnlyStore``.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ReadOnlyStore(f"{path} cannot be opened: {error.strerror}") from error
    with os.fdopen(handle, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = file.read(20).strip() or "unknown"
            raise RoleTaken(f"{taken} (pid {process})", hint=hint) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def holder_of(path: Path) -> int | None:
    """The process that holds the role now: its id (0 where it is not known), or None."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read(20).strip() or 0)
    except OSError:
        return None
    return None


def sync_role(folder: Path) -> AbstractContextManager[None]:
    """Hold the role of syncing this data folder. Raises ``RoleTaken``, naming the process that has it."""
    return hold_role(
        folder / SYNC_LOCK,
        "another process synchronises this register already",
        hint="that one does the work; `crdtsync status` shows how far it is",
    )
