"""Options that every command has, and how a command opens its register."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _remember_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    ctx.meta["as_json"] = value
    return value


def common_options(command: Command) -> Command:
    """``--data`` and ``--json``, as the keyword arguments ``data`` and ``as_json``."""
    command = click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=_remember_json,
        help="One JSON document on standard output.",
    )(command)
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="CRDTSYNC_DATA",
        show_envvar=True,
        required=True,
        metavar="DIR",
        help="The register's data folder.",
    )(command)
