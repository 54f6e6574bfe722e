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
from crdtsync.runtime.belonging.copies import left_chains
from crdtsync.runtime.committing.writer import Payload, Session, read_head
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.closing import DayFlag, DayReport, Figures, RegisterDay, RegisterState
from crdtsync.runtime.register.flags import day_flags
from crdtsync.runtime.register.ticket import TicketVat
from crdtsync.storage.view_queries import ChainRow, ClosingRow, DayRow, DeviceRow, ViewQueries

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

    def cash(self, what: CashMove, amount_minor: int, reason: str) -> None:
        """See ``Register.cash``."""
        self._replica.writer.write("cash", build_cash(what, amount_minor, reason=reason))

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
        if not is_day(day):
            raise InvalidName(f"{day!r} is not a day: YYYY-MM-DD is expected")
        with self._replica.day_views(day) as queries:
            return self._report(day, queries)

    def _report(self, day: str, queries: ViewQueries) -> DayReport:
        rows = queries.day(day)
        return DayReport(
            business_day=day,
            registers=self._registers(day, rows, queries),
            tickets=sum(row.tickets for row in rows),
            refunds=sum(row.refunds for row in rows),
            total_minor=sum(row.ttc + row.oos for row in rows),
            refunds_minor=sum(row.refunds_due for row in rows),
            discounts_minor=sum(row.discounts for row in rows),
            abandoned=sum(row.abandoned for row in rows),
            abandoned_minor=sum(row.abandoned_due for row in rows),
            vat=tuple(TicketVat(*row) for row in queries.day_vat(day)),
            means={row.means: row.amount for row in queries.day_means(day)},
            flags=tuple(
                DayFlag(row.device, row.n, row.link, row.number, row.code, row.detail or "it makes no sense")
                for row in day_flags(self._replica.log, queries, day)
            ),
        )

    def _registers(self, day: str, rows: list[DayRow], queries: ViewQueries) -> tuple[RegisterDay, ...]:
        devices = {device.device: device for device in queries.devices()}
        sums = {(row.chain, row.device): row for row in rows}
        closings = {(row.chain, row.device): row for row in queries.closings(day, level="day")}
        registers, heard = [], set()
        left = self._left_chains(queries)
        for chain in queries.chains():
            row, closing = sums.get((chain.chain, chain.device)), closings.get((chain.chain, chain.device))
            begun = chain.series is not None
            if chain.device == self._replica.log.shop or not (begun or row or closing):
                continue
            heard.add(chain.device)
            state = self._state(day, chain, row, closing, queries) if begun else "open"
            device = devices.get(chain.device)
            gone = state == "unheard" and (
                device is None or device.revoked or _replaced(chain, queries) or chain.chain in left
            )
            if chain.since > day or gone:
                continue
            name = device.name if device and device.name else chain.device.hex()[:8]
            registers.append(_register_day(chain, name, state, row, closing))
        silent = (device for device in devices.values() if device.device not in heard and device.since <= day)
        registers += [_never_heard(device) for device in silent if _may_have_sold(device)]
        return tuple(sorted(registers, key=lambda row: (row.name.casefold(), row.device)))

    def _state(
        self,
        day: str,
        chain: ChainRow,
        row: DayRow | None,
        closing: ClosingRow | None,
        queries: ViewQueries,
    ) -> RegisterState:
        if closing is not None and self._holds_all(chain.chain, closing.n):
            goes_on = queries.goes_on(chain.chain, chain.device, closing.n, day)
            return "open" if goes_on else "closed"
        if row is not None or closing is not None:
            return "open"
        return "idle" if chain.day > day and self._holds_all(chain.chain, chain.n) else "unheard"

    def _left_chains(self, queries: ViewQueries) -> set[bytes]:
        """Chains that nobody writes any more, because their register was put back or copied."""
        devices = [chain.device for chain in queries.chains() if chain.series is not None]
        return left_chains(self._replica.log) if len(devices) > len(set(devices)) else set()

    def _holds_all(self, chain: bytes, n: int) -> bool:
        return any(run.lo == 1 and run.hi >= n for run in self._replica.log.runs(chain))

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


def _replaced(chain: ChainRow, queries: ViewQueries) -> bool:
    """Whether the same device began another chain later."""
    return any(other.device == chain.device and other.since > chain.day for other in queries.chains())


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


def _may_have_sold(device: DeviceRow) -> bool:
    return device.role == "register" and not device.revoked


def _never_heard(device: DeviceRow) -> RegisterDay:
    return RegisterDay(
        device=device.device,
        name=device.name or device.device.hex()[:8],
        state="unheard",
        closed_z=None,
        closed_automatically=False,
        tickets=0,
        refunds=0,
        total_minor=0,
        last_heard_at_ms=None,
    )


def _register_day(
    chain: ChainRow, name: str, state: RegisterState, sums: DayRow | None, closing: ClosingRow | None
) -> RegisterDay:
    return RegisterDay(
        device=chain.device,
        name=name,
        state=state,
        closed_z=closing.z if closing and state == "closed" else None,
        closed_automatically=bool(closing and closing.automatic and state == "closed"),
        tickets=sums.tickets if sums else 0,
        refunds=sums.refunds if sums else 0,
        total_minor=sums.ttc + sums.oos if sums else 0,
        last_heard_at_ms=chain.at_ms,
    )
