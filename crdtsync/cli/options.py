"""Options that every command has, and how a command opens its register."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from crdtsync.runtime.register import Register

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


def settings_of(data: Path) -> dict[str, Any]:
    """The settings for a data folder, from the environment, for ``Register.open`` and ``Register.init``."""
    from dataclasses import fields

    from crdtsync.config import RegisterConfig

    config = RegisterConfig.from_environment(data, os.environ)
    return {field.name: getattr(config, field.name) for field in fields(config) if field.name != "data"}


def open_register(data: Path) -> Register:
    """Open the register that a command works on. Raises ``NoRegister``, ``UsageError``, ``StorageError``."""
    from crdtsync.runtime.register import Register

    return Register.open(data, **settings_of(data))


def parse_payment(text: str) -> tuple[str, int | None]:
    """Read ``card`` or ``cash=50``: a means of payment and its amount. Raises ``InvalidAmount``."""
    from crdtsync.model.money import parse_amount

    means, _, amount = text.partition("=")
    return means.strip(), parse_amount(amount) if amount else None
