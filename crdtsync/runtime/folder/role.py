"""Roles that one process at a time may hold: synchronising a register, serving a relay's folder.

A role is a lock file. The lock is the kernel's: it goes when the process goes, however that happens.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from crdtsync.errors import ReadOnlyStore, RoleTaken

SYNC_LOCK = "sync.lock"
"""In a register's folder: the role of synchronising it."""

LOOK_S, LOOKS_MAX = 0.001, 1000
"""How often a second, and how often in all, it is tried again where somebody only looks."""


@contextmanager
def hold_role(path: Path, taken: str, *, hint: str) -> Iterator[None]:
    """Hold the role whose lock file is ``path``. Does not wait.

    Raises ``RoleTaken`` (``taken`` says what the other process does; its id is added), ``ReadOnlyStore``.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ReadOnlyStore(f"{path} cannot be opened: {error.strerror}") from error
    try:
        if not _locked(handle):
            process = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            raise RoleTaken(f"{taken} (pid {process})", hint=hint)
        with suppress(OSError):  # The lock is what counts. A full disk has no room for who holds it.
            os.ftruncate(handle, 0)  # First: who looks now never reads a part of who held it before.
            os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Whether nobody has the role. Who only looks (``holder_of``) has the lock for a moment, with others."""
    for _ in range(LOOKS_MAX):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            fcntl.flock(handle, fcntl.LOCK_UN)
            time.sleep(LOOK_S)
        else:
            return True
    return False


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
