"""The page where one sells: the field, the products, the basket."""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from crdtsync.errors import InvalidAmount, UsageError
from crdtsync.model.money import parse_amount, parse_quantity
from crdtsync.model.product import CLASS_OF_RATE
from crdtsync.till import selling
from crdtsync.till.baskets import Basket
from crdtsync.till.desk import Desk
from crdtsync.till.goods import SHOWN_MAX
from crdtsync.till.house import House, Visit
from crdtsync.till.selling import Came
from crdtsync.web.words import N_

FREE_RATES = (2000, 1000, 550, 0)
_SAID = {
    "full": N_("This basket is full: pay it, and go on with another one."),
    "amount": N_("This could not be read: write 10 % or 2,50."),
    "quantity": N_("This quantity cannot be."),
    "free": N_("A name, an amount that is not too large, and one of the rates of VAT are needed."),
    "not-parked": N_("Only an open basket of which nothing is paid can be parked."),
    "parked": N_("Parked. It is kept, whatever happens to this machine's programs."),
    "unknown": N_("This product has no price, or is not on sale."),
}


def routes(house: House) -> list[Route]:
    """The pages of this module."""
    return [
        Route("/", house.page(_counter)),
        Route("/found", house.page(_found)),
        Route("/basket", house.page(_basket)),
        Route("/take", house.page(_take), methods=["POST"]),
        Route("/add", house.page(_add), methods=["POST"]),
        Route("/free", house.page(_free), methods=["POST"]),
        Route("/line", house.page(_line), methods=["POST"]),
        Route("/discount", house.page(_discount), methods=["POST"]),
        Route("/park", house.page(_park), methods=["POST"]),
        Route("/parked", house.page(_parked)),
        Route("/resume", house.page(_resume), methods=["POST"]),
        Route("/drop", house.page(_drop), methods=["POST"]),
    ]


def basket_facts(desk: Desk) -> dict[str, Any]:
    """What the basket shows."""
    basket = desk.basket
    return {
        "basket": basket,
        "mark": desk.basket_mark(),
        "new_prices": desk.new_prices(basket),
        "newest": basket.items[-1].id if basket.items else "",
        "parked": len(desk.shelf.bench.parked),
    }


async def _counter(visit: Visit) -> Response:
    query = visit.request.query_params
    text, category = query.get("q", "")[:120], query.get("kind", "")[:80]

    def facts(desk: Desk) -> dict[str, Any]:
        return {**basket_facts(desk), **_shown(desk, text, category, 0)}

    found = await visit.ask(facts)
    return visit.render(
        "counter.html",
        came=None,
        says=visit.words.say(_SAID[visit.request.query_params["said"]])
        if visit.request.query_params.get("said") in _SAID
        else "",
        rates=_rates(),
        **found,
    )


def _shown(desk: Desk, text: str, category: str, first: int) -> dict[str, Any]:
    shown = desk.goods.search(text, category=category, first=first)
    following = first + SHOWN_MAX
    return {
        "q": text,
        "kind": category,
        "categories": desk.goods.categories,
        "shown": shown,
        "following": following if following < shown.total else None,
        "are_coming": not shown.total and desk.goods.are_coming,
        "is_reached": desk.is_connected is not False,
    }


async def _found(visit: Visit) -> Response:
    query = visit.request.query_params
    text, category, first = query.get("q", "")[:120], query.get("kind", "")[:80], query.get("first", "0")
    start = int(first) if first.isdecimal() and len(first) < 7 else 0
    facts = await visit.ask(lambda desk: _shown(desk, text.strip(), category, start))
    return HTMLResponse(visit.paint("found.html", came=None, **facts))


async def _basket(visit: Visit) -> Response:
    return HTMLResponse(visit.paint("basket.html", **await visit.ask(basket_facts)))


async def _take(visit: Visit) -> Response:
    form = await visit.form()
    text = form.text("q")

    def work(desk: Desk) -> tuple[Came, dict[str, Any]]:
        came = selling.take(desk, text)
        shown = _shown(desk, came.text if came.what == "words" else "", "", 0)
        return came, {**basket_facts(desk), **shown}

    try:
        came, facts = await visit.ask(work)
    except InvalidAmount:
        return visit.go("/", said="quantity")
    if came.what == "full":
        return visit.go("/", said="full")
    if came.what == "nothing" and facts["basket"].items:
        return visit.go("/pay")
    if visit.is_part:
        return HTMLResponse(visit.paint("taken.html", came=came, **facts))
    if came.what in ("added", "counted", "nothing"):
        return visit.go("/")
    return visit.render("counter.html", came=came, says="", rates=_rates(), **facts)


def _rates() -> list[tuple[int, str]]:
    return [(rate, CLASS_OF_RATE[rate]) for rate in FREE_RATES]


async def _add(visit: Visit) -> Response:
    form = await visit.form()
    quantity = _quantity(form.text("quantity")) or 1000
    came = await visit.ask(lambda desk: selling.add_sku(desk, form.text("sku"), quantity))
    if came.what in ("full", "unknown"):
        return visit.go("/", said=came.what)
    return await _after(visit)


async def _after(visit: Visit, **said: str) -> Response:
    """The basket as it is now: as a part where the page asked for one, else the whole page again."""
    if visit.is_part and not said:
        return await _basket(visit)
    return visit.go("/", **said)


async def _free(visit: Visit) -> Response:
    form = await visit.form()
    rate = form.text("vat_rate")
    try:
        if not rate.isdecimal() or int(rate[:6]) not in FREE_RATES:
            raise InvalidAmount("no such rate")
        price_minor = parse_amount(form.text("price"))
        vat_rate = int(rate)
        await visit.ask(
            lambda desk: selling.add_free(
                desk, form.text("label"), price_minor, vat_rate, CLASS_OF_RATE[vat_rate]
            )
        )
    except UsageError:
        return visit.go("/", said="free")
    return visit.go("/")


async def _line(visit: Visit) -> Response:
    """What a line's buttons do: one more, one less, so many, out of the basket, its new price."""
    form = await visit.form()
    item_id, what = form.text("item"), form.text("what")

    def work(desk: Desk) -> None:
        item = desk.basket.item(item_id)
        if item is None:
            return
        if what in ("apply", "keep"):
            price = form.text("price")
            if price.isdecimal() and len(price) < 13:
                selling.decide_price(desk, item_id, int(price), apply=what == "apply")
            return
        step = {"more": 1000, "less": -1000, "out": -item.quantity_thousandths}.get(what)
        if step is not None:
            selling.set_quantity(desk, item_id, item.quantity_thousandths + step)
            return
        selling.set_quantity(desk, item_id, parse_quantity(form.text("quantity")))
        selling.set_discount(desk, item_id, form.text("discount"))

    try:
        await visit.ask(work)
    except InvalidAmount:
        return visit.go("/", said="amount")
    return await _after(visit)


async def _discount(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.ask(
            lambda desk: selling.set_ticket_discount(desk, form.text("basket"), form.text("discount"))
        )
    except InvalidAmount:
        return visit.go("/", said="amount")
    return await _after(visit)


async def _park(visit: Visit) -> Response:
    form = await visit.form()
    is_parked = await visit.ask(lambda desk: selling.park(desk, form.text("basket"), form.text("name")))
    return visit.go("/", said="parked" if is_parked else "not-parked")


async def _parked(visit: Visit) -> Response:
    def facts(desk: Desk) -> list[Basket]:
        return list(desk.shelf.bench.parked)

    return visit.render("parked.html", baskets=await visit.ask(facts))


async def _resume(visit: Visit) -> Response:
    form = await visit.form()
    await visit.ask(lambda desk: selling.resume(desk, form.text("basket")))
    return visit.go("/")


async def _drop(visit: Visit) -> Response:
    form = await visit.form()
    await visit.ask(lambda desk: selling.drop(desk, form.text("basket")))
    return visit.go("/")


def _quantity(text: str) -> int | None:
    return int(text) if text.isdecimal() and 0 < len(text) < 8 else None
