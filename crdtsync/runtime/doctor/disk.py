"""The folder, the drive that it lies on, the room there, and the key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crdtsync.errors import (
    CrdtsyncError,
    DiskFull,
    NoRegister,
    NotAStore,
    ReadOnlyStore,
    StorageError,
    StoreBusy,
)
from crdtsync.runtime.doctor.finding import Finding, notice, unknown, well, wrong
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, read_key
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.folder.whose import is_there, refuse_relays_folder
from crdtsync.storage.write_lock import is_kept_locked, who_keeps

FREE_BYTES_MIN: Final = 16 << 20
"""Below this a day's sales may not find room."""

FREE_BYTES_GOOD: Final = 500 << 20

MOUNTS: Final = Path("/proc/self/mountinfo")

NETWORK_DRIVES: Final = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "fuse.sshfs",
        "fuse.rclone",
        "davfs",
        "ncpfs",
    )
)
"""File systems, as Linux calls them, on which neither locks nor fsync promise what a store needs
(SQLite, "How To Corrupt An SQLite Database File", section 2.1).
"""


def look_at_disk(folder: Path) -> Iterator[Finding]:
    """Folder, drive, space and key. Nothing but the first if there is no folder."""
    yield (found := look_at_folder(folder, STORE, "register"))
    if not may_look_on(found, folder):
        return
    yield look_at_drive(folder)
    yield look_at_space(folder)
    yield _key(folder)


def may_look_on(found: Finding, folder: Path) -> bool:
    """Whether there is anything more to look at in a folder, after what ``look_at_folder`` found."""
    return found.exit_code not in (NoRegister.exit_code, NotAStore.exit_code) and os.access(folder, os.X_OK)


def look_at_folder(folder: Path, store: str, what: str) -> Finding:
    """Whether the folder of a register or a relay (``what``) is there with its store, and can be written."""
    try:
        is_made = is_there(folder / store)
        if not is_made and what == "register":
            refuse_relays_folder(folder)
    except StorageError as trouble:
        return wrong("folder", trouble)
    if not is_made:
        says = f"{folder} is no folder" if not folder.is_dir() else f"there is no {what} in {folder}"
        hint = NoRegister.hint if what == "register" else "--data names the relay's folder"
        return wrong("folder", NoRegister(says, hint=hint))
    for path, need in ((folder, os.R_OK | os.W_OK | os.X_OK), (folder / store, os.R_OK | os.W_OK)):
        if not os.access(path, need):
            error = ReadOnlyStore(
                f"{path} cannot be written by this user",
                hint=f"check owner and rights (`ls -ld {path}`), and whether the disk is mounted read-only",
            )
            return wrong("folder", error)
    return well("folder", f"{folder} can be written")


def look_at_drive(folder: Path) -> Finding:
    """Whether the folder lies on a disk of this machine."""
    kind = drive_of(folder)
    if kind is None:
        return unknown("drive", "what drive the folder lies on is not known here")
    if kind in NETWORK_DRIVES:
        error = StorageError(
            f"{folder} lies on a network drive ({kind}): a sale there may be lost in a power cut",
            hint="move the data folder to a disk of this machine, while nothing runs",
        )
        return wrong("drive", error)
    if kind in ("tmpfs", "ramfs"):
        error = StorageError(
            f"{folder} lies in memory ({kind}): all is gone when the machine is switched off",
            hint="move the data folder to a disk of this machine, while nothing runs",
        )
        return wrong("drive", error)
    return well("drive", f"the folder lies on a disk of this machine ({kind})")


def drive_of(folder: Path, mounts: Path | None = None) -> str | None:
    """The kernel's word for the file system that a folder lies on; None where it does not say."""
    try:
        place, lines = folder.resolve(), (mounts or MOUNTS).read_text().splitlines()
    except OSError:
        return None
    best: tuple[int, str] | None = None
    for line in lines:
        # proc(5): id, parent, device, root, mount point, options, optional fields, "-", type, source …
        fields, _, after = line.partition(" - ")
        point = Path(fields.split(" ")[4].replace("\\040", " "))
        # Of two mounts at one point the later one is what one sees.
        if place.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = len(point.parts), after.split(" ")[0]
    return best[1] if best else None


def look_at_space(folder: Path) -> Finding:
    """Whether the disk has room."""
    try:
        # Not `shutil.disk_usage`, which says the same: it brings every compression that Python has.
        disk = os.statvfs(folder)
    except OSError as error:
        return unknown("space", f"how much room there is cannot be asked: {error.strerror}")
    free = disk.f_bavail * disk.f_frsize
    says = f"{free / 1e6:,.0f} MB are free".replace(",", " ")
    if free < FREE_BYTES_MIN:
        return wrong("space", DiskFull(f"only {says}", hint="free some space; what is recorded is safe"))
    if free < FREE_BYTES_GOOD:
        return notice("space", f"only {says}", "free some space before the disk is full")
    return well("space", says)


LOCKED_S: Final = 0.25
"""Who synchronises has the lock of a store for some milliseconds, and pauses in between."""


def look_at_lock(store: Path) -> Finding | None:
    """What to say where another process keeps a store from being written; None where none does."""
    if not is_kept_locked(store, LOCKED_S):
        return None
    process = who_keeps(store)
    who = "another process" if process is None else f"process {process}"
    what = f"{who} keeps {store} locked, for {LOCKED_S:g} s at least: nothing can be recorded meanwhile"
    how = (
        "find the process that uses the data folder, and end it"
        if process is None
        else f"end it (`kill {process}`)"
    )
    return wrong(
        "store", StoreBusy(what, hint=f"if that is so again in a minute, {how}: nothing is lost by it")
    )


def _key(folder: Path) -> Finding:
    path = folder / DEVICE_KEY
    try:
        read_key(path)
        mode = path.stat().st_mode
    except CrdtsyncError as error:
        return wrong("key", error)
    if mode & 0o077:
        return notice("key", f"others than its owner can use {path}", f"`chmod 600 {path}`")
    return well("key", "the device's key is there, for its owner alone")
