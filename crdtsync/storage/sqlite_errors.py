"""What errors of SQLite mean, in our words."""

from __future__ import annotations

import errno
import os
from typing import Final

import apsw

from crdtsync.errors import DamagedStore, DiskFull, NotAStore, ReadOnlyStore, StorageError, StoreBusy

SALVAGE: Final = (
    "keep a copy of the data folder; `crdtsync salvage` makes the store anew from what can be read"
)
"""What to do where the tables that records are found by are damaged: nothing less helps."""

MORE_FILES: Final = "close other programs, or let this one open more files (`ulimit -n`), and try again"


def meaning(error: apsw.Error, path: str) -> Exception:
    """What an error of SQLite means for whoever keeps sales in this file."""
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return StoreBusy(f"another process kept {path} locked")
        case apsw.FullError():
            return DiskFull(f"the disk of {path} is full")
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return ReadOnlyStore(f"{path} cannot be written")
        case apsw.CantOpenError() if _has_no_file_left():
            return StorageError(f"{path} cannot be opened: too many files are open", hint=MORE_FILES)
        case apsw.CantOpenError():
            what = (
                "it may not be read or written by this user"
                if os.path.isfile(path)
                else "its folder is missing or may not be used"
            )
            return ReadOnlyStore(f"{path} cannot be opened: {what}")
        case apsw.NotADBError():
            return NotAStore(f"{path} is not a store of crdtsync")
        case apsw.CorruptError() | apsw.ConstraintError() | apsw.SQLError() | apsw.MismatchError():
            return DamagedStore(f"{path} is damaged: {error}", hint=SALVAGE)
        case apsw.IOError():
            return _disk_error(error, path)
        case apsw.ThreadingViolationError() | apsw.ConnectionClosedError() | apsw.MisuseError():
            return error
    return StorageError(f"{path}: {error}")


def _disk_error(error: apsw.IOError, path: str) -> StorageError:
    match getattr(error, "extendedresult", None):
        case apsw.SQLITE_IOERR_SHMSIZE:
            return DiskFull(f"the disk of {path} is full")
        case apsw.SQLITE_IOERR_READ | apsw.SQLITE_IOERR_SHORT_READ | apsw.SQLITE_IOERR_CORRUPTFS:
            return DamagedStore(f"the disk does not give {path} back: {error}", hint=SALVAGE)
    return StorageError(f"the disk did not do what {path} needs: {error}")


def has_no_room_to_share(uri: str, flags: int, vfs: str | None) -> bool:
    """Whether the file by which processes share a store in WAL mode finds no room on the disk: nobody has it
    then, and nobody gets it.
    """
    connection = apsw.Connection(uri, flags=flags, vfs=vfs)
    try:
        connection.pragma("schema_version")
    except apsw.Error as error:  # Others are told when it is really opened.
        return getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_SHMSIZE
    finally:
        connection.close(True)
    return False


def file_at(name: str) -> tuple[int, int] | None:
    """Which file has that name now, if one has."""
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _has_no_file_left() -> bool:
    """Whether this process may open nothing more: SQLite does not say so."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
