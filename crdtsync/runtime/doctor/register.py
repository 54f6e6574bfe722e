"""What the store of a register says: clock, who synchronises, certificate, quarantine, what is pending."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crdtsync.errors import (
    AccessDenied,
    IntegrityDefect,
    LinkError,
    NotPermitted,
    NotSynchronised,
    RecordError,
    RelayUnreachable,
    RoleTaken,
    WrongClock,
)
from crdtsync.runtime.doctor.finding import Finding, notice, unknown, well, wrong
from crdtsync.runtime.folder.identity import CLOCK_OFFSET_MAX_MS
from crdtsync.runtime.folder.role import SYNC_LOCK, holder_of
from crdtsync.runtime.register.concerns import span
from crdtsync.runtime.register.status import OFFLINE_AFTER_MS, Status
from crdtsync.runtime.syncing.link_trouble import LinkTrouble
from crdtsync.runtime.syncing.refusal import HOW_TO_COME_BACK
from crdtsync.said import many

LASTING_MS: Final = OFFLINE_AFTER_MS
"""What keeps a register from its relay for longer does not go by itself within a moment."""

_SET_CLOCK: Final = "set the clock (better: let the machine take its time from the network)"


def look_at_store(
    status: Status, folder: Path, now_ms: int, relay_now_ms: int | None = None
) -> Iterator[Finding]:
    """All that a status says: clock, who synchronises, certificate, copies, quarantine, pending.
    ``relay_now_ms``: what the relay's clock shows, where it was asked.
    """
    yield look_at_clock(status, now_ms, relay_now_ms)
    yield look_at_syncing(status, folder, now_ms)
    yield look_at_certificate(status)
    yield look_at_copies(status)
    yield from look_at_records(status)


def look_at_clock(status: Status, now_ms: int, relay_now_ms: int | None) -> Finding:
    """Whether the clock is right: against the relay's as it says now; else as measured last, as long as that
    says something; else against what was recorded here last.
    """
    if relay_now_ms is not None:
        return _clock_says(now_ms - relay_now_ms, "the clock agrees with the relay's")
    measured = status.clock_measured
    if measured is None:
        return _look_at_clock_alone(status, now_ms)
    offset_ms = measured.offset_at(now_ms)
    since_ms = now_ms - measured.measured_at_ms
    if offset_ms is not None:
        return _clock_says(
            offset_ms, f"the clock agreed with the relay's {span(max(0, since_ms) // 1000)} ago"
        )
    if since_ms < 0:
        what = "the clock was set back since it was last compared with the relay's"
    else:
        what = (
            f"the clock was last compared with the relay's {span(since_ms // 1000)} ago, as it counts itself"
        )
    return unknown(
        "clock", what, "look whether its date and time are right; the relay is asked when it is reached"
    )


def _clock_says(offset_ms: int, well_says: str) -> Finding:
    if abs(offset_ms) > CLOCK_OFFSET_MAX_MS:
        where = "ahead of" if offset_ms > 0 else "behind"
        what = f"the clock is {span(abs(offset_ms) // 1000)} {where} the relay's"
        return wrong("clock", WrongClock(what, hint=_SET_CLOCK))
    return well("clock", f"{well_says}, to {max(1, abs(offset_ms) // 1000)} s")


def _look_at_clock_alone(status: Status, now_ms: int) -> Finding:
    """Against its own last entry: a neighbour's clock may have been the wrong one."""
    own = next((row for row in status.devices if row.device == status.device), None)
    newest_ms = own.last_entry_at_ms or 0 if own is not None else 0
    if newest_ms > now_ms + CLOCK_OFFSET_MAX_MS:
        what = f"the clock is {span((newest_ms - now_ms) // 1000)} behind what is recorded already"
        hint = f"{_SET_CLOCK}, unless it is right now: then what was recorded last had the wrong time"
        return wrong("clock", WrongClock(what, hint=hint))
    return unknown("clock", "nothing to compare the clock with: no relay has been met yet")


def look_at_syncing(status: Status, folder: Path, now_ms: int) -> Finding:
    """Who synchronises: nobody, a process that is stopped, or one that works; and whether that has ended
    until somebody has acted: starting it again would not help then.
    """
    process, trouble = holder_of(folder / SYNC_LOCK), status.link_trouble
    if process is None:
        if status.relay_url is None:
            return well("syncing", "there is no relay to synchronise with")
        if trouble is not None and trouble.is_over:
            return _stopped(trouble)
        hint = "start `crdtsync run`, which stays, or `crdtsync sync`, once"
        if status.pending.records:
            return wrong("syncing", NotSynchronised("no process synchronises this register", hint=hint))
        return notice("syncing", "no process synchronises this register", hint)
    state = process_state(process)
    if state in ("T", "t"):
        what = f"process {process} holds the role of synchronising, and is stopped"
        hint = f"let it go on (`kill -CONT {process}`) or end it (`kill {process}`)"
        return wrong("syncing", RoleTaken(what, hint=hint))
    if trouble is not None and trouble.is_over:
        return _stopped(trouble)
    if (
        trouble is not None
        and trouble.kind is not RelayUnreachable
        and now_ms - trouble.since_ms > LASTING_MS
    ):
        what = f"process {process} tries again and again, for {_since(trouble, now_ms)}: {trouble.message}"
        return Finding("syncing", "wrong", what, trouble.hint or LinkError.hint, trouble.kind.exit_code)
    return well("syncing", f"process {process} synchronises this register")


def _stopped(trouble: LinkTrouble) -> Finding:
    """It ended until somebody has acted. Why the relay refuses a register, its certificate's finding says."""
    if trouble.kind is AccessDenied:
        return notice("syncing", "synchronising has stopped, because this register is refused", "")
    hint = trouble.hint or trouble.kind.hint
    what = f"synchronising has stopped: {trouble.message}"
    return Finding("syncing", "wrong", what, hint, trouble.kind.exit_code)


def _since(trouble: LinkTrouble, now_ms: int) -> str:
    return span((now_ms - trouble.since_ms) // 1000)


def process_state(process: int) -> str:
    """One letter as in proc(5), ``T`` for a process that was stopped; empty where the system does not say."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def look_at_certificate(status: Status) -> Finding:
    """Whether this register may synchronise, as far as its own disk knows."""
    own = next((row for row in status.devices if row.device == status.device), None)
    trouble = status.link_trouble
    if own is not None and own.revoked:
        return wrong("certificate", AccessDenied("this register was revoked", hint=HOW_TO_COME_BACK))
    if trouble is not None and trouble.is_over and trouble.kind is AccessDenied:
        return wrong("certificate", AccessDenied(trouble.message, hint=trouble.hint))
    return well("certificate", f"{status.name} is a device of {status.shop_name}")


def look_at_copies(status: Status) -> Finding:
    """Whether a register must be enrolled again, this one first."""
    copied = sorted(status.copied, key=lambda one: not one.is_own)
    if not copied and status.relay_put_back_at_ms is not None and status.pending.records:
        what = "the relay was put back from an older copy, or lost its data"
        return notice("copies", what, "what it lost goes out again: let every register synchronise once")
    if not copied:
        return well("copies", "no register's data was put back from an old copy, or copied")
    return wrong("copies", IntegrityDefect(copied[0].says, hint=copied[0].advice))


def brought_back(records: int) -> Finding:
    """What to say of damage that was mended: a disk that changes bytes may do it again."""
    what = f"damaged on this disk, and here again from another's copy: {many(records, 'record')}"
    return notice("quarantine", what, "nothing has to be done for them; have the disk looked at")


def look_at_records(status: Status) -> Iterator[Finding]:
    """Quarantine, and what is pending."""
    look = "`crdtsync quarantine list` shows them, each with its reason"
    if status.refused_by_relay:
        what = f"the relay did not take {many(status.refused_by_relay, 'record')} of this register"
        if status.on_hold_at_relay == status.refused_by_relay:
            what = f"the relay keeps {many(status.refused_by_relay, 'record')} on hold until a person decides"
        yield wrong("quarantine", NotPermitted(what, hint=look))
    elif left := status.apart - status.held - status.apart_back:
        yield wrong("quarantine", RecordError(f"refused here, or damaged: {many(left, 'record')}", hint=look))
    elif status.held:
        yield notice("quarantine", f"waiting for a certificate: {many(status.held, 'record')}", look)
    elif status.apart_back:
        yield brought_back(status.apart_back)
    else:
        yield well("quarantine", "nothing was refused, held or set apart")
    for concern in status.concerns:
        if "differs from the relay's" in concern:
            yield wrong("quarantine", IntegrityDefect(concern, hint="`crdtsync resync` compares it again"))
    pending = status.pending
    if status.damaged_own:
        lost = many(status.damaged_own, "entry", "entries")
        what = f"damaged here, and the relay has not brought it back: {lost} of this register"
        hint = "`crdtsync sync` asks the relay for it; `crdtsync quarantine list` shows what is left of it"
        yield wrong("pending", NotSynchronised(what, hint=hint))
    elif pending.records == 0:
        yield well("pending", "the relay has everything on its disk")
    elif status.relay_url is None:
        what = f"on this register alone: {many(pending.sales, 'ticket')}"
        yield notice("pending", what, "enrol it with `crdtsync join`, or copy its folder to a safe place")
    else:
        what = f"not at the relay yet: {many(pending.sales, 'ticket')} ({many(pending.records, 'record')})"
        yield notice("pending", what, "they are safe on this disk; mend what is wrong, and they go out")
