"""Sales: finding any ticket of all years, and one ticket with its place in its chain and its verification."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import AccessDenied, SetupError
from crdtsync.model.ticket import build_print
from crdtsync.storage.view_place import Place
from crdtsync.storage.view_queries import TicketRow
from crdtsync.storage.view_sales import Wanted, find_tickets
from crdtsync_server.dashboard.csv_files import Cells, amount_cell, csv_stream, safe_cell
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.invoices import Invoice
from crdtsync_server.dashboard.rooms.catalogue import learn
from crdtsync_server.dashboard.sales import Asked, read_place, wanted_of
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.ticket import ShownTicket, show_ticket
from crdtsync_server.dashboard.words import N_
from crdtsync_server.shops.devices import device_names as directory_names
from crdtsync_server.shops.devices import machines_of
from crdtsync_server.shops.owner import OwnerChain
from crdtsync_server.shops.registers import currency_of

PATH: Final = "/sales"
ROWS_PER_PAGE: Final = 50
ROWS_PER_CHUNK: Final = 1_000
"""An export is fetched in pieces, between which others are answered."""

NUMBER_MAX: Final = 64

MEANS: Final[Mapping[str, str]] = {
    "cash": N_("Cash"),
    "change": N_("Change given"),
    "card": N_("Card"),
    "cheque": N_("Cheque"),
    "transfer": N_("Transfer"),
    "voucher": N_("Voucher"),
    "account": N_("On account"),
    "titre": N_("Meal voucher"),
    "other": N_("Other means"),
}
"""Means of payment as people call them; others are shown as they are."""

_CLOSED: Final = N_(
    "The back office may not write in this shop: its owner's key is kept elsewhere and has not signed for it"
    " yet, or the back office was cut off."
)

EXPORTED: Final = (
    *("number", "kind", "mode", "business day", "date", "time", "register", "operator"),
    *("lines", "amount", "refund of", "reason", "link"),
)


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_sales)),
        Route(f"{PATH}/export.csv", house.page(_export)),
        Route(f"{PATH}/ticket", house.page(_ticket)),
        Route(f"{PATH}/copy", house.page(_copy, owner=True), methods=["POST"]),
    ]


def device_names(shop: OfficeShop) -> dict[bytes, str]:
    """What the devices of a shop are called, by when they came."""
    directory = OwnerChain.read(shop.log).directory
    names = directory_names(directory)
    return {one.device: names[one.device] for one in machines_of(directory)}


async def _sales(visit: Visit) -> Response:
    query = visit.request.query_params
    asked = Asked.read(query)
    places = {name: query.get(name, "") for name in ("older", "newer")}
    older, newer = (read_place(places[name]) if places[name] else None for name in ("older", "newer"))
    if (places["older"] and older is None) or (places["newer"] and newer is None):
        raise HTTPException(404)

    def find(shop: OfficeShop) -> dict[str, Any]:
        _file(shop)
        wanted = wanted_of(shop, shop.queries, asked)
        rows = find_tickets(
            shop.queries, wanted, older_than=older, newer_than=newer, rows_max=ROWS_PER_PAGE + 1
        )
        return {
            **_page(rows, older, newer),
            "names": device_names(shop),
            "lags": shop.lags_far,
            "currency": currency_of(shop.log),
            "wanted": wanted,
        }

    facts = await visit.ask(find)
    template = "sales_rows.html" if visit.request.headers.get("hx-request") else "sales.html"
    return visit.render(template, asked=asked, more=urlencode(asked.query), **facts)


def _file(shop: OfficeShop) -> None:
    """Bring the views up to date, if that takes no longer than somebody waits."""
    learn(shop)
    if not shop.lags_far:
        shop.views.catch_up()


def _page(rows: list[TicketRow], older: Place | None, newer: Place | None) -> dict[str, Any]:
    """The rows of one page; one more than it has was asked for, to know whether it goes on."""
    goes_on = len(rows) > ROWS_PER_PAGE
    if newer is not None:
        shown, has_newer, has_older = rows[-ROWS_PER_PAGE:], goes_on, True
    else:
        shown, has_newer, has_older = rows[:ROWS_PER_PAGE], older is not None, goes_on
    return {
        "rows": shown,
        "newer": f"{shown[0].day}.{shown[0].seq}" if shown and has_newer else None,
        "older": f"{shown[-1].day}.{shown[-1].seq}" if shown and has_older else None,
    }


async def _export(visit: Visit) -> Response:
    asked = Asked.read(visit.request.query_params)

    def begin(shop: OfficeShop) -> tuple[Wanted, dict[bytes, str]]:
        _file(shop)
        return wanted_of(shop, shop.queries, asked), device_names(shop)

    wanted, names = await visit.ask(begin)

    async def pages() -> AsyncIterator[Iterable[Cells]]:
        place: Place | None = None
        while True:
            rows = await visit.ask(partial(_chunk, wanted, place))
            yield [_cells(row, names) for row in rows]
            if len(rows) < ROWS_PER_CHUNK:
                return
            place = Place(rows[-1].day, rows[-1].seq)

    return csv_stream("sales.csv", EXPORTED, pages())


def _chunk(wanted: Wanted, after: Place | None, shop: OfficeShop) -> list[TicketRow]:
    return find_tickets(shop.queries, wanted, older_than=after, rows_max=ROWS_PER_CHUNK)


def _cells(row: TicketRow, names: Mapping[bytes, str]) -> Cells:
    local = datetime.fromtimestamp(row.at_ms / 1000, UTC) + timedelta(minutes=row.tz_min)
    return [
        safe_cell(row.number),
        row.kind,
        row.mode,
        row.day,
        local.date().isoformat(),
        local.strftime("%H:%M:%S"),
        safe_cell(names.get(row.device, row.device.hex()[:8])),
        safe_cell(row.operator),
        str(row.lines),
        amount_cell(row.total),
        safe_cell(row.ref_number or ""),
        safe_cell(row.reason or ""),
        row.link.hex(),
    ]


async def _ticket(visit: Visit) -> Response:
    number, link = ticket_asked_for(visit.request.query_params)

    return await _show_ticket(visit, number, link)


async def _show_ticket(visit: Visit, number: str, link: bytes | None, *, problem: str = "") -> Response:
    def look(shop: OfficeShop) -> dict[str, Any]:
        return {
            "shown": shown_ticket(shop, number, link),
            "names": device_names(shop),
            "currency": currency_of(shop.log),
        }

    def invoice(shop: OfficeShop) -> Invoice | None:
        shown = shown_ticket(shop, number, link)
        return visit.house.office.invoices.of_ticket(shop.log.shop, shown.ticket.link)

    return visit.render(
        "ticket.html",
        invoice=await visit.ask(invoice),
        status=409 if problem else 200,
        means=MEANS,
        problem=problem,
        token=await visit.form_token(),
        request_id=visit.house.random(16).hex(),
        **await visit.ask(look),
    )


async def _copy(visit: Visit) -> Response:
    """A copy of a ticket: recorded, numbered and signed first, then shown to be printed."""
    form = await visit.form()
    number, link = ticket_asked_for({"number": form.text("number"), "link": form.text("link")})
    request_id = form.text("request")
    if not (request_id.isascii() and request_id.isalnum() and len(request_id) == 32):
        raise HTTPException(400)

    def record(shop: OfficeShop) -> dict[str, Any]:
        shown = shown_ticket(shop, number, link)
        rank = len(shown.prints) + 1
        written = shop.record(
            "print", build_print(shown.entry, rank), by=visit.operator, request_id=request_id
        )
        return {"shown": shown, "print": written.entry.body, "currency": currency_of(shop.log)}

    try:
        facts = await visit.change(record)
    except (SetupError, AccessDenied):
        return await _show_ticket(visit, number, link, problem=visit.words.say(_CLOSED))
    return visit.render("copy.html", means=MEANS, **facts)


def ticket_asked_for(query: Mapping[str, str]) -> tuple[str, bytes | None]:
    """Number and link in an address or a form. Raises 404."""
    number, link = query.get("number", ""), query.get("link", "")
    try:
        found = bytes.fromhex(link) if link else None
    except ValueError:
        raise HTTPException(404) from None
    if not 0 < len(number) <= NUMBER_MAX:
        raise HTTPException(404)
    return number, found


def shown_ticket(shop: OfficeShop, number: str, link: bytes | None) -> ShownTicket:
    """A ticket of this shop. Raises 404."""
    if not shop.lags_far:
        shop.views.catch_up()
    shown = show_ticket(shop.log, shop.queries, number, link)
    if shown is None:
        raise HTTPException(404)
    return shown
