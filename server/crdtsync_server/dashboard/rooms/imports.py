"""Importing products from a file: what it would do, line by line; then, if somebody says so, it is done."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import AccessDenied, InvalidImport, SetupError
from crdtsync.model.product_import import FILE_BYTES_MAX, read_file
from crdtsync.runtime.register.products import ImportReport
from crdtsync.web import guard
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.import_words import in_words
from crdtsync_server.dashboard.product_form import PROBLEMS, TITLES
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.words import N_
from crdtsync_server.dashboard.workbook import is_workbook, text_of_workbook
from crdtsync_server.shops.registers import currency_of

PATH = "/catalogue/import"
SHOWN_MAX = 200
"""Of each sort of line; the numbers are of all."""

_UNREADABLE = N_(
    "This is no list of products: a text file (CSV) or a workbook (XLSX) is expected whose first line"
    " names the columns."
)
_NO_FILE = N_("Choose a file first.")
_GONE = N_("The file that was looked at is not here any more. Choose it again.")
_CLOSED = N_(
    "The back office may not change this shop's catalogue: its owner's key is kept elsewhere, or the back"
    " office was cut off."
)


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_import, owner=True), methods=["GET", "POST"]),
        Route(f"{PATH}/take", house.page(_take, owner=True), methods=["POST"]),
    ]


async def _import(visit: Visit) -> Response:
    if visit.request.method != "POST":
        return await _show(visit)
    form = await visit.form(FILE_BYTES_MAX + guard.FORM_BYTES_MAX)
    file = form.files.get("file")
    if file is None or not file.data:
        return await _show(visit, problem=visit.words.say(_NO_FILE))
    upload, account, name = visit.house.random(16).hex(), visit.account.id, file.name
    try:
        # On a thread of its own: other pages are answered meanwhile.
        data = await asyncio.to_thread(text_of_workbook, file.data) if is_workbook(file.data) else file.data
    except InvalidImport:
        return await _show(visit, problem=visit.words.say(_UNREADABLE))
    now_ms = visit.house.office.clock.now_ms()

    def look(shop: OfficeShop) -> ImportReport:
        report = shop.products.import_products(read_file(data), dry_run=True)
        database = visit.house.office.database
        with database.whole_transaction():
            values = (account, upload, name, data, now_ms)
            database.write("INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?)", values)
        return report

    try:
        report = await visit.ask(look)
    except InvalidImport:
        return await _show(visit, problem=visit.words.say(_UNREADABLE))
    except (SetupError, AccessDenied):
        return await _show(visit, problem=visit.words.say(_CLOSED))
    return await _show(visit, report=report, upload=upload, name=name)


async def _take(visit: Visit) -> Response:
    form = await visit.form()
    upload, account = form.text("upload"), visit.account.id
    database = visit.house.office.database

    def take(shop: OfficeShop) -> ImportReport | None:
        row = database.row("SELECT data FROM upload WHERE account = ? AND id = ?", (account, upload))
        if row is None:
            return None
        report = shop.products.import_products(read_file(row[0]))
        with database.whole_transaction():
            database.write("DELETE FROM upload WHERE account = ?", (account,))
        return report

    try:
        report = await visit.change(take)
    except (SetupError, AccessDenied):
        return await _show(visit, problem=visit.words.say(_CLOSED))
    if report is None:
        return await _show(visit, problem=visit.words.say(_GONE))
    return await _show(visit, report=report)


async def _show(
    visit: Visit, *, report: ImportReport | None = None, upload: str = "", name: str = "", problem: str = ""
) -> Response:
    facts: dict[str, Any] = {
        "report": report,
        "upload": upload,
        "name": name,
        "problem": problem,
        "titles": TITLES,
        "rules": PROBLEMS,
        "in_words": in_words,
        "shown_max": SHOWN_MAX,
    }
    currency = await visit.ask(lambda shop: currency_of(shop.log))
    return visit.render(
        "import.html",
        status=422 if problem else 200,
        token=await visit.form_token(),
        currency=currency,
        **facts,
    )
