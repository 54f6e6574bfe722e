"""``crdtsync refund``: refund a ticket, whole or in part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.arguments import parse_payment, parse_positive_quantity
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json, print_notices
from crdtsync.cli.ticket_text import print_ticket, ticket_facts
from crdtsync.errors import NotRefundable

if TYPE_CHECKING:
    from crdtsync.runtime.register.ticket import Ticket


@click.command(
    "refund",
    epilog=epilog(
        "crdtsync refund 7RCYFK-26-000012 --line 2=1 --reason corked",
        "refunded",
        errors.InvalidAmount,
        errors.UnknownTicket,
        errors.NotRefundable,
        errors.InvalidSale,
        errors.NoRegister,
    ),
)
@click.argument("number")
@click.option(
    "--line",
    "lines",
    multiple=True,
    metavar="LINE[=QTY]",
    help="A line of the ticket, and how much of it comes back; without any: all that is left.",
)
@click.option(
    "--pay",
    multiple=True,
    default=("cash",),
    metavar="MEANS[=AMOUNT]",
    show_default=True,
    help="How the money goes back.",
)
@click.option("--reason", default="returned", show_default=True, help="Why.")
@click.option("--request-id", metavar="ID", help="Makes repeating safe: the same id gives the same ticket.")
@common_options
def command(
    number: str,
    lines: tuple[str, ...],
    pay: tuple[str, ...],
    reason: str,
    request_id: str | None,
    data: Path,
    as_json: bool,
) -> None:
    """Refund a ticket of any register of the shop, whole or in part.

    A refund never exceeds what was sold, less what was refunded already as far as this register knows. A
    ticket may be named by its link instead, the last line that is printed of it.
    """
    from crdtsync.model.ticket import Payment

    payments = [
        means if amount is None else Payment(means, -abs(amount)) for means, amount in map(parse_payment, pay)
    ]
    with open_register(data) as register:
        wanted = _lines(register.ticket(number), lines) if lines else None
        ticket = register.refund(
            number, lines=wanted, payments=payments, reason=reason, request_id=request_id
        )
        if as_json:
            print_json(ticket_facts(ticket))
            return
        print_ticket(ticket, register.identity)
        print_notices(ticket.notices)


def _lines(ticket: Ticket, texts: tuple[str, ...]) -> dict[int, int]:
    wanted: dict[int, int] = {}
    for i, quantity in (_line(ticket, text) for text in texts):
        if i in wanted:
            raise NotRefundable(f"line {i} is named twice", hint="give its whole quantity at once")
        wanted[i] = quantity
    return wanted


def _line(ticket: Ticket, text: str) -> tuple[int, int]:
    """Read ``2`` or ``2=1.5``: a line's number, and how many thousandths of it come back."""
    number, sign, quantity = text.partition("=")
    found = [line for line in ticket.lines if str(line.i) == number.strip()]
    if not found:
        numbers = ", ".join(str(line.i) for line in ticket.lines)
        raise NotRefundable(f"ticket {ticket.number} has no line {number!r}", hint=f"its lines are {numbers}")
    whole = abs(found[0].quantity_thousandths)
    return found[0].i, parse_positive_quantity(quantity, f"--line {text}") if sign else whole
