"""``crdtsync run``: keep in step until stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.coming_back import history_text
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json_line
from crdtsync.cli.stopping import Stop
from crdtsync.runtime.syncing.progress import history_left

if TYPE_CHECKING:
    from crdtsync.runtime.register.register import Register
    from crdtsync.runtime.syncing.background import BackgroundSync
    from crdtsync.runtime.syncing.progress import HistoryLeft

LOOK_EVERY_S = 0.5
HISTORY_EVERY_S = 5.0
"""How often it is told how much of the history is still to come."""


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
        told, said_s = "", time.monotonic()
        while not stopped.requested and background.is_running:
            if register.poll(LOOK_EVERY_S):
                register.replica.views.catch_up()
                register.products.refresh()
            now = _link(background) or told
            left = _history_left(register)
            is_due = left is not None and time.monotonic() - said_s >= HISTORY_EVERY_S
            if now != told or is_due:
                told, said_s = now, time.monotonic()
                _tell(register, now, left, is_connected=background.is_connected, as_json=as_json)
        error = background.error
        register.stop_sync()
        if error is not None and not stopped.requested:
            raise error


def _history_left(register: Register) -> HistoryLeft | None:
    relay = register.replica.relay
    if relay is None or relay.log_id is None:
        return None
    return history_left(register.replica.log, relay.log_id, register.replica.clock.now_ms())


def _link(background: BackgroundSync) -> str:
    """How the link is; empty while an attempt is under way: nothing is known then that could be told."""
    if background.is_connected:
        return "connected"
    return f"not connected: {background.error}" if background.error else ""


def _tell(
    register: Register, now: str, left: HistoryLeft | None, *, is_connected: bool, as_json: bool
) -> None:
    if not as_json:
        click.echo(now if left is None else f"{now}; history: {history_text(left, register.end.seq)}")
        return
    pending = register.status(with_documents=False).pending
    print_json_line(
        {
            "is_connected": is_connected,
            "link": now,
            "pending_sales": pending.sales,
            "pending_amount_minor": pending.amount_minor,
            "history_records_left": left.records if left else 0,
            "left_s": None if left is None or left.left_s is None else round(left.left_s),
        }
    )
