"""Paying: with one means, or in several parts; the ticket is shown when it is on the disk."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import UsageError
from crdtsync.model.money import parse_amount
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.till import selling
from crdtsync.till.baskets import CASH_LIMIT_MINOR
from crdtsync.till.desk import Desk
from crdtsync.till.house import House, Visit
from crdtsync.till.pages.counter import basket_facts
from crdtsync.till.pages.drawer import open_drawer
from crdtsync.till.pages.tickets import needs_drawer, print_ticket
from crdtsync.till.printing import PrinterTrouble
from crdtsync.till.receipt import Heading, means_name
from crdtsync.till.selling import MEANS, Changed
from crdtsync.web.words import N_

NOTES_MINOR = (500, 1000, 2000, 5000, 10_000)
KEYS = {"card": "F4", "cash": "F8", "cheque": "F9"}
_SAID = {
    "part-paid": N_("A part of this basket is paid already: take the rest, or give back what was taken."),
    "amount": N_("This amount cannot be. Only cash may be more than what is due, by less than 500 €."),
    "changed": N_("The basket was changed meanwhile: this is what is to be paid now. Nothing was taken."),
}


def routes(house: House) -> list[Route]:
    """The pages of this module."""
    return [
        Route("/pay", house.page(_pay)),
        Route("/pay", house.page(_take_payment), methods=["POST"]),
        Route("/pay/back", house.page(_give_back), methods=["POST"]),
    ]


async def _pay(visit: Visit) -> Response:
    facts = await visit.ask(basket_facts)
    if not facts["basket"].items:
        return visit.go("/")
    said = visit.request.query_params.get("said", "")
    return _shown(visit, facts, says=visit.words.say(_SAID[said]) if said in _SAID else "")


def _shown(
    visit: Visit, facts: dict[str, Any], *, says: str = "", ask_word: dict[str, str] | None = None
) -> Response:
    basket = facts["basket"]
    return visit.render(
        "pay.html",
        says=says,
        ask_word=ask_word,
        limit_minor=CASH_LIMIT_MINOR,
        means=[(one, means_name(visit.words, one), KEYS.get(one, "")) for one in MEANS],
        payments=[(means_name(visit.words, one), amount) for one, amount in basket.payments],
        notes=_notes(basket.rest_minor),
        **facts,
    )


def _notes(rest_minor: int) -> list[int]:
    """What a customer is likely to hand over: the next whole sums above what is due."""
    return sorted({-(-rest_minor // note) * note for note in NOTES_MINOR} - {rest_minor})[:4]


async def _take_payment(visit: Visit) -> Response:
    form = await visit.form()
    basket_id, step, due = form.text("basket"), form.text("step"), form.text("due")
    means = "cash" if form.text("note") else form.text("means")
    delivered = form.text("delivered") or "none"
    try:
        text = form.text("note") or form.text("amount")
        amount_minor = parse_amount(text) if text else None

        def work(desk: Desk) -> tuple[selling.Paid, Heading | None, dict[str, Any]]:
            paid = selling.pay(
                desk,
                basket_id,
                means,
                amount_minor,
                step=int(step) if step.isdecimal() and len(step) < 4 else -1,
                due_minor=int(due) if due.isdecimal() and len(due) < 16 else -1,
                delivered=delivered,
                cash_is_confirmed=form.text("confirmed") == "1",
            )
            heading = desk.heading(paid.ticket) if paid.ticket is not None else None
            return paid, heading, basket_facts(desk)

        paid, heading, facts = await visit.ask(work)
    except Changed:
        return visit.go("/pay", said="changed")
    except UsageError:
        return visit.go("/pay", said="amount")
    if paid.needs_word:
        word = {"means": means, "amount": text, "step": step, "due": due, "delivered": delivered}
        return _shown(visit, facts, ask_word=word)
    if paid.ticket is None:
        return visit.go("/pay")
    said = {"said": "paid"}
    if not paid.ticket.again and (trouble := await _to_the_printer(visit, paid.ticket, heading, delivered)):
        said["printer"] = trouble
    address = paid.ticket.link.hex() if paid.ticket.link else f"training-{basket_id}"
    return visit.go(f"/ticket/{address}", number=paid.ticket.number, **said)


async def _to_the_printer(
    visit: Visit, ticket: Ticket, heading: Heading | None, delivered: str
) -> str | None:
    """The ticket if it is wanted, and the drawer where cash came; what did not work, if anything."""
    has_cash = needs_drawer(ticket)
    if delivered == "print" and heading is not None:
        try:
            await print_ticket(visit, ticket, heading, opens_drawer=has_cash)
        except PrinterTrouble:
            return "failed"
    elif has_cash and not await open_drawer(visit):
        return "no-drawer"
    return None


async def _give_back(visit: Visit) -> Response:
    form = await visit.form()
    await visit.ask(lambda desk: selling.take_back_payments(desk, form.text("basket")))
    return visit.go("/pay")
