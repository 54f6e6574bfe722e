"""Private keys on disk: a file of their own, for the owner's eyes only, outside every store and document."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from crdtsync.errors import DamagedStore, DiskFull, NoRegister, ReadOnlyStore, StorageError

if TYPE_CHECKING:
    from crdtsync.model.signature import PrivateKey

DEVICE_KEY = "device.key"
OWNER_KEY = "owner.key"
NEXT_KEY = "device.key.next"
"""The key of a register that is being enrolled again: its own from the moment that its store says so."""

LEFT_KEY = "device.key.left-{}"
"""The key of before, by the beginning of its public half."""


def write_key(path: Path, contents: bytes) -> None:
    """Write a private key (``PrivateKey.to_bytes()``), readable by its owner alone; durable on return.

    Raises ``StorageError`` if the file exists: a key is never replaced.
    """
    import tempfile  # Late: most commands write no key.

    draft: Path | None = None
    try:
        # Made for its owner alone, under a name that nobody else takes.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        draft = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces what is there.
        os.link(draft, path)
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise StorageError(f"there is a key in {path} already; it was left as it is") from error
    except OSError as error:
        raise _as_storage_error(path, error) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def read_key(path: Path) -> bytes:
    """Read a key file. Raises ``NoRegister`` if there is none, ``StorageError`` if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NoRegister(
            f"the key {path} is missing",
            hint="put the file back, or enrol this register again with `crdtsync join`: "
            "its sales are in register.sqlite and stay there",
        ) from error
    except OSError as error:
        raise _as_storage_error(path, error) from error


def private_key(path: Path) -> PrivateKey:
    """The key in a file. Raises as ``read_key``, and ``DamagedStore`` for a file that holds none."""
    from crdtsync.model.signature import PrivateKey  # Late: cryptography is slow to import.

    try:
        return PrivateKey.from_bytes(read_key(path))
    except DamagedStore as error:
        raise DamagedStore(f"{path}: {error}", hint=error.hint) from error


def take_next_key(folder: Path, public: bytes) -> None:
    """Where the next key is the one that the store says is the register's, put it in its place and keep the
    other one; durable on return, and done again after a crash in between. Raises ``StorageError``.
    """
    upcoming, present = folder / NEXT_KEY, folder / DEVICE_KEY
    if not upcoming.exists() or private_key(upcoming).public != public:
        return
    try:
        if present.exists() and (before := private_key(present)).public != public:
            present.rename(folder / LEFT_KEY.format(before.public.hex()[:16]))
        upcoming.rename(present)
        _sync_folder(folder)
    except OSError as error:
        raise _as_storage_error(present, error) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _as_storage_error(path: Path, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left for {path}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnlyStore(f"{path} cannot be opened: {error.strerror}")
    return StorageError(f"{path}: {error.strerror}")
