"""Options that the relay's commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from crdtsync_server.config import environment_variable

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
        type=click.Path(path_type=Path),
        envvar=environment_variable("data"),
        show_envvar=True,
        required=True,
        metavar="DIR",
        help="The relay's data folder.",
    )(command)


valid_minutes_option = click.option(
    "--valid-minutes",
    type=click.IntRange(1, 7 * 24 * 60),
    default=24 * 60,
    show_default=True,
    help="How long the code can be used.",
)
