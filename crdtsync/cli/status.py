"""``crdtsync status``: what is safe, what is not yet, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.coming_back import came_back_facts, came_back_text, history_text
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import local_time, money, print_json, print_json_line, print_table
from crdtsync.protocol.fields import printable
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync.runtime.doctor.finding import Finding
    from crdtsync.runtime.doctor.locally import LocalLook
    from crdtsync.runtime.folder.identity import ClockOffset
    from crdtsync.runtime.register.register import Register
    from crdtsync.runtime.register.status import Pending, Status

WATCH_EVERY_S = 1.0


@click.command("status", epilog=epilog("crdtsync status --watch", "shown", errors.NoRegister))
@click.option("--documents", is_flag=True, help="All documents, not only today's.")
@click.option("--watch", is_flag=True, help="Again every second, until stopped; JSON on one line each.")
@common_options
def command(documents: bool, watch: bool, data: Path, as_json: bool) -> None:
    """Say what is safe, what is not yet, why, and what to do. Needs no network.

    Pending is what the relay has not said to have on its disk: as a number of tickets (sales and refunds)
    and as money.
    """
    from crdtsync.runtime.doctor.locally import LocalLook

    with open_register(data, only_looks=True) as register:
        look = LocalLook(register.replica.folder)
        if not watch:
            _show(register, look, documents, print_json if as_json else None)
            return
        from crdtsync.cli.stopping import Stop

        stopped = Stop()
        while not stopped.requested:
            if not as_json:
                click.clear()
            _show(register, look, documents, print_json_line if as_json else None)
            stopped.wait(WATCH_EVERY_S)


def _show(
    register: Register, look: LocalLook, documents: bool, show_json: Callable[[Any], None] | None
) -> None:
    from crdtsync.runtime.doctor.locally import beyond_status

    status = register.status(all_documents=documents, with_documents=show_json is not None)
    now_ms = register.replica.clock.now_ms()
    findings = look.findings(status, now_ms)
    if show_json is not None:
        show_json(status_facts(status, findings))
        return
    told = list(beyond_status(findings, status))
    print_status(status, told, now_ms, register.replica.clock.utc_offset_min(now_ms), documents=documents)


def status_facts(status: Status, findings: list[Finding]) -> dict[str, Any]:
    """A status as JSON, with what the doctor finds locally. Fields may be added, never changed."""
    return {
        "state": status.state,
        "device": status.device,
        "name": status.name,
        "shop_name": status.shop_name,
        "pending_sales": status.pending.sales,
        "pending_amount_minor": status.pending.amount_minor,
        "pending_records": status.pending.records,
        "pending_own": _pending_facts(status.pending_own),
        "pending_others": _pending_facts(status.pending_others),
        "oldest_pending_at": status.pending.oldest_at_ms,
        "last_ack_at": status.last_ack_at_ms,
        "relay": status.relay_url,
        "syncing": status.syncing,
        "devices": status.devices,
        "documents": status.documents,
        "store_bytes": status.store_bytes,
        "clock_offset_ms": status.clock_offset_ms,
        "clock_measured_at": status.clock_measured.measured_at_ms if status.clock_measured else None,
        "apart": status.apart,
        "held": status.held,
        "refused_by_relay": status.refused_by_relay,
        "log_end": status.log_end,
        "signatures_checked_to": status.signatures_checked_to,
        "concerns": status.concerns,
        "link_trouble": status.link_trouble,
        "findings": findings,
        "slowed_since": status.slowed_since_ms,
        "copied": status.copied,
        "relay_put_back_at": status.relay_put_back_at_ms,
        "came_back": came_back_facts(status.came_back),
        "history_records_left": status.history_left.records if status.history_left else 0,
        "history_left_s": _whole(status.history_left.left_s if status.history_left else None),
    }


def print_status(
    status: Status, findings: list[Finding], now_ms: int, utc_offset_min: int, *, documents: bool
) -> None:
    """A status for a person: what is safe, what is not, what to do. ``now_ms``: what the clock shows."""
    from crdtsync.runtime.register.concerns import stopped_concerns

    click.echo(f"{status.name}, {status.shop_name}: {_headline(status)}")
    click.echo(f"  {_advice(status)}")
    if status.pending_others.records:
        others = status.pending_others
        click.echo(
            "  of these, recorded by other registers: "
            f"{many(others.sales, 'ticket')}, {money(others.amount_minor)}"
        )
    stopped = list(stopped_concerns(status.link_trouble))
    for concern in status.concerns:
        click.echo(f"  ! {concern}")
        if concern in stopped and status.link_trouble is not None:
            click.echo(f"    {status.link_trouble.hint or status.link_trouble.kind.hint}")
    for one in status.copied:
        click.echo(f"    {one.advice}")
    for found in findings:
        click.echo(f"  ! {printable(found.says)}")
        click.echo(f"    {printable(found.advice)}")
    if status.came_back is not None:
        for line in came_back_text(status.came_back, utc_offset_min):
            click.echo(f"  {line}")
    if status.history_left is not None:
        click.echo(f"  history         {history_text(status.history_left, status.log_end)}")
    if status.pending.oldest_at_ms is not None:
        click.echo(f"  oldest pending  {local_time(status.pending.oldest_at_ms, utc_offset_min)}")
    click.echo(f"  relay           {status.relay_url or 'none'}")
    if status.relay_put_back_at_ms is not None:
        noticed = local_time(status.relay_put_back_at_ms, utc_offset_min)
        click.echo(
            f"  put back        {noticed}: the relay held less than before; what it lost goes out again"
        )
    if status.link_trouble is not None:
        since = local_time(status.link_trouble.since_ms, utc_offset_min)
        why = "" if _has_stopped(status) else f": {status.link_trouble.message}"
        click.echo(f"  not connected   since {since}{why}")
    if status.slowed_since_ms is not None:
        since = local_time(status.slowed_since_ms, utc_offset_min)
        click.echo(f"  slowed          since {since}: it sends more than its share; nothing is lost")
    click.echo(f"  last confirmed  {local_time(status.last_ack_at_ms, utc_offset_min)}")
    click.echo(f"  store           {status.store_bytes / 1e6:.1f} MB")
    if status.clock_measured is not None:
        click.echo(f"  clock           {_offset(status.clock_measured, now_ms, utc_offset_min)}")
    for device in status.devices:
        if device.role == "relay":  # It sells nothing; which one counts says the line above.
            continue
        revoked = ", revoked" if device.revoked else ""
        heard = local_time(device.last_entry_at_ms, utc_offset_min)
        click.echo(f"  {device.role:<15} {device.name}{revoked}, last entry {heard}")
    if documents:
        print_table(
            ["document", "records", "bytes", "fingerprint"],
            [
                [row.name, str(row.entries), str(row.bytes), (row.fingerprint or "–")[:16]]
                for row in status.documents
            ],
            right=(1, 2),
        )


def _offset(measured: ClockOffset, now_ms: int, utc_offset_min: int) -> str:
    from crdtsync.runtime.register.concerns import span

    offset_ms = measured.offset_at(now_ms)
    when = (
        ""
        if offset_ms is not None
        else f" when it showed {local_time(measured.measured_at_ms, utc_offset_min)}"
    )
    offset_ms = measured.offset_ms if offset_ms is None else offset_ms
    if abs(offset_ms) < 1000:
        return f"as the relay's, to the second{when}"
    return f"{span(abs(offset_ms) // 1000)} {'ahead of' if offset_ms > 0 else 'behind'} the relay's{when}"


def _headline(status: Status) -> str:
    """What state it is in. Who reads no further must not believe that all is well where it is not."""
    standing = _standing(status)
    if status.state != "attention":
        return standing
    if status.link_trouble is not None and status.link_trouble.is_cut_off:
        return f"cut off – {standing}"
    return f"somebody must look – {standing}"


def _standing(status: Status) -> str:
    """Where what was recorded is, and whether anything carries it on."""
    pending = f"{many(status.pending.sales, 'ticket')} pending, {money(status.pending.amount_minor)}"
    if not status.pending.records:
        return "not synchronising, nothing pending" if _has_stopped(status) else "up to date"
    if status.relay_url is None:
        amount = money(status.pending.amount_minor)
        return f"works alone – {many(status.pending.sales, 'ticket')}, {amount}, here only"
    if not status.pending.sales:
        pending = f"{many(status.pending.records, 'record')} pending"
    if _has_stopped(status):
        return f"not synchronising, {pending}"
    if _is_offline(status):
        return f"offline – {pending}"
    return pending if status.syncing else f"not synchronising – {pending}"


def _has_stopped(status: Status) -> bool:
    """Whether nothing is tried any more until somebody has acted."""
    return status.link_trouble is not None and status.link_trouble.is_over


def _is_offline(status: Status) -> bool:
    """Whether the relay was not reached: by who tries now, or by who tried last."""
    return status.link_trouble is not None or (status.state == "offline" and status.syncing)


def _advice(status: Status) -> str:
    if status.relay_url is None:
        return (
            "Sales are on this register's disk, and nowhere else. Enrol it with `crdtsync join`, or copy the "
            "data folder to a safe place."
        )
    trouble = status.link_trouble
    if status.damaged_own:
        return (
            f"{many(status.damaged_own, 'entry', 'entries')} of this register "
            f"{'was' if status.damaged_own == 1 else 'were'} damaged on its disk, and the relay has not "
            "brought it back: `crdtsync quarantine list` shows what is left. What else is pending is safe "
            "here."
        )
    if not status.pending.records:
        if trouble is not None and trouble.is_cut_off:
            return "What was recorded so far is on the relay's disk. It gives this register nothing any more."
        if _has_stopped(status):
            return (
                "What was recorded so far is on the relay's disk. Nothing follows until somebody has acted."
            )
        return "The relay has everything on its disk."
    safe = "Sales are recorded and safe on this register;"
    if trouble is not None and trouble.is_cut_off:
        return f"{safe} they count at the relay when somebody there has let them in."
    if _has_stopped(status):
        return f"{safe} nothing carries them to the relay until somebody has acted."
    if not status.syncing:
        return (
            f"{safe} nothing carries them to the relay at the moment. Start `crdtsync run`, which stays, or "
            "`crdtsync sync`, once."
        )
    if trouble is not None and trouble.kind is not errors.RelayUnreachable:
        return f"{safe} sending them is tried again and again, by itself."
    if _is_offline(status):
        return f"{safe} they go out when the relay is reached."
    return f"{safe} they are on their way to the relay."


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _pending_facts(pending: Pending) -> dict[str, int]:
    return {"sales": pending.sales, "amount_minor": pending.amount_minor, "records": pending.records}
