"""What a business day came to in the whole shop, register by register, as far as it is known here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from crdtsync.errors import InvalidName
from crdtsync.model.entry import is_day
from crdtsync.model.naming import names_apart, short_id
from crdtsync.runtime.belonging.copies import left_chains
from crdtsync.runtime.register.closing import DayFlag, DayReport, RegisterDay, RegisterState
from crdtsync.runtime.register.flags import day_flags
from crdtsync.runtime.register.ticket import TicketVat
from crdtsync.storage.log import ShopLog
from crdtsync.storage.view_queries import ChainRow, ClosingRow, DayRow, DeviceRow, ViewQueries


class Reported(Protocol):
    """A replica of the shop: a register's, or the relay's."""

    @property
    def log(self) -> ShopLog:
        """Its log."""
        ...

    def day_views(self, day: str) -> AbstractContextManager[ViewQueries]:
        """Views that show all of one business day that is here."""
        ...


class DayReports:
    """Reports over all registers of a shop, from what one replica holds."""

    def __init__(self, shop: Reported) -> None:
        self._shop = shop

    def report(self, day: str) -> DayReport:
        """See ``Register.report``. Raises ``InvalidName``, ``StorageError``."""
        if not is_day(day):
            raise InvalidName(f"{day!r} is not a day: YYYY-MM-DD is expected")
        with self._shop.day_views(day) as queries:
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
                for row in day_flags(self._shop.log, queries, day)
            ),
        )

    def _registers(self, day: str, rows: list[DayRow], queries: ViewQueries) -> tuple[RegisterDay, ...]:
        devices = {device.device: device for device in queries.devices()}
        names = names_apart((row.device, row.name, row.series) for row in devices.values())
        sums = {(row.chain, row.device): row for row in rows}
        closings = {(row.chain, row.device): row for row in queries.closings(day, level="day")}
        registers, heard = [], set()
        left = self._left_chains(queries)
        for chain in queries.chains():
            row, closing = sums.get((chain.chain, chain.device)), closings.get((chain.chain, chain.device))
            begun = chain.series is not None
            if chain.device == self._shop.log.shop or not (begun or row or closing):
                continue
            heard.add(chain.device)
            state = self._state(day, chain, row, closing, queries) if begun else "open"
            device = devices.get(chain.device)
            if state == "open" and begun and device is not None and device.revoked:
                state = "cut-off" if self._holds_all(chain.chain, chain.n) else state
            if not (row or closing) and device is not None and device.role != "register":
                continue  # A back office has a chain as well, and sells nothing.
            gone = state == "unheard" and (
                device is None or device.revoked or _replaced(chain, queries) or chain.chain in left
            )
            if chain.since > day or gone:
                continue
            name = names.get(chain.device) or short_id(chain.device)
            registers.append(_register_day(chain, name, state, row, closing))
        silent = (device for device in devices.values() if device.device not in heard and device.since <= day)
        registers += [
            _never_heard(device, names[device.device]) for device in silent if _may_have_sold(device)
        ]
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
        return left_chains(self._shop.log) if len(devices) > len(set(devices)) else set()

    def _holds_all(self, chain: bytes, n: int) -> bool:
        return any(run.lo == 1 and run.hi >= n for run in self._shop.log.runs(chain))


def _replaced(chain: ChainRow, queries: ViewQueries) -> bool:
    """Whether the same device began another chain later."""
    return any(other.device == chain.device and other.since > chain.day for other in queries.chains())


def _may_have_sold(device: DeviceRow) -> bool:
    return device.role == "register" and not device.revoked


def _never_heard(device: DeviceRow, name: str) -> RegisterDay:
    return RegisterDay(
        device=device.device,
        name=name,
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
