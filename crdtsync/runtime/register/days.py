"""Opening and closing a business day, the cash drawer, readings and reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from crdtsync.errors import InvalidName, UsageError
from crdtsync.ids import ENTRY
from crdtsync.model.chain import ChainHead
from crdtsync.model.closing import build_close, has_anything, reading
from crdtsync.model.drawer import CashMove, build_cash, build_open
from crdtsync.model.entry import Head, is_day, read_entry
from crdtsync.model.jet import DAY_CONFIRMED, build_jet
from crdtsync.model.period import Level
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.committing.writer import Payload, Session
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.closing import DayReport, Figures
from crdtsync.runtime.register.day_reports import DayReports

SAID_DAY_AHEAD_MAX: Final = timedelta(days=31)
"""How much later a person may say that it is than clock and register know: a wrong year lasts for ever."""


@dataclass(frozen=True, slots=True)
class OpenedDay:
    """A business day that was opened. ``notices`` are for a person to read."""

    business_day: str
    float_minor: int
    notices: tuple[str, ...]


class Days:
    """The business days of one register, and reports over all registers of the shop."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def open_day(self, float_minor: int, day: str | None) -> OpenedDay:
        """See ``Register.open_day``."""
        if day is not None and not is_day(day):
            raise InvalidName(f"{day!r} is not a day: YYYY-MM-DD is expected")
        opening = build_open(float_minor)

        def payload(session: Session) -> Payload:
            _refuse_opening(session, day)
            if session.day_was_confirmed:
                session.append("jet", build_jet(DAY_CONFIRMED, {"day": day, "clock": session.clock_day}))
            return opening

        written = self._replica.writer.write("open", payload, business_day=day)
        return OpenedDay(written.entry.body["bd"], float_minor, written.notices)

    def cash(self, what: CashMove, amount_minor: int, reason: str, request_id: str | None) -> bool:
        """See ``Register.cash``."""
        payload = build_cash(what, amount_minor, reason=reason)
        return not self._replica.writer.write("cash", payload, request_id=request_id).again

    def close(self, level: Level, counted_minor: int | None) -> Figures:
        """See ``Register.close_day`` and ``Register.close_period``."""

        def payload(session: Session) -> Payload:
            if level == "day":
                if not has_anything(session.head):
                    z = session.head.closings.get("day")
                    since = f"since Z{z[1]} of {session.head.bd}" if z else "yet"
                    raise UsageError(f"there is nothing to close: nothing was recorded {since}")
                session.stay_in_day_to_close()
            return build_close(
                session.head, level=level, counted_minor=counted_minor, witness=self._witness(session.head)
            )

        written = self._replica.writer.write("close", payload)
        body = written.entry.body
        return Figures.of(
            body, business_day=body["bd"], grand_total_minor=body["gt"]["real"], notices=written.notices
        )

    def x_report(self) -> Figures:
        """See ``Register.x_report``."""
        self._replica.refuse_display()
        head = read_head(self._replica.log)
        return Figures.of(reading(head), business_day=head.bd, grand_total_minor=head.gt_real)

    def report(self, day: str) -> DayReport:
        """See ``Register.report``."""
        return DayReports(self._replica).report(day)

    def _witness(self, head: ChainHead) -> Head | None:
        """The newest head of the own chain that the relay has confirmed to have on disk."""
        log, relay = self._replica.log, self._replica.relay
        if relay is None or relay.log_id is None or log.acknowledged(relay.log_id) is None:
            return None
        own = f'"chain":"{head.chain.hex()}"'.encode()
        for _, record in log.unacknowledged(relay.log_id):
            if record[:1] == ENTRY and own in record:
                first = read_entry(record[1:]).facts
                return Head(head.chain, first.prev, first.n - 1)
        return head.known


def _refuse_opening(session: Session, day: str | None) -> None:
    """Refuse to open what is open, and a day that a person cannot have meant: business days never go back."""
    today = session.moment.bd
    if session.head.day.counts.get("open"):
        raise UsageError(
            f"the business day {today} is open already",
            hint="`crdtsync cash in` puts more cash into the drawer, `crdtsync close` closes the day",
        )
    if day is None:
        return
    if day < today:
        raise InvalidName(f"{day} lies before {today}, the last business day of this register")
    latest = max(session.head.bd, session.clock_day)
    if date.fromisoformat(day) - date.fromisoformat(latest) > SAID_DAY_AHEAD_MAX:
        raise InvalidName(
            f"{day} lies more than {SAID_DAY_AHEAD_MAX.days} days after {latest}",
            hint="a day that was opened cannot be taken back; if it is right, set the clock of this machine",
        )
