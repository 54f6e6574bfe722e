"""Fetching what a new register has not: products and today first, then the history, with progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from crdtsync.cli.output import local_time, money
from crdtsync.errors import CrdtsyncError
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync.runtime.belonging.replacing import CameBack
    from crdtsync.runtime.register.register import Register
    from crdtsync.runtime.syncing.progress import HistoryLeft, Progress

LOOK_EVERY_S = 0.05

HELD_WAIT_S = 3.0
"""Where nothing is missing but what the relay has on hold: how long it may take to let that in by itself."""


def bring_back(register: Register, ready: Callable[[int], None], *, as_json: bool) -> str:
    """Synchronise until everything is here, as long as that goes on; one sentence of what came of it.

    ``ready`` is called once, when products and today are here, with how many records are still to come.
    Ctrl-C ends it well, and so does a relay that is not reached for as long as `open` and `close` would wait.
    """
    from crdtsync.cli.stopping import Stop

    stopped, background = Stop(), register.start_sync()
    is_shown = not as_json and sys.stderr.isatty()
    is_ready = is_done = is_held = False
    met_s, held_since_s = time.monotonic(), None
    try:
        while background.is_running and not stopped.requested:
            register.poll(LOOK_EVERY_S)
            progress = background.progress()
            if progress.is_connected:
                met_s = time.monotonic()
                if not is_ready and not progress.first_to_receive:
                    is_ready = True
                    ready(progress.to_receive)
                if is_shown:
                    click.echo(f"\r{_so_far(register, progress):<78}", nl=False, err=True)
                if not progress.to_receive and not register.status(with_documents=False).pending.records:
                    is_done = True
                    break
                held_since_s = (held_since_s or met_s) if _is_all_answered(register, progress) else None
                if held_since_s is not None and met_s - held_since_s > HELD_WAIT_S:
                    is_held = True
                    break
            elif time.monotonic() - met_s > register.config.sync_timeout_s:
                break
        error = background.error
    finally:
        register.stop_sync()
        if is_shown:
            click.echo(err=True)
    register.replica.views.catch_up()
    register.replica.file_catalogue()
    if is_done:
        return "Synchronised: the relay has everything on its disk."
    if is_held:
        records = many(register.status(with_documents=False).pending.records, "record")
        return f"Synchronised, but for {records} that the relay keeps on hold or refuses: `crdtsync status`."
    why = str(error) if isinstance(error, CrdtsyncError) else "it was stopped before the end"
    return (
        f"Not synchronised: {why}. Everything recorded is safe on this register. It sells; `crdtsync run` "
        "brings the rest."
    )


def _is_all_answered(register: Register, progress: Progress) -> bool:
    """Whether nothing is under way any more: what is pending the relay has, and does not admit by itself."""
    from crdtsync.runtime.belonging.rejoin import has_what_the_relay_never_saw

    relay = register.replica.relay
    return (
        not progress.to_receive
        and relay is not None
        and relay.log_id is not None
        and not has_what_the_relay_never_saw(register.replica.log, relay)
    )


def came_back_text(found: CameBack, utc_offset_min: int) -> list[str]:
    """What is here of a lost register, for a person; what never will be, on a line that begins with ``!``."""
    upto = f"up to {found.number or 'its first entries'}, {local_time(found.at_ms, utc_offset_min)}"
    if found.at_ms is None:
        upto = "nothing yet" if not found.is_complete else "nothing: the relay had nothing of it"
    what = f"{many(found.tickets, 'ticket')}, {money(found.amount_minor)}"
    how_much = "all that the relay had" if found.is_complete else "so far"
    told = [f"It replaces {found.name}. Here of it is {how_much}: {upto} ({what})."]
    if found.never_arrived_sales:
        lost = f"{many(found.never_arrived_sales, 'more ticket')}, {money(found.never_arrived_amount_minor)}"
        told.append(
            f"! the old register had told at {local_time(found.told_at_ms, utc_offset_min)} of {lost}, which "
            "the relay never received: only its own disk has them"
        )
    return told


def history_text(left: HistoryLeft, here: int) -> str:
    """How far the history is: records that are here, that are to come, and the time left."""
    text = f"{left.records} of {many(here + left.records, 'record')} still to come"
    return text if left.left_s is None else f"{text}, about {left.left_s:.0f} s"


def came_back_facts(found: CameBack | None) -> dict[str, Any] | None:
    """The same as JSON."""
    if found is None:
        return None
    return {
        "device": found.device,
        "name": found.name,
        "is_complete": found.is_complete,
        "number": found.number,
        "at_ms": found.at_ms,
        "tickets": found.tickets,
        "amount_minor": found.amount_minor,
        "never_arrived_sales": found.never_arrived_sales,
        "never_arrived_amount_minor": found.never_arrived_amount_minor,
        "told_at_ms": found.told_at_ms,
    }


def _so_far(register: Register, progress: Progress) -> str:
    totals = register.replica.queries.totals()
    filed = (
        f"{many(sum(row.tickets for row in totals), 'ticket')}, {money(sum(row.amount for row in totals))}"
    )
    left = f", {progress.left_s:.0f} s left" if progress.left_s else ""
    here = register.end.seq
    return f"{here} of {many(here + progress.to_receive, 'record')}{left}; can be looked at: {filed}"
