"""Options that the relay's commands share."""

from __future__ import annotations

import click

from crdtsync.cli.damage import telling_of_damage
from crdtsync.cli.options import Command, data_option, json_option
from crdtsync.errors import NoRegister
from crdtsync_server.config import environment_variable

NO_RELAY = (NoRegister, "there is no relay in the folder")
"""For the exit codes of a command that works on a relay's folder."""


def common_options(command: Command) -> Command:
    """``--data`` and ``--json``, as the keyword arguments ``data`` and ``as_json``."""
    return data_option(environment_variable("data"), "The relay's")(json_option(telling_of_damage(command)))


valid_minutes_option = click.option(
    "--valid-minutes",
    type=click.IntRange(1, 7 * 24 * 60),
    default=24 * 60,
    show_default=True,
    help="How long the code can be used.",
)
