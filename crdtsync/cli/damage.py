"""A command that fails as no command should, over a store that is damaged: then the damage is what is told.

Rows are checked where they are read. But bytes that changed on a disk can make a row of anything, in tables
that have no checksums too, and what comes of that is a fault of ours only where the store is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from crdtsync.errors import CrdtsyncError, DamagedStore, StorageError

FAULTS: Final = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""What a row that makes no sense can bring about."""

_STORES: Final = ("register.sqlite", "relay.sqlite")


_Command = TypeVar("_Command", bound=Callable[..., Any])


def telling_of_damage(command: _Command) -> _Command:
    """A command on the folder ``data``, which raises ``DamagedStore`` for a fault where a store in it is
    damaged. Nothing is looked at where nothing fails.
    """

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except CrdtsyncError:
            raise
        except FAULTS as fault:
            damage = damage_in(options["data"])
            if damage is None:
                raise
            raise damage from fault

    return cast(_Command, run)


def damage_in(data: Path) -> DamagedStore | None:
    """What is damaged of the store in a folder, in one sentence; None where it is whole. O(everything)."""
    for path in (data / name for name in _STORES if (data / name).is_file()):
        found = _first_damage(path)
        if found is not None:
            return DamagedStore(f"{path} is damaged: {found}", hint=found.hint)
    return None


def _first_damage(path: Path) -> DamagedStore | None:
    from crdtsync.storage.sqlite import SqliteStore
    from crdtsync.storage.sqlite_errors import SALVAGE

    try:
        with closing(SqliteStore(path, read_only=True, create=False)) as store:
            return next(store.check(), None)
    except (StorageError, *FAULTS) as error:
        return DamagedStore(f"what is checked makes no sense ({error})", hint=SALVAGE)
