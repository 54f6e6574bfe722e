"""The figures of a business day: what was taken, when, and on which register; beside the same weekday before.

Everything is from the views; what a register has not sent yet is not in them, and is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from crdtsync.model.naming import names_apart
from crdtsync.runtime.clock import Clock
from crdtsync.storage.view_hours import HourRow, hours_of
from crdtsync.storage.view_queries import TicketRow
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.shops.devices import DeviceState

LAST_TICKETS: Final = 12
NIGHT_ENDS_HOUR: Final = 5
"""Before this hour, with nothing sold yet, the day before is still shown as today."""

WEEK_MS: Final = 7 * 86_400_000
END_MS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Total:
    """Of a day, or of a part of one. ``average_minor`` is what a sale brought on average, if any did."""

    sales: int
    refunds: int
    amount_minor: int
    sold_minor: int

    @property
    def average_minor(self) -> int | None:
        """Rounded half up."""
        return (2 * self.sold_minor + self.sales) // (2 * self.sales) if self.sales else None

    @classmethod
    def of(cls, rows: Sequence[HourRow]) -> Total:
        """The sum of these."""
        return cls(
            sum(row.sales for row in rows),
            sum(row.refunds for row in rows),
            sum(row.amount for row in rows),
            sum(row.sold for row in rows),
        )


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the day, and of the day that it is compared with."""

    hour: int
    total: Total
    before: Total


@dataclass(frozen=True, slots=True)
class RegisterTotal:
    """What one register took. ``share`` is its part of the day's turnover, from 0 to 1."""

    name: str
    total: Total
    share: float


@dataclass(frozen=True, slots=True)
class DayFigures:
    """A business day. ``before`` is the same weekday a week ago: for the present day up to the same time.

    ``missing``: registers that have, or may have, sales of the day that are not here.
    """

    day: str
    compared_day: str
    is_present: bool
    total: Total
    before: Total
    hours: tuple[Hour, ...]
    registers: tuple[RegisterTotal, ...]
    tickets: tuple[tuple[TicketRow, str], ...]
    missing: tuple[DeviceState, ...]


def present_day(clock: Clock) -> str:
    """The calendar day of this machine's clock."""
    return _local(clock).date().isoformat()


def figures_of(shop: OfficeShop, day: str | None = None, *, as_filed: bool = False) -> DayFigures:
    """The figures of a day, by default of the present one. The same number of questions, however much was
    sold. With ``as_filed``, what is not in the views yet is left to the next look. Raises ``StorageError``.
    """
    clock = shop.clock
    present, now_ms = present_day(clock), clock.now_ms()
    if day is None:
        day = present
        if _local(clock).hour < NIGHT_ENDS_HOUR:
            with shop.day_views(present, as_filed=as_filed) as queries:
                if not queries.day(present):
                    day = _moved(present, -1)
    is_present = day >= _moved(present, -1 if _local(clock).hour < NIGHT_ENDS_HOUR else 0)
    compared = _moved(day, -7)
    with shop.day_views(day, as_filed=as_filed) as queries:
        rows = hours_of(queries, day, END_MS)
        tickets = queries.tickets(day=day, rows_max=LAST_TICKETS)
    with shop.day_views(compared, as_filed=as_filed) as queries:
        before = hours_of(queries, compared, now_ms - WEEK_MS if is_present else END_MS)
    states = shop.device_states()
    known = (state.certificate for state in states)
    names = names_apart((one.device, one.name, one.series) for one in known)
    total = Total.of(rows)
    return DayFigures(
        day,
        compared,
        is_present,
        total,
        Total.of(before),
        _hours(rows, before),
        _registers(rows, names, total.amount_minor),
        tuple((ticket, names.get(ticket.device, ticket.device.hex()[:8])) for ticket in tickets),
        tuple(state for state in states if is_present and _may_miss(state)),
    )


def _hours(rows: Sequence[HourRow], before: Sequence[HourRow]) -> tuple[Hour, ...]:
    """All hours from the first to the last in which anything was sold on either day."""
    by_hour: dict[int, tuple[list[HourRow], list[HourRow]]] = defaultdict(lambda: ([], []))
    for place, found in enumerate((rows, before)):
        for row in found:
            by_hour[row.hour][place].append(row)
    if not by_hour:
        return ()
    return tuple(
        Hour(hour, Total.of(by_hour[hour][0]), Total.of(by_hour[hour][1]))
        for hour in range(min(by_hour), max(by_hour) + 1)
    )


def _registers(
    rows: Sequence[HourRow], names: dict[bytes, str], amount_minor: int
) -> tuple[RegisterTotal, ...]:
    by_device: dict[bytes, list[HourRow]] = defaultdict(list)
    for row in rows:
        by_device[row.device].append(row)
    found = [
        RegisterTotal(
            names.get(device, device.hex()[:8]),
            (total := Total.of(of_device)),
            min(1.0, max(0.0, total.amount_minor / amount_minor)) if amount_minor > 0 else 0.0,
        )
        for device, of_device in by_device.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.total.amount_minor, one.name)))


def _may_miss(state: DeviceState) -> bool:
    if state.certificate.role != "register" or (state.revoked and not state.pending_sales):
        return False
    return bool(state.pending_sales) or (not state.connected and state.contact is not None)


def _moved(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _local(clock: Clock) -> datetime:
    now_ms = clock.now_ms()
    return datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(minutes=clock.utc_offset_min(now_ms))
