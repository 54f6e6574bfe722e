"""``crdtsync run``: keep in step until stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json_line
from crdtsync.cli.stopping import Stop

if TYPE_CHECKING:
    from crdtsync.runtime.background import BackgroundSync
    from crdtsync.runtime.register import Register

LOOK_EVERY_S = 0.5


@click.command(
    "run",
    epilog=epilog(
        "crdtsync run --data ./till-1",
        "stopped",
        errors.NoRegister,
        errors.RoleTaken,
        errors.AccessDenied,
        errors.WrongRelayKey,
        errors.UnsupportedVersion,
    ),
)
@common_options
def command(data: Path, as_json: bool) -> None:
    """Keep this register in step with its relay until stopped (Ctrl-C, SIGTERM).

    Other commands work beside it. Connections come and go; each change is told in one line, with --json
    one JSON object.
    """
    with open_register(data) as register:
        stopped = Stop()
        background = register.start_sync()
        told = ""
        while not stopped.requested and background.is_running:
            if register.poll(LOOK_EVERY_S):
                register.replica.views.catch_up()
                register.products.refresh()
            now = _link(background) or told
            if now != told:
                told = now
                _tell(register, now, is_connected=background.is_connected, as_json=as_json)
        error = background.error
        register.stop_sync()
        if error is not None and not stopped.requested:
            raise error


def _link(background: BackgroundSync) -> str:
    """How the link is; empty while an attempt is under way: nothing is known then that could be told."""
    if background.is_connected:
        return "connected"
    return f"not connected: {background.error}" if background.error else ""


def _tell(register: Register, now: str, *, is_connected: bool, as_json: bool) -> None:
    if not as_json:
        click.echo(now)
        return
    pending = register.status().pending
    print_json_line(
        {
            "is_connected": is_connected,
            "link": now,
            "pending_sales": pending.sales,
            "pending_amount_minor": pending.amount_minor,
        }
    )
