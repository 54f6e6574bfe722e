"""Whose a data folder is: a register's or a relay's. It is told by the name of the store, before anything is
made there: neither makes its files in the other's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crdtsync.errors import NoRegister, NotAStore, ReadOnlyStore

REGISTER_STORE: Final = "register.sqlite"
RELAY_STORE: Final = "relay.sqlite"

SALVAGED: Final = f"{REGISTER_STORE}.salvaged"
"""A new store that is to take the place of a damaged one."""

SALVAGING: Final = f"{REGISTER_STORE}.salvaging"
"""The damaged store, with its journal, while the new one takes its place."""


def is_there(path: Path) -> bool:
    """Whether there is such a file. Raises ``ReadOnlyStore`` where this user may not look."""
    try:
        path.stat()
    except PermissionError as error:
        raise ReadOnlyStore(f"{path} cannot be looked at: {error.strerror}") from error
    except (OSError, ValueError):
        return False
    return True


def refuse_relays_folder(folder: Path) -> None:
    """Raise ``NotAStore`` where a folder is a relay's: it would not be served any more with a register's
    files in it. Raises ``ReadOnlyStore``.
    """
    if is_there(folder / RELAY_STORE):
        raise NotAStore(
            f"{folder} belongs to a relay",
            hint="give the register a folder of its own with --data; nothing was changed in this one",
        )


def refuse_half_salvaged(folder: Path) -> None:
    """Raise ``NoRegister`` where the store is not there because `crdtsync salvage` was interrupted as it put
    the new one in its place: whoever made one there would begin anew beside all that was sold.
    """
    if not is_there(folder / REGISTER_STORE) and is_there(folder / SALVAGING):
        raise NoRegister(
            f"salvaging the register in {folder} was interrupted",
            hint="run `crdtsync salvage` again: everything is still there",
        )


def store_of_register(folder: Path) -> Path:
    """The store in a register's folder, which is there. Raises ``NoRegister``, ``NotAStore`` for a relay's
    folder, ``ReadOnlyStore``.

    A register that was made in a relay's folder once goes on: what it sold is there.
    """
    path = folder / REGISTER_STORE
    if not is_there(path):
        refuse_half_salvaged(folder)
        refuse_relays_folder(folder)
        raise NoRegister(f"there is no register in {folder}")
    return path
