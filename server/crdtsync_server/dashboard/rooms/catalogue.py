"""Catalogue: finding products, making and changing them, their history, prices that two people changed."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import AccessDenied, InvalidProduct, SetupError
from crdtsync.model.money import format_amount, format_rate
from crdtsync.model.naming import names_apart
from crdtsync.model.product import oddities
from crdtsync.storage.view_queries import ProductRow
from crdtsync_server.dashboard.csv_files import csv_file, safe_cell
from crdtsync_server.dashboard.history import author_of
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.product_form import (
    COLOUR_NAMES,
    ODDITIES,
    RATES,
    TITLES,
    ProductDraft,
    blank_form,
    form_of,
    product_of,
    read_draft,
)
from crdtsync_server.dashboard.shop import OfficeShop, fields_of
from crdtsync_server.dashboard.words import N_
from crdtsync_server.shops.registers import currency_of

PATH = "/catalogue"
ROWS_PER_PAGE = 50
PAGES_MAX = 10_000
SKU_CHARACTERS_MAX = 200
"""What registers write may be longer than a reference of the catalogue."""

EXPORTED = (
    *("sku", "name", "price", "vat", "unit", "barcodes", "producer", "appellation", "region", "country"),
    *("colour", "vintage", "volume ml", "abv", "category", "active"),
)
_CLOSED = N_(
    "The back office may not change this shop's catalogue: its owner's key is kept elsewhere, or the back"
    " office was cut off."
)
_DONE = {"saved": N_("Saved. Registers that are connected get it at once.")}


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_catalogue)),
        Route(f"{PATH}/new", house.page(_new, owner=True), methods=["GET", "POST"]),
        Route(f"{PATH}/export.csv", house.page(_export)),
        Route(f"{PATH}/product", house.page(_product)),
        Route(f"{PATH}/change", house.page(_change, owner=True), methods=["POST"]),
        Route(f"{PATH}/archive", house.page(_archive, owner=True), methods=["POST"]),
        Route(f"{PATH}/decide", house.page(_decide, owner=True), methods=["POST"]),
    ]


async def _catalogue(visit: Visit) -> Response:
    query = visit.request.query_params
    text, page = query.get("q", "")[:80], query.get("page", "1")
    archived, disputed = query.get("archived") == "1", query.get("disputed") == "1"
    if not (page.isascii() and page.isdecimal() and 0 < int(page[:9]) <= PAGES_MAX):
        raise HTTPException(404)
    number = int(page[:9])

    def find(shop: OfficeShop) -> dict[str, Any]:
        learn(shop)
        found = shop.index.find(
            text,
            archived=archived,
            disputed=disputed,
            first=(number - 1) * ROWS_PER_PAGE,
            rows_max=ROWS_PER_PAGE,
        )
        now_ms = shop.clock.now_ms()
        rows = [row for sku in found.skus if (row := shop.queries.product(sku, now_ms)) is not None]
        return {
            "rows": [(row, fields_of(row)) for row in rows],
            "total": found.total,
            "disputes": shop.index.disputed,
            "currency": currency_of(shop.log),
        }

    facts = await visit.ask(find)
    template = "catalogue_rows.html" if visit.request.headers.get("hx-request") else "catalogue.html"
    return visit.render(
        template,
        q=text,
        page=number,
        pages=max(1, -(-facts["total"] // ROWS_PER_PAGE)),
        archived=archived,
        disputed=disputed,
        **facts,
    )


def learn(shop: OfficeShop) -> None:
    """Bring the products and the words by which they are found up to date."""
    shop.file_catalogue()
    if not shop.index.is_known:
        shop.index.learn(shop.queries.products(shop.clock.now_ms()))


async def _new(visit: Visit) -> Response:
    if visit.request.method != "POST":
        sku = visit.request.query_params.get("sku", "")[:SKU_CHARACTERS_MAX]
        return await _show_form(visit, {**blank_form(), "sku": sku}, {})
    form = await visit.form()
    clock = visit.house.office.clock
    now_ms = clock.now_ms()
    sku = form.text("sku")
    is_taken = await visit.ask(lambda shop: shop.products.find(sku) is not None)
    draft = read_draft(
        form,
        visit.words,
        is_new=True,
        is_taken=is_taken,
        now_ms=now_ms,
        offset_min=clock.utc_offset_min(now_ms),
    )
    if draft.problems:
        return await _show_form(visit, draft.shown, draft.problems)
    product = product_of(draft)

    def add(shop: OfficeShop) -> None:
        fields = {name: value for name, value in draft.changed.items() if value is not None}
        shop.products.add(
            product.sku,
            name=fields.pop("name"),
            price_minor=product.price_minor or 0,
            vat_rate=product.vat_rate,
            **fields,
        )

    try:
        await visit.change(add)
    except InvalidProduct:
        # Somebody else made it in this moment.
        taken = {"sku": visit.words.say(N_("There is a product with this reference already."))}
        return await _show_form(visit, draft.shown, taken)
    except (SetupError, AccessDenied):
        return await _show_form(visit, draft.shown, {}, problem=visit.words.say(_CLOSED))
    return visit.go(f"{PATH}/product", sku=product.sku, done="saved")


async def _show_form(visit: Visit, shown: Any, problems: Any, *, problem: str = "") -> Response:
    return visit.render(
        "product_new.html",
        status=422 if problems else 409 if problem else 200,
        token=await visit.form_token(),
        shown=shown,
        was={},
        problems=problems,
        problem=problem,
        **_form_facts(),
    )


async def _product(visit: Visit) -> Response:
    sku = visit.request.query_params.get("sku", "")
    if sku and await visit.ask(lambda shop: shop.products.find(sku)) is None:
        from crdtsync_server.dashboard.rooms.stock import show_product  # It knows this module.

        return await show_product(visit, sku)
    return await _show_product(visit, sku)


async def _show_product(
    visit: Visit, sku: str, draft: ProductDraft | None = None, *, problem: str = ""
) -> Response:
    def look(shop: OfficeShop) -> dict[str, Any]:
        row = shop.products.find(sku)
        if row is None:
            raise HTTPException(404)
        now_ms = shop.clock.now_ms()
        listing = shop.catalogue.view.listing(sku)
        prices = list(listing.prices.timeline())
        later = [price for price in prices if price.from_ms > now_ms]
        known = (state.certificate for state in shop.device_states())
        names = names_apart((one.device, one.name, one.series) for one in known)
        return {
            "row": row,
            "fields": fields_of(row),
            "now": listing.prices.at(now_ms),
            "planned": later,
            "conflicts": [price for price in ([listing.prices.at(now_ms), *later]) if price and price.others],
            "oddities": [ODDITIES[one] for one in oddities(listing.at(now_ms))],
            "history": visit.house.office.journal.of(shop.log.shop, sku, listing.prices.changes.values()),
            "names": names,
            "author": author_of,
            "now_ms": now_ms,
            "offset_min": shop.clock.utc_offset_min(now_ms),
            "currency": currency_of(shop.log),
        }

    facts = await visit.ask(look)
    was = form_of(facts["row"], visit.words)
    done = _DONE.get(visit.request.query_params.get("done", ""), "")
    return visit.render(
        "product.html",
        status=422 if draft else 409 if problem else 200,
        token=await visit.form_token(),
        shown=draft.shown if draft else was,
        was=was,
        problems=draft.problems if draft else {},
        problem=problem,
        done=visit.words.say(done) if done else "",
        **facts,
        **_form_facts(),
    )


def _form_facts() -> dict[str, Any]:
    return {"titles": TITLES, "colours": COLOUR_NAMES, "rates": RATES}


async def _change(visit: Visit) -> Response:
    form = await visit.form()
    clock = visit.house.office.clock
    now_ms = clock.now_ms()
    draft = read_draft(
        form, visit.words, is_new=False, now_ms=now_ms, offset_min=clock.utc_offset_min(now_ms)
    )
    if draft.problems:
        return await _show_product(visit, draft.sku, draft)

    def change(shop: OfficeShop) -> None:
        if shop.products.find(draft.sku) is None:
            raise HTTPException(404)
        shop.products.set(
            draft.sku,
            price_minor=draft.price_minor,
            vat_rate=draft.vat_rate,
            valid_from_ms=draft.valid_from_ms,
            **draft.changed,
        )

    return await _done(visit, draft.sku, change)


async def _archive(visit: Visit) -> Response:
    form = await visit.form()
    sku, archived = form.text("sku"), form.text("archived") == "1"

    def archive(shop: OfficeShop) -> None:
        if shop.products.find(sku) is None:
            raise HTTPException(404)
        shop.products.set(sku, archived=archived)

    return await _done(visit, sku, archive)


async def _decide(visit: Visit) -> Response:
    """One of several prices that were set without seeing one another."""
    form = await visit.form()
    sku, chosen = form.text("sku"), form.text("change")

    def decide(shop: OfficeShop) -> None:
        if shop.products.find(sku) is None:
            raise HTTPException(404)
        now_ms = shop.clock.now_ms()
        prices = shop.catalogue.view.listing(sku).prices
        for price in prices.timeline():
            heads = (price.change, *price.others)
            change = next((head for head in heads if price.others and head.id == chosen), None)
            if change is not None:
                shop.products.set(
                    sku,
                    price_minor=change.amount_minor,
                    vat_rate=change.vat_rate,
                    vat_class=change.vat_class,
                    valid_from_ms=price.from_ms if price.from_ms > now_ms else None,
                )
                return
        raise HTTPException(404)

    return await _done(visit, sku, decide)


async def _done(visit: Visit, sku: str, work: Any) -> Response:
    try:
        await visit.change(work)
    except (SetupError, AccessDenied):
        return await _show_product(visit, sku, problem=visit.words.say(_CLOSED))
    return visit.go(f"{PATH}/product", sku=sku, done="saved")


async def _export(visit: Visit) -> Response:
    def read(shop: OfficeShop) -> list[ProductRow]:
        shop.file_catalogue()
        return list(shop.queries.products(shop.clock.now_ms()))

    rows = await visit.ask(read)
    return csv_file("catalogue.csv", [EXPORTED, *([safe_cell(cell) for cell in _cells(row)] for row in rows)])


def _cells(row: ProductRow) -> list[str]:
    fields = fields_of(row)
    abv = fields.get("abv")
    return [
        row.sku,
        row.name,
        "" if row.price_minor is None else format_amount(row.price_minor, mark=","),
        "" if row.vat_rate is None else format_rate(row.vat_rate, mark=","),
        fields["unit"],
        " ".join(fields.get("barcodes", ())),
        *(str(fields.get(name) or "") for name in ("producer", "appellation", "region", "country")),
        *(str(fields.get(name) or "") for name in ("colour", "vintage", "volume_ml")),
        "" if abv is None else format_rate(abv, mark=","),
        str(fields.get("category") or ""),
        "no" if row.archived else "yes",
    ]
