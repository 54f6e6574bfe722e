"""Alerts: what somebody of the shop should know, what each means and what to do about it; and how many there
are, for the menu and the title of every page.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crdtsync_server.dashboard.house import House, Visit, paint
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.words import words_in
from crdtsync_server.shops.registers import currency_of

PATH: Final = "/alerts"


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_alerts)),
        Route(f"{PATH}/count", house.page(_count)),
    ]


async def _alerts(visit: Visit) -> Response:
    return visit.render("alerts.html", **await visit.ask(_facts))


async def _count(visit: Visit) -> Response:
    """How many there are, for a page that is open."""
    if visit.alerts is None:
        raise HTTPException(503)
    return JSONResponse({"alerts": visit.alerts})


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
