"""Refunds: what can still be given back of a ticket, and giving it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crdtsync.runtime.register.ticket import Ticket, TicketLine
from crdtsync.till.desk import Desk


@dataclass(frozen=True, slots=True)
class Returnable:
    """A line of a sale, and how much of it was not given back yet, as far as this register knows."""

    line: TicketLine
    left_thousandths: int


def returnable(desk: Desk, ticket: Ticket) -> list[Returnable]:
    """Every line of a sale with what is left of it."""
    register = desk.register
    register.replica.views.catch_up()
    queries = register.replica.queries
    back: dict[int, int] = {}
    for refund in queries.refunds_of(ticket.link):
        for row in queries.lines(refund.seq):
            if row.of is not None:
                back[row.of] = back.get(row.of, 0) + abs(row.qty)
    return [
        Returnable(line, max(0, abs(line.quantity_thousandths) - back.get(line.i, 0)))
        for line in ticket.lines
    ]


def give_back(
    desk: Desk, ticket: Ticket, quantities: Mapping[int, int], means: str, reason: str, *, request: str
) -> Ticket:
    """Record the refund of these quantities. On disk when it returns; the same ``request`` gives the same
    ticket. Raises as ``Register.refund``.
    """
    refund = desk.register.refund(
        desk.name_of(ticket),
        lines=quantities,
        payments=(means,),
        reason=reason,
        request_id=f"till-back-{request}",
    )
    return desk.remember(refund)
