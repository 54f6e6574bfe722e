"""Days: what each day, month and year came to, the closings (Z) of every register, and readings (X) of what
is still open. A register of which nothing has come is named, never shown as if it had sold nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.model.entry import Entry, is_day
from crdtsync.model.money import format_rate
from crdtsync.runtime.filing.completeness import CompleteTo
from crdtsync.runtime.register.closing import Figures, RegisterDay
from crdtsync.runtime.register.day_reports import DayReports
from crdtsync.storage.view_days import (
    ClosedRow,
    DayCells,
    RegisterDayRow,
    Span,
    closings_between,
    register_day_cells,
    register_days,
    spans,
)
from crdtsync.storage.view_queries import ViewQueries
from crdtsync_server.dashboard.csv_files import Cells, amount_cell, csv_file, safe_cell
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.rooms.sales import MEANS, device_names
from crdtsync_server.dashboard.rooms.today import DAYS
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.ticket import Check, entry_named, verified
from crdtsync_server.dashboard.today import present_day
from crdtsync_server.dashboard.words import N_
from crdtsync_server.shops.registers import currency_of

PATH: Final = "/days"
FLAG_WORDS: Final[Mapping[str, str]] = {
    "totals": N_("The totals do not follow from the lines."),
    "payment": N_("The payments are not what was to be paid."),
    "sign": N_("Goods or money go the other way than they should."),
    "clock": N_("The clock and the business day are more than a day apart."),
    "unreadable": N_("This entry cannot be read."),
}
"""Of the flags that one entry has by itself; what is wrong in particular is told beside it."""
ROWS_PER_PAGE: Final = {"day": 31, "month": 24, "year": 20}
EXPORTED_DAYS_MAX: Final = 366 * 10
_FIRST_COLUMNS: Final = (
    *("business day", "register", "tickets", "refunds", "total", "refunded", "discounts", "outside vat"),
)


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_days)),
        Route(f"{PATH}/export.csv", house.page(_export)),
        Route(f"{PATH}/closing", house.page(_closing)),
        Route(f"{PATH}/{{day}}", house.page(_day)),
    ]


async def _days(visit: Visit) -> Response:
    by, before = visit.request.query_params.get("by", "day"), visit.request.query_params.get("before")
    if by not in ROWS_PER_PAGE or (before is not None and not _is_span(before, by)):
        raise HTTPException(404)
    span: Span = by  # type: ignore[assignment]

    def look(shop: OfficeShop) -> dict[str, Any]:
        if not shop.lags_far:
            shop.views.catch_up()
        rows = spans(shop.queries, span, before=before, rows_max=ROWS_PER_PAGE[span] + 1)
        shown = rows[: ROWS_PER_PAGE[span]]
        closings: list[ClosedRow] = []
        if shown:
            end = f"{shown[0].name}-99"  # After every day of it.
            closings = closings_between(shop.queries, span, shown[-1].name, end)
        return {
            "rows": shown,
            "older": shown[-1].name if len(rows) > len(shown) else None,
            "closings": _by_span(closings, len(shown[0].name) if shown else 0),
            "names": device_names(shop),
            "lags": shop.lags_far,
            "currency": currency_of(shop.log),
        }

    facts = await visit.ask(look)
    return visit.render("days.html", by=by, before=before, closing_address=_address, **facts)


def _address(closing: ClosedRow) -> str:
    return f"{PATH}/closing?chain={closing.chain.hex()}&n={closing.n}&link={closing.link.hex()}"


def _is_span(text: str, by: str) -> bool:
    return is_day({"day": text, "month": f"{text}-01", "year": f"{text}-01-01"}[by])


def _by_span(closings: Sequence[ClosedRow], characters: int) -> Mapping[str, list[ClosedRow]]:
    found: dict[str, list[ClosedRow]] = {}
    for closing in closings:
        found.setdefault(closing.day[:characters], []).append(closing)
    return found


@dataclass(frozen=True, slots=True)
class RegisterPart:
    """One register's part of a day: ``closings`` are its Z, ``reading`` is what came of an open one (X)."""

    state: RegisterDay
    closings: tuple[ClosedRow, ...]
    complete: CompleteTo | None
    reading: Figures | None


async def _day(visit: Visit) -> Response:
    day = visit.request.path_params["day"]
    if not (is_day(day) and DAYS[0] <= day <= DAYS[1]):
        raise HTTPException(404)
    facts = await visit.ask(lambda shop: _facts_of(shop, day))
    moved = date.fromisoformat(day)
    return visit.render(
        "day.html",
        day=day,
        earlier=(moved - timedelta(days=1)).isoformat() if day > DAYS[0] else None,
        later=(moved + timedelta(days=1)).isoformat()
        if day < present_day(visit.house.office.clock)
        else None,
        means=MEANS,
        flag_words=FLAG_WORDS,
        closing_address=_address,
        **facts,
    )


def _facts_of(shop: OfficeShop, day: str) -> dict[str, Any]:
    report = DayReports(shop).report(day)
    complete = shop.complete_to()
    with shop.day_views(day) as queries:
        closings = closings_between(queries, "day", day, day)
        parts = [
            RegisterPart(
                one,
                tuple(closing for closing in closings if closing.device == one.device),
                complete.get(one.device),
                _reading(queries, day, one) if one.state in ("open", "cut-off") else None,
            )
            for one in report.registers
        ]
    return {
        "report": report,
        "parts": parts,
        "missing": [one for one in report.registers if one.state == "unheard"],
        "open": [one for one in report.registers if one.state == "open"],
        "lags": shop.lags_far,
        "currency": currency_of(shop.log),
        "offset_min": shop.clock.utc_offset_min(shop.clock.now_ms()),
    }


def _reading(queries: ViewQueries, day: str, state: RegisterDay) -> Figures:
    """What a register took on a day that is open, as far as it has arrived: no fiscal value."""
    rows = [row for row in queries.day(day) if row.device == state.device]
    chains = {row.chain for row in rows}
    means: dict[str, int] = {}
    vat = []
    for chain in sorted(chains):
        vat += queries.day_vat(day, chain)
        for row in queries.day_means(day, chain):
            means[row.means] = means.get(row.means, 0) + row.amount
    fields = {
        "level": "day",
        "counts": {
            "sale": sum(row.tickets - row.refunds for row in rows),
            "refund": sum(row.refunds for row in rows),
            "abandon": sum(row.abandoned for row in rows),
        },
        "total": sum(row.ttc for row in rows),
        "refunds": {"ttc": sum(row.refunds_due for row in rows)},
        "oos": sum(row.oos for row in rows),
        "disc": sum(row.discounts for row in rows),
        "vat": [row._asdict() for row in vat],
        "pay": [{"m": name, "amt": amount} for name, amount in sorted(means.items())],
    }
    return Figures.of(fields, business_day=day, grand_total_minor=0)


@dataclass(frozen=True, slots=True)
class ShownClosing:
    """A closing, read from its entry, and verified while it is looked at."""

    entry: Entry
    figures: Figures
    register: str
    checks: tuple[Check, ...]

    @property
    def is_verified(self) -> bool:
        """Whether all that could be looked at holds."""
        return all(check.holds is not False for check in self.checks)


async def _closing(visit: Visit) -> Response:
    query = visit.request.query_params
    try:
        chain, link, n = bytes.fromhex(query["chain"]), bytes.fromhex(query["link"]), int(query["n"][:18])
    except (KeyError, ValueError):
        raise HTTPException(404) from None

    def look(shop: OfficeShop) -> dict[str, Any]:
        entry = entry_named(shop.log, chain, n, link)
        if entry is None or entry.kind != "close":
            raise HTTPException(404)
        try:
            body = entry.body
            figures = Figures.of(body, business_day=body["bd"], grand_total_minor=body["gt"]["real"])
        except (KeyError, TypeError, AttributeError):
            raise HTTPException(404) from None  # A closing whose fields make no sense: a flag says so.
        names = device_names(shop)
        register = names.get(entry.author, entry.author.hex()[:8])
        return {
            "shown": ShownClosing(entry, figures, register, tuple(verified(shop.log, entry, link))),
            "currency": currency_of(shop.log),
        }

    return visit.render("closing.html", means=MEANS, **await visit.ask(look))


async def _export(visit: Visit) -> Response:
    query = visit.request.query_params
    first, last = query.get("from", DAYS[0]), query.get("to", DAYS[1])
    if not (is_day(first) and is_day(last)):
        raise HTTPException(404)

    def read(shop: OfficeShop) -> list[Cells]:
        if not shop.lags_far:
            shop.views.catch_up()
        rows = register_days(shop.queries, first, last)[-EXPORTED_DAYS_MAX * 20 :]
        cells = register_day_cells(shop.queries, first, last)
        return _table(rows, cells, device_names(shop))

    return csv_file("days.csv", await visit.ask(read))


def _table(
    rows: Sequence[RegisterDayRow], cells: Sequence[DayCells], names: Mapping[bytes, str]
) -> list[Cells]:
    """A row for each register and day; a column for each VAT rate and each means of payment that there is."""
    columns = sorted({cell.what for cell in cells}, key=_column_order)
    found = {(cell.day, cell.device, cell.what): cell for cell in cells}
    head = list(_FIRST_COLUMNS)
    for what in columns:
        head += [safe_cell(name) for name in _titles(what)]
    table: list[Cells] = [head]
    for row in rows:
        register = safe_cell(names.get(row.device, row.device.hex()[:8]))
        line = [row.day, register, str(row.tickets), str(row.refunds)]
        line += map(amount_cell, (row.total, row.refunded, row.discounts, row.outside_vat))
        for what in columns:
            cell = found.get((row.day, row.device, what))
            line.append(amount_cell(cell.amount if cell else 0))
            if what.startswith("vat "):
                line.append(amount_cell(cell.tax if cell else 0))
        table.append(line)
    return table


def _column_order(what: str) -> tuple[bool, int, str]:
    if what.startswith("vat "):
        return False, -int(what.split()[1]), what
    return True, 0, what


def _titles(what: str) -> list[str]:
    if what.startswith("vat "):
        _, rate, vat_class = what.split(" ", 2)
        shown = f"{format_rate(int(rate), mark=',')} % {vat_class}"
        return [f"without vat {shown}", f"vat {shown}"]
    return [what.removeprefix("pay ")]
