"""``crdtsync-relay hold``: a group of commands."""

from __future__ import annotations

import click

from crdtsync.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("hold_list", "List what is on hold, by device."),
    "show": ("hold_show", "Show what one device has on hold, entry by entry."),
    "approve": ("hold_approve", "Let entries in: a person decides, the owner's key signs."),
}


@click.group("hold", cls=LazyGroup, package="crdtsync_server.cli", modules=COMMANDS)
def command() -> None:
    """Decide on the sales of devices that were cut off before they had sent all.

    What is on hold is kept with its bytes and counts nowhere. Approved, it is in every register's ledger;
    what nobody approves stays on hold.
    """
