"""Tickets: the last ones, one of them, printing it again, giving back what was bought."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import NotRefundable, UnknownTicket, UsageError
from crdtsync.model.entry import is_day
from crdtsync.model.money import parse_quantity
from crdtsync.model.naming import names_apart
from crdtsync.runtime.register.prints import record_print
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.storage.view_place import Place
from crdtsync.till.desk import Desk
from crdtsync.till.house import House, Visit
from crdtsync.till.pages.drawer import open_drawer
from crdtsync.till.printing import PrinterTrouble
from crdtsync.till.receipt import Heading, as_text, means_name, receipt_rows
from crdtsync.till.returning import give_back, returnable
from crdtsync.web.guard import Form
from crdtsync.web.words import N_

ROWS_MAX = 50
COLUMNS = 42
SEQ_DIGITS_MAX = 15
REFUND_MEANS = ("card", "cash", "cheque", "voucher", "transfer")
_SAID = {
    "printed": N_("Sent to the printer, and recorded."),
    "no-printer": N_("The printer does not work. The ticket is recorded; it can be printed later."),
    "no-drawer": N_("The printer does not answer: the drawer stays closed. The ticket is recorded."),
    "refund": N_("This cannot be given back: more than what is left, or nothing."),
    "sent": N_("Recorded as sent by e-mail."),
}
PRINTER_SAID = {"failed": "no-printer", "no-drawer": "no-drawer"}


def routes(house: House) -> list[Route]:
    """The pages of this module."""
    return [
        Route("/tickets", house.page(_tickets)),
        Route("/ticket/{name}", house.page(_ticket)),
        Route("/ticket/{name}/print", house.page(_print), methods=["POST"]),
        Route("/ticket/{name}/refund", house.page(_refund)),
        Route("/ticket/{name}/refund", house.page(_give_back), methods=["POST"]),
    ]


async def print_ticket(visit: Visit, ticket: Ticket, heading: Heading, *, opens_drawer: bool = False) -> None:
    """Print a ticket. Raises ``PrinterTrouble``."""
    rows = receipt_rows(ticket, heading, visit.words)
    await visit.house.printer.print(rows, opens_drawer=opens_drawer)


def needs_drawer(ticket: Ticket) -> bool:
    """Whether cash came or goes. In training nothing does."""
    return ticket.kind != "training" and any(payment.means == "cash" for payment in ticket.payments)


async def _tickets(visit: Visit) -> Response:
    wanted = visit.request.query_params.get("number", "").strip()[:64]
    if wanted:
        try:
            found = await visit.ask(lambda desk: desk.register.ticket(wanted))
            return visit.go(f"/ticket/{found.link.hex()}", number=found.number)
        except UnknownTicket:
            pass
    own = visit.request.query_params.get("all") != "1"
    older_than = _place(visit.request.query_params.get("older", ""))

    def facts(desk: Desk) -> dict[str, Any]:
        register = desk.register
        device = register.identity.device if own else None
        known = register.replica.queries.devices() if not own else []
        names = names_apart((one.device, one.name, one.series) for one in known)
        rows = register.sales(device=device, older_than=older_than, rows_max=ROWS_MAX + 1)
        shown = rows[:ROWS_MAX]
        return {"rows": shown, "names": names, "older": shown[-1] if len(rows) > ROWS_MAX else None}

    listed = await visit.ask(facts)
    return visit.render("tickets.html", own=own, wanted=wanted, is_first=older_than is None, **listed)


def _place(text: str) -> Place | None:
    """The row that a page of the list follows, as its link says it: ``<business day>.<seq>``."""
    day, _, seq = text.partition(".")
    if not is_day(day) or not seq.isdecimal() or len(seq) > SEQ_DIGITS_MAX:
        return None
    return Place(day, int(seq))


def _find(desk: Desk, name: str, number: str) -> Ticket:
    practice = desk.practice.get(name.removeprefix("training-"))
    if name.startswith("training-") and practice is not None:
        return practice
    return desk.ticket(name, number)


def _asked(visit: Visit) -> tuple[str, str]:
    """Which ticket an address is of: its link, and its number, by which it is found at once."""
    return visit.request.path_params["name"], visit.request.query_params.get("number", "")[:64]


async def _ticket(visit: Visit) -> Response:
    (name, number), query = _asked(visit), visit.request.query_params
    is_paid = query.get("said") == "paid"

    def facts(desk: Desk) -> dict[str, Any]:
        ticket = _find(desk, name, number)
        can_return = ticket.kind == "sale"
        if can_return and not is_paid:  # Of what was sold this moment, all can come back.
            can_return = any(one.left_thousandths for one in returnable(desk, ticket))
        return {"ticket": ticket, "can_return": can_return, "heading": desk.heading(ticket)}

    try:
        found = await visit.ask(facts)
    except UnknownTicket:
        raise HTTPException(404) from None
    ticket, heading = found["ticket"], found.pop("heading")
    said = PRINTER_SAID.get(query.get("printer", ""), query.get("said", ""))
    return visit.render(
        "ticket.html",
        name=name,
        is_paid=is_paid,
        says=visit.words.say(_SAID[said]) if said in _SAID else "",
        is_trouble=said in ("no-printer", "no-drawer", "refund"),
        text=as_text(receipt_rows(ticket, heading, visit.words), COLUMNS),
        receipt=list(receipt_rows(ticket, heading, visit.words)),
        **found,
    )


async def _print(visit: Visit) -> Response:
    """Record the copy first: what is on paper is always in the ledger too."""
    form = await visit.form()
    name, number = _asked(visit)
    delivered = "email" if form.text("how") == "email" else "print"
    if delivered == "print" and visit.house.printer.address is None:
        return visit.go(f"/ticket/{name}", number=number, printer="failed")

    def work(desk: Desk) -> tuple[Ticket, Heading]:
        ticket = _find(desk, name, number)
        if not ticket.link:
            return ticket, desk.heading(ticket)
        copy = record_print(desk.register.replica, desk.name_of(ticket), delivered=delivered)
        return ticket, desk.heading(ticket, duplicate=copy.rank if copy.is_duplicate else 0)

    try:
        ticket, heading = await visit.ask(work)
    except UnknownTicket:
        raise HTTPException(404) from None
    if delivered == "email":
        return visit.go(f"/ticket/{name}", number=number, said="sent")
    try:
        await print_ticket(visit, ticket, heading)
    except PrinterTrouble:
        return visit.go(f"/ticket/{name}", number=number, printer="failed")
    return visit.go(f"/ticket/{name}", number=number, said="printed")


async def _refund(visit: Visit, typed: Form | None = None) -> Response:
    """The form of a refund; once more, as it was ``typed``, where something in it could not be read."""
    name, number = _asked(visit)

    def facts(desk: Desk) -> dict[str, Any]:
        ticket = _find(desk, name, number)
        return {
            "ticket": ticket,
            "lines": returnable(desk, ticket) if ticket.kind == "sale" else [],
            "request": desk.shelf.new_basket().id,
            "is_training": desk.shelf.is_training,
        }

    try:
        found = await visit.ask(facts)
    except UnknownTicket:
        raise HTTPException(404) from None
    if found["is_training"] or not any(one.left_thousandths for one in found["lines"]):
        return visit.go(f"/ticket/{name}", number=number, said="refund")
    means = [(one, means_name(visit.words, one)) for one in REFUND_MEANS]
    paid_by = next((one.means for one in found["ticket"].payments if one.means in REFUND_MEANS), "cash")
    status = 422 if typed else 200
    return visit.render(
        "refund.html", status=status, name=name, means=means, paid_by=paid_by, typed=typed, **found
    )


async def _give_back(visit: Visit) -> Response:
    form = await visit.form()
    (name, number), means, request = _asked(visit), form.text("means"), form.text("request")
    if means not in REFUND_MEANS or not request.isalnum() or len(request) > 40:
        raise HTTPException(400)
    reason = " ".join(form.text("reason").split())[:200] or visit.words.say("returned")

    def work(desk: Desk) -> Ticket:
        if desk.shelf.is_training:
            raise NotRefundable("training records nothing")
        ticket = _find(desk, name, number)
        quantities = {
            line.i: parse_quantity(text)
            for line in ticket.lines
            if (text := form.text(f"line-{line.i}")) not in ("", "0")
        }
        if not quantities:
            raise NotRefundable("nothing was chosen")
        return give_back(desk, ticket, quantities, means, reason, request=request)

    try:
        refund = await visit.ask(work)
    except UnknownTicket:
        raise HTTPException(404) from None
    except NotRefundable:
        return visit.go(f"/ticket/{name}", number=number, said="refund")
    except UsageError:
        return await _refund(visit, form)
    said = {"said": "paid"}
    if needs_drawer(refund) and not refund.again and not await open_drawer(visit):
        said["printer"] = "no-drawer"
    return visit.go(f"/ticket/{refund.link.hex()}", number=refund.number, **said)
