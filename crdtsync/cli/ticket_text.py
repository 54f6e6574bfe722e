"""A ticket as it is printed: on a terminal, or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crdtsync.cli.output import local_time, money, quantity, rate

if TYPE_CHECKING:
    from crdtsync.runtime.folder.identity import Identity
    from crdtsync.runtime.register.ticket import Ticket

WIDTH = 48
"""Columns of 80 mm paper."""

TITLES = {"sale": "Ticket", "refund": "Refund", "abandon": "Abandoned"}


def print_ticket(ticket: Ticket, identity: Identity) -> None:
    """Print a ticket for a person."""
    click.echo(f"{identity.shop_name} – {identity.device_name}")
    title = f"{TITLES.get(ticket.kind, ticket.kind)} {ticket.number}".rstrip()
    click.echo(_row(title, local_time(ticket.at_ms, ticket.utc_offset_min)))
    if ticket.refund_of:
        click.echo(f"of ticket {ticket.refund_of}: {ticket.reason}")
    for line in ticket.lines:
        amount = "" if line.quantity_thousandths == 1000 else f"{quantity(line.quantity_thousandths)} × "
        click.echo(_row(f"{amount}{line.label}", money(line.total_minor + line.discount_minor)))
        if line.discount_minor:
            click.echo(_row("  discount", money(-line.discount_minor)))
    click.echo(_row("Total", money(ticket.total_minor)))
    for payment in ticket.payments:
        click.echo(_row(f"  {payment.means}", money(payment.amount_minor)))
    for vat in ticket.vat:
        click.echo(f"  TVA {rate(vat.rate)}: {money(vat.tax_minor)} on {money(vat.without_tax_minor)}")
    # A head that customers carry away resists even whoever holds the key.
    click.echo(ticket.link.hex()[:8])


def ticket_facts(ticket: Ticket) -> dict[str, Any]:
    """A ticket as JSON."""
    return {
        "number": ticket.number,
        "kind": ticket.kind,
        "total_minor": ticket.total_minor,
        "change_minor": ticket.change_minor,
        "business_day": ticket.business_day,
        "at_ms": ticket.at_ms,
        "operator": ticket.operator,
        "lines": ticket.lines,
        "payments": ticket.payments,
        "vat": ticket.vat,
        "refund_of": ticket.refund_of,
        "reason": ticket.reason,
        "device": ticket.device,
        "link": ticket.link,
        "again": ticket.again,
        "notices": ticket.notices,
    }


def _row(left: str, right: str) -> str:
    room = WIDTH - len(right) - 1
    return f"{left[:room].ljust(room)} {right}"
