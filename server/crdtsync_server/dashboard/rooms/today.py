"""Today: what was taken, as it is taken; and any other day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.model.entry import is_day
from crdtsync_server.dashboard.house import HOME, House, Visit, paint
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.today import DayFigures, Total, figures_of, present_day
from crdtsync_server.dashboard.words import words_in
from crdtsync_server.shops.registers import currency_of

DAYS = ("2000-01-01", "2999-12-31")
"""What can be asked for; nothing was sold before, and nothing will be after."""


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [Route(HOME, house.page(_today))]


async def _today(visit: Visit) -> Response:
    day = visit.request.query_params.get("day")
    if day is not None and not (is_day(day) and DAYS[0] <= day <= DAYS[1]):
        raise HTTPException(404)
    facts = await visit.ask(lambda shop: _facts(shop, day))
    figures: DayFigures = facts["figures"]
    moved = date.fromisoformat(figures.day)
    present = present_day(visit.house.office.clock)
    return visit.render(
        "today.html",
        earlier=(moved - timedelta(days=1)).isoformat() if figures.day > DAYS[0] else None,
        later=(moved + timedelta(days=1)).isoformat() if figures.day < present else None,
        is_live=day is None,
        **facts,
    )


def paint_now(shop: OfficeShop, language: str) -> str:
    """What moves on the page of the present day."""
    return paint("today_now.html", words_in(language), **_facts(shop, None, as_filed=True))


def _facts(shop: OfficeShop, day: str | None, *, as_filed: bool = False) -> dict[str, Any]:
    figures = figures_of(shop, day, as_filed=as_filed)
    return {
        "figures": figures,
        "currency": currency_of(shop.log),
        "offset_min": shop.clock.utc_offset_min(shop.clock.now_ms()),
        "lags": shop.lags_far,
        "turnover_change": _change(figures.total.amount_minor, figures.before.amount_minor),
        "sales_change": _change(figures.total.sales, figures.before.sales),
        "average_change": _average_change(figures.total, figures.before),
        "most_minor": max((hour.total.amount_minor for hour in figures.hours), default=0),
    }


def _change(now: int, before: int) -> float | None:
    """By how much it changed, as a ratio; None where there is nothing to compare with."""
    return now / before - 1 if before > 0 else None


def _average_change(now: Total, before: Total) -> float | None:
    if now.average_minor is None or before.average_minor is None:
        return None
    return _change(now.average_minor, before.average_minor)
