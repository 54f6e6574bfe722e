"""Alerts: what somebody of the shop should know, what each means and what to do about it; and how many there
are, for the menu and the title of every page.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crdtsync_server.dashboard.alerts import Alert
from crdtsync_server.dashboard.csv_files import Cells, amount_cell, csv_file, safe_cell
from crdtsync_server.dashboard.house import House, Visit, paint
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.words import words_in
from crdtsync_server.shops.devices import utc
from crdtsync_server.shops.registers import currency_of

PATH: Final = "/alerts"
_COLUMNS: Final = (
    "alert",
    "grave",
    "register",
    "ticket",
    "number",
    "amount",
    "day",
    "since",
    "device",
    "link",
)


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_alerts)),
        Route(f"{PATH}/count", house.page(_count)),
        Route(f"{PATH}/export.csv", house.page(_export)),
    ]


async def _alerts(visit: Visit) -> Response:
    return visit.render("alerts.html", **await visit.ask(_facts))


async def _count(visit: Visit) -> Response:
    """How many there are, for a page that is open."""
    if visit.alerts is None:
        raise HTTPException(503)
    return JSONResponse({"alerts": visit.alerts})


async def _export(visit: Visit) -> Response:
    rows = await visit.ask(lambda shop: [_cells(one) for one in shop.alerts.now()])
    return csv_file("alerts.csv", [_COLUMNS, *rows])


def _cells(one: Alert) -> Cells:
    return [
        *(one.code, "yes" if one.is_grave else "no", safe_cell(one.name), safe_cell(one.ticket)),
        *(str(one.number or ""), amount_cell(one.amount_minor or None), one.day),
        utc(one.at_ms) if one.at_ms else "",
        *(one.device.hex() if one.device else "", one.link.hex() if one.link else ""),
    ]


def paint_now(shop: OfficeShop, language: str) -> str:
    """What moves on the page."""
    return paint("alerts_now.html", words_in(language), **_facts(shop))


def _facts(shop: OfficeShop) -> dict[str, Any]:
    now_ms = shop.clock.now_ms()
    return {
        "found": shop.alerts.now(),
        "now_ms": now_ms,
        "offset_min": shop.clock.utc_offset_min(now_ms),
        "currency": currency_of(shop.log),
    }
