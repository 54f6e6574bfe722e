"""Stock: what is there of each product, what became of it, and recording deliveries, losses and counts.

What is recorded here is a signed entry in the chain of the back office, like a sale in a register's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import AccessDenied, SetupError, UsageError
from crdtsync.model.money import format_quantity, parse_quantity
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.storage.view_stock import movements_of
from crdtsync.web.guard import Form
from crdtsync_server.dashboard.csv_files import Cells, csv_file, safe_cell
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.rooms.catalogue import PAGES_MAX, ROWS_PER_PAGE, SKU_CHARACTERS_MAX, learn
from crdtsync_server.dashboard.rooms.sales import device_names
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.words import N_

PATH: Final = "/stock"
LINES: Final = 12
"""Of the form for a delivery or a count."""

MOVEMENTS_SHOWN_MAX: Final = 60

WHY: Final[Mapping[str, str]] = {
    "delivery": N_("Delivery"),
    "supplier-return": N_("Back to the supplier"),
    "breakage": N_("Broken"),
    "corked": N_("Corked"),
    "tasting": N_("Tasting"),
    "transfer": N_("To another shop"),
    "other": N_("Other loss"),
    "count": N_("Count"),
}
"""Why stock moves, as people call it; all but a delivery take away."""

_NO_PRODUCT: Final = N_("No product has this reference or barcode.")
_SEVERAL: Final = N_("Several products have this barcode: give the reference.")
_NO_QUANTITY: Final = N_("A quantity like 6 or 0.5.")
_TWICE: Final = N_("This product is on two lines.")
_NOTHING: Final = N_("Nothing to record: give a product and a quantity.")
_CLOSED: Final = N_(
    "The back office may not write in this shop: its owner's key is kept elsewhere and has not signed for it"
    " yet, or the back office was cut off."
)
_RECORDED_OTHERWISE: Final = N_(
    "This form was recorded before, with other lines, and these stay. What stands here now was not recorded:"
    " if it is to come on top, record it."
)
_DONE: Final = N_("Recorded, signed, and on its way to every register.")


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_stock)),
        Route(f"{PATH}/export.csv", house.page(_export)),
        Route(f"{PATH}/product", house.page(_product)),
        Route(f"{PATH}/record", house.page(_record, owner=True), methods=["GET", "POST"]),
    ]


async def _stock(visit: Visit) -> Response:
    query = visit.request.query_params
    text, page = query.get("q", "")[:80], query.get("page", "1")
    below = query.get("below") == "1"
    if not (page.isascii() and page.isdecimal() and 0 < int(page[:9]) <= PAGES_MAX):
        raise HTTPException(404)
    number = int(page[:9])

    def look(shop: OfficeShop) -> dict[str, Any]:
        _file(shop)
        first = (number - 1) * ROWS_PER_PAGE
        oversold = shop.stock.oversold()
        if below:
            skus, total = oversold[first : first + ROWS_PER_PAGE], len(oversold)
        else:
            found = shop.index.find(text, first=first, rows_max=ROWS_PER_PAGE)
            skus, total = found.skus, found.total
        now_ms = shop.clock.now_ms()
        levels = shop.stock.levels(skus)
        return {
            "rows": [(sku, shop.queries.product(sku, now_ms), levels[sku]) for sku in skus],
            "total": total,
            "oversold": len(oversold),
            "lags": shop.lags_far,
            "offset_min": shop.clock.utc_offset_min(now_ms),
        }

    facts = await visit.ask(look)
    template = "stock_rows.html" if visit.request.headers.get("hx-request") else "stock.html"
    pages = max(1, -(-facts["total"] // ROWS_PER_PAGE))
    done = visit.words.say(_DONE) if query.get("done") == "1" else ""
    return visit.render(template, q=text, below=below, page=number, pages=pages, done=done, **facts)


def _file(shop: OfficeShop) -> None:
    learn(shop)
    if not shop.lags_far:
        shop.views.catch_up()


async def _product(visit: Visit) -> Response:
    return await show_product(visit, visit.request.query_params.get("sku", ""))


async def show_product(visit: Visit, sku: str) -> Response:
    """What is there of a product and what became of it, also of one that the catalogue does not have."""
    sku = sku[:SKU_CHARACTERS_MAX]
    if not sku:
        raise HTTPException(404)

    def look(shop: OfficeShop) -> dict[str, Any]:
        _file(shop)
        now_ms = shop.clock.now_ms()
        row = shop.queries.product(sku, now_ms)
        movements = movements_of(shop.queries, sku, rows_max=MOVEMENTS_SHOWN_MAX)
        counts = shop.queries.counts(sku)
        return {
            "row": row,
            "sku": sku,
            "level": shop.stock.levels([sku])[sku],
            "movements": movements,
            "counts": sorted(counts, key=lambda count: count.at_ms, reverse=True)[:MOVEMENTS_SHOWN_MAX],
            "names": device_names(shop),
            "offset_min": shop.clock.utc_offset_min(now_ms),
            "lags": shop.lags_far,
        }

    facts = await visit.ask(look)
    is_anything = facts["row"] is not None or facts["movements"] or facts["counts"]
    return visit.render("stock_product.html", status=200 if is_anything else 404, why=WHY, **facts)


# -- recording ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """What a form says: lines as they were written, and problems by line; quantities by SKU where all is
    well, in thousandths, all as they were written.
    """

    what: str
    reference: str
    lines: tuple[tuple[str, str], ...]
    problems: Mapping[int, str]
    quantities: Mapping[str, int]


async def _record(visit: Visit) -> Response:
    if visit.request.method != "POST":
        query = visit.request.query_params
        what = query.get("what", "delivery")
        if what not in WHY:
            raise HTTPException(404)
        sku = query.get("sku", "")[:SKU_CHARACTERS_MAX]
        return await _show(visit, Draft(what, "", ((sku, ""),), {}, {}), {})
    form = await visit.form()
    what = form.text("what")
    request_id = form.text("request")
    if what not in WHY or not (request_id.isascii() and request_id.isalnum() and len(request_id) == 32):
        raise HTTPException(400)
    draft = await visit.ask(lambda shop: read_draft(shop, form, visit))
    if draft.problems:
        return await _show(visit, draft, {}, request_id=request_id)
    if not draft.quantities:
        return await _show(visit, draft, {"problem": visit.words.say(_NOTHING)}, request_id=request_id)

    try:
        is_recorded = await visit.change(lambda shop: _recorded(shop, draft, visit.operator, request_id))
    except (SetupError, AccessDenied):
        return await _show(visit, draft, {"problem": visit.words.say(_CLOSED)}, request_id=request_id)
    except UsageError:
        return await _show(visit, draft, {"problem": visit.words.say(_NO_QUANTITY)}, request_id=request_id)
    if not is_recorded:
        return await _show(visit, draft, {"problem": visit.words.say(_RECORDED_OTHERWISE)})
    return visit.go(PATH, done="1")


def _recorded(shop: OfficeShop, draft: Draft, by: str, request_id: str) -> bool:
    """Record it, once for each request. False: something else was recorded for this one, as where somebody
    goes back to a form that was sent, and writes the next delivery into it.
    """
    if draft.what == "count":
        lines = build_count(draft.quantities, cut={})["lines"]
        written = shop.record(
            "count",
            lambda session: shop.stock.count_payload(draft.quantities, session),
            by=by,
            request_id=request_id,
        )
    else:
        sign = 1 if draft.what == "delivery" else -1
        moves = build_move(
            [
                Moved(sku, sign * quantity, draft.what, draft.reference or None)
                for sku, quantity in draft.quantities.items()
                if quantity
            ]
        )
        lines = moves["lines"]
        written = shop.record("move", moves, by=by, request_id=request_id)
    shop.stock.forget()
    return not written.again or bool(written.entry.body["lines"] == lines)


def read_draft(shop: OfficeShop, form: Form, visit: Visit) -> Draft:
    """Read the form of a delivery, a loss or a count. Never raises for what a person wrote."""
    learn(shop)
    words, what = visit.words, form.text("what")
    lines: list[tuple[str, str]] = []
    problems: dict[int, str] = {}
    quantities: dict[str, int] = {}
    for place in range(LINES):
        text, said = form.text(f"product-{place}")[:80], form.text(f"quantity-{place}")[:20]
        lines.append((text, said))
        if not text and not said:
            continue
        sku, problem = _sku_of(shop, text)
        try:
            quantity = parse_quantity(said)
        except UsageError:
            quantity = -1
        if problem:
            problems[place] = words.say(problem)
        elif quantity < 0 or (quantity == 0 and what != "count"):
            problems[place] = words.say(_NO_QUANTITY)
        elif sku in quantities:
            problems[place] = words.say(_TWICE)
        else:
            quantities[sku] = quantity
    reference = " ".join(form.text("reference").split())[:64]
    return Draft(what, reference, tuple(lines), problems, quantities)


def _sku_of(shop: OfficeShop, text: str) -> tuple[str, str]:
    """The SKU that a person or a scanner means, or why there is none."""
    now_ms = shop.clock.now_ms()
    if text and shop.queries.product(text, now_ms) is not None:
        return text, ""
    bearing = shop.queries.products_with(text, now_ms) if text else []
    if len(bearing) == 1:
        return bearing[0].sku, ""
    if len(bearing) > 1:
        return "", _SEVERAL
    return "", _NO_PRODUCT


async def _show(visit: Visit, draft: Draft, said: Mapping[str, str], *, request_id: str = "") -> Response:
    def look(shop: OfficeShop) -> list[str]:
        return shop.stock.away() if draft.what == "count" else []

    lines = [*draft.lines, *[("", "")] * (LINES - len(draft.lines))]
    return visit.render(
        "stock_record.html",
        status=422 if draft.problems or said else 200,
        token=await visit.form_token(),
        what=draft.what,
        reference=draft.reference,
        lines=list(enumerate(lines)),
        problems=draft.problems,
        problem=said.get("problem", ""),
        why=WHY,
        away=await visit.ask(look),
        request_id=request_id or visit.house.random(16).hex(),
    )


async def _export(visit: Visit) -> Response:
    def read(shop: OfficeShop) -> list[Cells]:
        _file(shop)
        products = list(shop.queries.products(shop.clock.now_ms()))
        levels = shop.stock.levels([row.sku for row in products])
        return [
            [safe_cell(row.sku), safe_cell(row.name), format_quantity(levels[row.sku].quantity, mark=",")]
            for row in products
        ]

    return csv_file("stock.csv", [["sku", "name", "quantity"], *await visit.ask(read)])
