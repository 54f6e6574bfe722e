"""``crdtsync-relay quarantine``: a group of commands."""

from __future__ import annotations

import click

from crdtsync.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("quarantine_list", "List what was refused, held or damaged."),
    "show": ("quarantine_show", "Show all of one record."),
    "retry": ("quarantine_retry", "Judge it again, by the rules of now."),
}


@click.group("quarantine", cls=LazyGroup, package="crdtsync_server.cli", modules=COMMANDS)
def command() -> None:
    """Look at what a shop's registers sent that was refused or held, or is damaged here, and judge it again.

    Nothing in quarantine stops anything else, and nothing in it is ever deleted.
    """
