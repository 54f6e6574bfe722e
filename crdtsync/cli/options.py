"""Options that every command has, and how a command opens its register.

The relay's command line takes ``data_option`` and ``json_option`` from here too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from crdtsync.cli.damage import telling_of_damage
from crdtsync.config import DATA_VARIABLE
from crdtsync.errors import CrdtsyncError, DiskFull, NoRegister, ReadOnlyStore, StorageError

if TYPE_CHECKING:
    from crdtsync.runtime.register.register import Register

Command = TypeVar("Command", bound=Callable[..., Any])

MAY_BE_NEGATIVE: Final = {"ignore_unknown_options": True}
"""Context settings of a command with an argument like ``-3``, which is no option."""


def epilog(example: str, done: str, *errors: type[CrdtsyncError] | tuple[type[CrdtsyncError], str]) -> str:
    """What stands below a command's options: an example, and the exit codes. ``done`` is what 0 means.

    ``errors`` are those that have to do with what the command does, each with words for it where its name
    does not say it; those of any command are added.
    """
    worded = [error if isinstance(error, tuple) else (error, _words(error)) for error in errors]
    codes = {error.exit_code: words for error, words in worded}
    told = ", ".join(f"{code} {words}" for code, words in sorted(codes.items()))
    return (
        f"Example: {example}\n\n"
        f"Exit codes: 0 {done}, 2 wrong command line, {told + ', ' if told else ''}60-67 the disk, "
        "70 output lost, 130 interrupted."
    )


def _words(error: type[CrdtsyncError]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", error.__name__).lower()


def data_option(variable: str, whose: str) -> Callable[[Command], Command]:
    """``--data DIR``, as the keyword argument ``data``; ``variable`` is what it may come from instead."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, readable=False),  # What may not be read is the disk's trouble: 63.
        envvar=variable,
        show_envvar=True,
        required=True,
        metavar="DIR",
        help=f"{whose} data folder.",
    )


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="JSON on standard output; errors as JSON on standard error.",
)
"""``--json``, as the keyword argument ``as_json``."""


def common_options(command: Command) -> Command:
    """``--data`` and ``--json``, as the keyword arguments ``data`` and ``as_json``."""
    return data_option(DATA_VARIABLE, "The register's")(json_option(telling_of_damage(command)))


def settings_of(data: Path) -> dict[str, Any]:
    """The settings for a data folder, from the environment, for ``Register.open`` and ``Register.init``."""
    from dataclasses import fields

    from crdtsync.config import RegisterConfig

    config = RegisterConfig.from_environment(data, os.environ)
    return {field.name: getattr(config, field.name) for field in fields(config) if field.name != "data"}


def open_register(data: Path, *, only_looks: bool = False) -> Register:
    """Open the register that a command works on. Raises ``NoRegister``, ``UsageError``, ``StorageError``.

    A command that ``only_looks`` gets it from a disk that is full or cannot be written too, and its user is
    told.
    """
    from crdtsync.runtime.folder.whose import store_of_register
    from crdtsync.runtime.register.register import Register

    if os.path.isfile(data):
        raise NoRegister(f"{data} is a file", hint="--data names the folder of the register")
    _refuse_empty(store_of_register(data))
    try:
        return Register.open(data, **settings_of(data))
    except (ReadOnlyStore, DiskFull) as error:
        if not only_looks:
            raise
        return _opened_to_look(data, error)


def _opened_to_look(data: Path, why: StorageError) -> Register:
    from functools import partial

    from crdtsync.cli.output import print_notices
    from crdtsync.config import RegisterConfig
    from crdtsync.runtime.clock import SystemClock, system_random
    from crdtsync.runtime.folder.replica import Replica
    from crdtsync.runtime.register.register import Register
    from crdtsync.storage.sqlite import SqliteStore

    config = RegisterConfig(data, **settings_of(data))
    try:
        replica = Replica(
            config, SystemClock(), system_random, partial(SqliteStore, read_only=True, create=False)
        )
    except StorageError as error:
        raise why from error
    print_notices([f"{why}; this is what is on the disk"])
    return Register(replica)


def _refuse_empty(store: Path) -> None:
    """Refuse a file without a byte as what it is: opening it would make a store of nobody of it."""
    if not any(path.stat().st_size for path in (store, Path(f"{store}-wal")) if path.exists()):
        raise NoRegister(
            f"{store} is empty: there is no register in it",
            hint="put a copy of the folder back if a register was here, or enrol a new one in an empty "
            "folder with `crdtsync join`: what the relay has comes back",
        )
