"""Invoices: of a ticket, for whoever asks for one; and who sells, as the law wants it on them."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import AccessDenied, InvalidName, SetupError
from crdtsync.model.company import (
    NAF_CODE,
    SIRET_DIGITS,
    TEXT_MAX,
    VAT_NUMBER,
    Company,
    build_company,
    has_check_digit,
)
from crdtsync.runtime.register.company import Companies
from crdtsync_server.backups.restored import generation_of, restore_noticed_ms
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.invoices import NEEDED, Buyer, Invoice, Invoices, is_enough
from crdtsync_server.dashboard.rooms.sales import PATH, shown_ticket, ticket_asked_for
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.ticket import ShownTicket
from crdtsync_server.dashboard.words import N_
from crdtsync_server.shops.registers import currency_of

TITLES: Final[Mapping[str, str]] = {
    "name": N_("Name of the company"),
    "form": N_("Legal form and capital"),
    "address": N_("Address"),
    "siret": N_("SIRET"),
    "naf": N_("Code of activity (NAF)"),
    "rcs": N_("Registered at (RCS)"),
    "vat_number": N_("VAT number"),
}
_MISSING: Final = N_("This is needed on an invoice.")
_SIRET: Final = N_("14 digits, the last of which checks the others.")
_SIREN: Final = N_("9 digits, the last of which checks the others.")
_VAT: Final = N_("A VAT number like FR40123456824.")
_NAF: Final = N_("Four digits and a letter, like 47.25Z.")
_NOT_TOLD: Final = N_(
    "Saved for invoices, but the registers were not told: the owner's key of this shop is kept elsewhere and"
    " has not signed for the back office yet, or it was cut off. Save again when that is done."
)
_TOO_LONG: Final = N_("This is too long: 300 characters at most.")
SIREN_DIGITS: Final = 9


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(f"{PATH}/company", house.page(_company, owner=True), methods=["GET", "POST"]),
        Route(f"{PATH}/invoice", house.page(_invoice, owner=True), methods=["GET", "POST"]),
        Route(f"{PATH}/invoice.pdf", house.page(_pdf)),
    ]


# -- who sells ---------------------------------------------------------------------------------------------


async def _company(visit: Visit) -> Response:
    invoices, shop = visit.house.office.invoices, visit.account.shop
    query = visit.request.query_params
    back = {"number": query.get("number", "")[:64], "link": query.get("link", "")[:64]}
    problems: dict[str, str] = {}
    if visit.request.method == "POST":
        form = await visit.form()
        back = {"number": form.text("number")[:64], "link": form.text("link")[:64]}
        texts = {name: _tidy(name, form.texts.get(name, "")) for name in TITLES}
        texts["siret"] = texts["siret"].replace(" ", "")
        texts["vat_number"] = texts["vat_number"].replace(" ", "").upper()
        texts["naf"] = texts["naf"].replace(" ", "").replace(".", "").upper()
        seller = Company(**texts)
        problems = _problems(visit, seller)
        if not problems:
            await visit.change(lambda _: invoices.set_seller(shop, seller))
            try:
                await visit.change(lambda office: _tell_registers(office, seller, visit.operator))
            except (AccessDenied, SetupError):
                problems[""] = visit.words.say(_NOT_TOLD)
            else:
                return visit.go(f"{PATH}/invoice", **back) if back["number"] else visit.go(PATH)
    else:
        seller = await visit.ask(lambda _: invoices.seller(shop))
    return visit.render(
        "company.html",
        status=422 if problems else 200,
        token=await visit.form_token(),
        seller=seller,
        titles=TITLES,
        needed=NEEDED,
        problems=problems,
        back=back,
    )


def _tell_registers(shop: OfficeShop, company: Company, by: str) -> None:
    """Say who sells in the chain of the back office, for tickets, where that is not what was said last.
    Raises ``SetupError``, ``AccessDenied``, ``StorageError``.
    """
    if not shop.lags_far:
        shop.views.catch_up()
    if Companies(shop.log, shop.queries, None).at() != company:
        shop.record("jet", build_company(company), by=by)


def _tidy(name: str, text: str) -> str:
    """A text without blanks around it and nothing in it that is no text; only an address has lines."""
    lines = [" ".join(line.split()) for line in unicodedata.normalize("NFC", text).splitlines()]
    told = ["".join(one for one in line if one.isprintable()) for line in lines if line]
    return ("\n" if name == "address" else " ").join(told)


def _problems(visit: Visit, seller: Company) -> dict[str, str]:
    say = visit.words.say
    found = {name: say(_MISSING) for name in NEEDED if not getattr(seller, name)}
    if seller.siret and not has_check_digit(seller.siret, SIRET_DIGITS):
        found["siret"] = say(_SIRET)
    if seller.naf and not NAF_CODE.fullmatch(seller.naf):
        found["naf"] = say(_NAF)
    if seller.vat_number and not VAT_NUMBER.fullmatch(seller.vat_number):
        found["vat_number"] = say(_VAT)
    for name, text in asdict(seller).items():
        try:
            build_company(Company(**{name: text}))
        except InvalidName:  # It would stand on invoices, and registers would never be told.
            found.setdefault(name, say(_TOO_LONG))
    return found


# -- an invoice --------------------------------------------------------------------------------------------


async def _invoice(visit: Visit) -> Response:
    invoices = visit.house.office.invoices
    is_sent = visit.request.method == "POST"
    form = await visit.form() if is_sent else None
    asked = {name: form.text(name) for name in ("number", "link")} if form else visit.request.query_params
    number, link = ticket_asked_for(asked)

    def look(shop: OfficeShop) -> tuple[ShownTicket, Company, Invoice | None, int | None]:
        shown = shown_ticket(shop, number, link)
        known = invoices.of_ticket(shop.log.shop, shown.ticket.link)
        return shown, invoices.seller(shop.log.shop), known, restore_noticed_ms(shop.log)

    shown, seller, known, restored_ms = await visit.ask(look)
    where = {"number": shown.ticket.number, "link": shown.ticket.link.hex()}
    if shown.mode != "live":
        raise HTTPException(404)
    if known is not None:
        return visit.go(f"{PATH}/ticket", **where)
    if not is_enough(seller):
        return visit.go(f"{PATH}/company", **where)
    texts = dict.fromkeys(("name", "address", "siren", "vat_number"), "")
    problems: dict[str, str] = {}
    if form is not None:
        texts = {name: _tidy(name, form.texts.get(name, "")) for name in texts}
        texts["siren"] = texts["siren"].replace(" ", "")
        texts["vat_number"] = texts["vat_number"].replace(" ", "").upper()
        problems = _buyer_problems(visit, texts)
    if form is None or problems:
        offset_min = visit.house.office.clock.utc_offset_min(restored_ms or 0)
        facts: dict[str, Any] = {
            "shown": shown,
            "texts": texts,
            "problems": problems,
            "restored_ms": restored_ms,
            "offset_min": offset_min,
        }
        return visit.render(
            "invoice.html", status=422 if problems else 200, token=await visit.form_token(), **facts
        )

    await visit.change(lambda shop: _make(shop, invoices, shown, Buyer(**texts)))
    return visit.go(f"{PATH}/ticket", **where)


def _make(shop: OfficeShop, invoices: Invoices, shown: ShownTicket, buyer: Buyer) -> Invoice:
    log, now_ms = shop.log, shop.clock.now_ms()
    local = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(minutes=shop.clock.utc_offset_min(now_ms))
    # After a restore the numbers of before may be on papers that this relay does not know of.
    series = f"F{generation_of(log)[:4].upper()}-{local.year % 100:02d}"
    given = int.from_bytes(log.state(_given(series)) or b"", "big")
    ticket = shown.ticket
    made = invoices.make(
        log.shop, ticket.number, ticket.link, buyer, series=series, issued_ms=now_ms, given=given
    )
    newest = invoices.newest(log.shop, series)
    if newest > given:
        with shop.store.transaction():
            log.set_state(_given(series), newest.to_bytes(8, "big"))
    return made


def _given(series: str) -> str:
    """Where the last number of a series lies beside the log: if ``office.sqlite`` is lost alone, none is
    given again.
    """
    return f"invoices/{series}"


def _buyer_problems(visit: Visit, texts: Mapping[str, str]) -> dict[str, str]:
    say = visit.words.say
    found = {name: say(_MISSING) for name in ("name", "address") if not texts[name]}
    if texts["siren"] and not has_check_digit(texts["siren"], SIREN_DIGITS):
        found["siren"] = say(_SIREN)
    if texts["vat_number"] and not VAT_NUMBER.fullmatch(texts["vat_number"]):
        found["vat_number"] = say(_VAT)
    return {name: say(_TOO_LONG) for name, text in texts.items() if len(text) > TEXT_MAX} | found


async def _pdf(visit: Visit) -> Response:
    number = visit.request.query_params.get("number", "")[:64]

    def look(shop: OfficeShop) -> tuple[Invoice, ShownTicket, str]:
        invoice = visit.house.office.invoices.numbered(shop.log.shop, number)
        if invoice is None:
            raise HTTPException(404)
        return invoice, shown_ticket(shop, invoice.ticket, invoice.link), currency_of(shop.log)

    invoice, shown, currency = await visit.ask(look)
    from crdtsync_server.dashboard.invoice_paper import invoice_pdf  # Late: its library is slow to import.

    # On a thread of its own: other pages are answered meanwhile.
    lines = shown.entry.body["lines"]
    data = await asyncio.to_thread(invoice_pdf, invoice, shown.ticket, lines, currency)
    headers = {"content-disposition": f'inline; filename="{invoice.number}.pdf"'}
    return Response(data, media_type="application/pdf", headers=headers)
