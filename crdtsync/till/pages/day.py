"""The day: opening it with a counted float, cash in and out, reading (X), counting and closing (Z)."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import InvalidAmount, InvalidName, UsageError
from crdtsync.model.drawer import CashMove
from crdtsync.model.entry import is_day
from crdtsync.model.money import AMOUNT_MINOR_MAX, parse_amount
from crdtsync.runtime.committing.writer import entry_at
from crdtsync.runtime.register.closing import Figures
from crdtsync.till.desk import Desk
from crdtsync.till.house import House, Visit
from crdtsync.till.pages.drawer import open_drawer
from crdtsync.till.receipt import means_name
from crdtsync.web.guard import Form
from crdtsync.web.words import N_

COINS_MINOR: Final = (50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 20, 10, 5, 2, 1)
PIECES_MAX: Final = 99_999
MOVES: Final[dict[str, CashMove]] = {"in": "in", "out": "out", "deposit": "deposit"}
_SAID = {
    "opened": N_("The day is open."),
    "moved": N_("Recorded."),
    "amount": N_("This amount could not be read."),
    "open-already": N_("The day is open already."),
    "no-day": N_("It cannot be that day: it lies before the last one, or too long after it."),
    "nothing": N_("There is nothing to close: nothing was recorded since the last closing."),
    "training": N_("Training records nothing: end it first."),
    "drawer": N_("The drawer is open; that it was opened without a sale is recorded."),
    "no-drawer": N_("Recorded, but the printer does not answer: the drawer does not open by itself."),
    "no-printer": N_("There is no printer, by which the drawer opens."),
}


def routes(house: House) -> list[Route]:
    """The pages of this module."""
    return [
        Route("/day", house.page(_day)),
        Route("/day/open", house.page(_open), methods=["POST"]),
        Route("/day/cash", house.page(_cash), methods=["POST"]),
        Route("/day/close", house.page(_count)),
        Route("/day/close", house.page(_close), methods=["POST"]),
        Route("/day/z/{day}", house.page(_closed)),
    ]


def counted(form: Form) -> int | None:
    """What was counted: so many of each coin and note, or one sum; None where nothing was said. Raises
    ``InvalidAmount``.
    """
    pieces = [(coin, text) for coin in COINS_MINOR if (text := form.text(f"coin-{coin}")) not in ("", "0")]
    if pieces:
        if not all(text.isdecimal() and len(text) < 7 and int(text) <= PIECES_MAX for _, text in pieces):
            raise InvalidAmount("a number of coins is expected")
        return sum(coin * int(text) for coin, text in pieces)
    text = form.text("sum")
    if not text:
        return None
    amount_minor = parse_amount(text)
    if not 0 <= amount_minor <= AMOUNT_MINOR_MAX:
        raise InvalidAmount("less than nothing was counted")
    return amount_minor


async def _day(visit: Visit) -> Response:
    def facts(desk: Desk) -> dict[str, Any]:
        writer = desk.register.replica.writer
        question, clock_day = writer.asked_of_the_day() or ("", "")
        return {
            "figures": desk.register.x_report(),
            "is_open": bool(writer.head().day.counts.get("open")),
            "question": question,
            "clock_day": clock_day,
            "request": desk.shelf.new_basket().id,
            "notices": [one for one in desk.notices if one != question],
        }

    said = visit.request.query_params.get("said", "")
    found = await visit.ask(facts)
    return visit.render(
        "day.html",
        says=visit.words.say(_SAID[said]) if said in _SAID else "",
        is_trouble=said not in ("opened", "moved", "drawer"),
        coins=COINS_MINOR,
        means=_means(visit, found["figures"]),
        **found,
    )


def _means(visit: Visit, figures: Figures) -> list[tuple[str, int]]:
    return [(means_name(visit.words, name), amount) for name, amount in figures.means.items()]


def _refuse_training(desk: Desk) -> None:
    if desk.shelf.is_training:
        raise _Training


class _Training(Exception):
    """What is asked for would be recorded, and this is training."""


async def _open(visit: Visit) -> Response:
    form = await visit.form()
    try:
        float_minor = counted(form) or 0
    except UsageError:
        return visit.go("/day", said="amount")

    def work(desk: Desk) -> None:
        _refuse_training(desk)
        opened = desk.register.open_day(float_minor, form.text("day") or None)
        desk.keep_notices(opened.notices, anew=True)
        desk.sync_now()

    try:
        await visit.ask(work)
    except _Training:
        return visit.go("/day", said="training")
    except InvalidName:
        return visit.go("/day", said="no-day")
    except UsageError:
        return visit.go("/day", said="open-already")
    return visit.go("/day", said="opened")


async def _cash(visit: Visit) -> Response:
    form = await visit.form()
    what, request = MOVES.get(form.text("what")), form.text("request")
    reason = " ".join(form.text("reason").split())[:200]
    if what is None or not (request.isascii() and request.isalnum() and len(request) <= 40):
        raise HTTPException(400)

    def work(desk: Desk) -> bool:
        _refuse_training(desk)
        amount_minor = parse_amount(form.text("amount"))
        if amount_minor <= 0:
            raise InvalidAmount("more than nothing is expected")
        # Sent again with another amount it is another move: "recorded" is said of what was sent last, too.
        sent = hashlib.sha256(f"{request} {what} {amount_minor}".encode()).hexdigest()[:32]
        return desk.register.cash(what, amount_minor, reason=reason or what, request_id=f"till-cash-{sent}")

    try:
        is_new = await visit.ask(work)
    except _Training:
        return visit.go("/day", said="training")
    except UsageError:
        return visit.go("/day", said="amount")
    return visit.go("/day", said="moved" if not is_new or await open_drawer(visit) else "no-drawer")


async def _count(visit: Visit) -> Response:
    """The drawer is counted before anybody sees what is expected in it."""
    said = visit.request.query_params.get("said", "")
    facts = await visit.ask(
        lambda desk: {"open_basket": bool(desk.basket.items), "parked": len(desk.shelf.bench.parked)}
    )
    return visit.render(
        "close.html", coins=COINS_MINOR, says=visit.words.say(_SAID[said]) if said in _SAID else "", **facts
    )


async def _close(visit: Visit) -> Response:
    form = await visit.form()
    try:
        counted_minor = counted(form)
    except UsageError:
        return visit.go("/day/close", said="amount")

    def work(desk: Desk) -> Figures:
        _refuse_training(desk)
        figures = desk.register.close_day(counted_minor)
        desk.keep_notices(figures.notices, anew=True)
        desk.sync_now()
        return figures

    try:
        figures = await visit.ask(work)
    except _Training:
        return visit.go("/day", said="training")
    except UsageError:
        return visit.go("/day", said="nothing")
    return visit.go(f"/day/z/{figures.business_day}", said="closed")


async def _closed(visit: Visit) -> Response:
    day = visit.request.path_params["day"]
    if not is_day(day):
        raise HTTPException(404)

    is_new = visit.request.query_params.get("said") == "closed"

    def facts(desk: Desk) -> Figures | None:
        register = desk.register
        register.replica.views.catch_up()
        own = [
            row
            for row in register.replica.queries.closings(day, level="day")
            if row.device == register.identity.device
        ]
        if not own:
            return None
        row = max(own, key=lambda one: one.seq)
        body = entry_at(register.replica.log, row.seq).body
        notices = desk.notices if is_new else ()
        return Figures.of(
            body, business_day=body["bd"], grand_total_minor=body["gt"]["real"], notices=notices
        )

    figures = await visit.ask(facts)
    if figures is None:
        raise HTTPException(404)
    return visit.render("closed.html", figures=figures, means=_means(visit, figures))
