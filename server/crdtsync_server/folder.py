"""The relay's data folder: what lies where, and who may serve it.

=================  ==================================================================================
``relay.sqlite``   the logs of all shops
``access.sqlite``  names of shops, pairing codes (as salted hashes), wrong attempts
``keys/``          private keys, see ``keys``
``place``          empty; by its inode a copy of the folder is told from the folder (see ``restored``)
``office.sqlite``  accounts and sessions of the back office, and who changed what from there
``office/``        views of each shop for the back office; made again when they are missing
``serve.lock``     held by the one process that serves
``backup.lock``    held by the one process that makes a backup
``before-…/``      what a restore found here, see ``restore``
=================  ==================================================================================
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

from crdtsync.errors import NoRegister, NotAStore, ReadOnlyStore, StorageError
from crdtsync.runtime.folder.role import hold_role, holder_of
from crdtsync.runtime.folder.whose import REGISTER_STORE, RELAY_STORE, is_there
from crdtsync.storage.sqlite import SqliteStore

KEYS = "keys"
STORE = RELAY_STORE
ACCESS = "access.sqlite"
LOCK = "serve.lock"
BACKUP_LOCK = "backup.lock"
PLACE = "place"
OFFICE, OFFICE_VIEWS = "office.sqlite", "office"


class DataFolder:
    """One relay's folder. Its rights let nobody else in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = root / KEYS
        self.store = root / STORE
        self.access = root / ACCESS
        self.office = root / OFFICE
        self.office_views = root / OFFICE_VIEWS

    @classmethod
    def create(cls, root: Path) -> DataFolder:
        """The folder, made if it is not there. Raises ``NotAStore`` (it belongs to a register),
        ``ReadOnlyStore``, ``StorageError``.
        """
        folder = cls(root)
        if is_there(root / REGISTER_STORE):
            folder._refuse_register()
        try:
            for path in (root, folder.keys):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                    raise PermissionError(13, "Permission denied", str(path))
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise ReadOnlyStore(f"{root} cannot be used as a data folder: {error.strerror}") from error
        except OSError as error:
            raise StorageError(f"{root} cannot be used as a data folder: {error.strerror}") from error
        return folder

    @classmethod
    def open(cls, root: Path) -> DataFolder:
        """The folder of a relay that exists. Raises ``NoRegister`` if there is none."""
        if not is_there(root / STORE):
            raise NoRegister(
                f"there is no relay in {root}", hint="make a shop with `crdtsync-relay shop create NAME`"
            )
        return cls.create(root)

    def _refuse_register(self) -> None:
        """Raise ``NotAStore`` where a register is in this folder. What is left of a `join` that failed is in
        nobody's way, and stays.
        """
        if not is_there(self.store):
            hint = "give the relay a folder of its own with --data"
            raise NotAStore(f"{self.root} belongs to a register", hint=hint)
        if _holds_a_shop(self.root / REGISTER_STORE):
            raise NotAStore(
                f"{self.root} is this relay's folder, and a register was made in it",
                hint="stop that register, and move its files together into a folder of its own, where it "
                f"goes on: {REGISTER_STORE} with its -wal and -shm, device.key, owner.key, sync.lock",
            )

    def serving(self) -> AbstractContextManager[None]:
        """Hold the role of serving this folder. Raises ``RoleTaken`` when another process has it."""
        return hold_role(
            self.root / LOCK,
            f"{self.root} is served by another process already",
            hint="stop that one first, or serve another folder",
        )

    def served_by(self) -> int | None:
        """The process that serves the folder now, or None."""
        return holder_of(self.root / LOCK)

    def place(self) -> str:
        """What tells this folder from every copy of it, also from one put back in its place. Raises
        ``ReadOnlyStore``, ``StorageError``.
        """
        path = self.root / PLACE
        try:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            found = path.stat()
        except PermissionError as error:
            raise ReadOnlyStore(f"{path} cannot be written: {error.strerror}") from error
        except OSError as error:
            raise StorageError(f"{path} cannot be used: {error.strerror}") from error
        # No program can set the second one; a copy gets its own.
        return f"{found.st_ino} {found.st_ctime_ns}"

    def store_bytes(self) -> int:
        """What the store takes on disk, its journal included. Cheap."""
        total = 0
        for suffix in ("", "-wal"):
            try:
                total += os.stat(f"{self.store}{suffix}").st_size
            except FileNotFoundError:
                continue  # There is no journal when nobody has the store open.
        return total


def _holds_a_shop(path: Path) -> bool:
    """Whether a register's store has anything in it, or nobody can tell."""
    if not any(one.stat().st_size for one in (path, Path(f"{path}-wal")) if one.exists()):
        return False
    try:
        with closing(SqliteStore(path, read_only=True, create=False)) as store:
            return bool(store.shops())
    except StorageError:
        return True
