"""``crdtsync sell``: record a sale and print its ticket."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.arguments import basket_line, parse_payment
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import money, print_json, print_notices
from crdtsync.cli.ticket_text import print_ticket, ticket_facts


@click.command(
    "sell",
    epilog=epilog(
        "crdtsync sell CM-19x2 TER-01 --pay cash=50",
        "sold",
        errors.InvalidAmount,
        errors.UnknownProduct,
        errors.InvalidSale,
        errors.NoRegister,
    ),
)
@click.argument("products", nargs=-1, required=True, metavar="SKU[xQTY]…")
@click.option(
    "--pay",
    multiple=True,
    required=True,
    metavar="MEANS[=AMOUNT]",
    help="cash, card, cheque, transfer, voucher, account, titre or other; without an amount: all the rest.",
)
@click.option("--discount", metavar="AMOUNT", default="0", help="Off the whole ticket.")
@click.option("--request-id", metavar="ID", help="Makes repeating safe: the same id gives the same ticket.")
@common_options
def command(
    products: tuple[str, ...],
    pay: tuple[str, ...],
    discount: str,
    request_id: str | None,
    data: Path,
    as_json: bool,
) -> None:
    """Sell products and print the ticket.

    The ticket is printed once the sale is on this register's disk. The network is never waited for.
    """
    from crdtsync.model.money import parse_amount
    from crdtsync.model.ticket import Payment

    payments = [
        means if amount is None else Payment(means, amount) for means, amount in map(parse_payment, pay)
    ]
    with open_register(data) as register:
        ticket = register.sell(
            [basket_line(register, text) for text in products],
            payments,
            request_id=request_id,
            ticket_discount_minor=parse_amount(discount),
        )
        if as_json:
            print_json(ticket_facts(ticket))
            return
        print_ticket(ticket, register.identity)
        if ticket.change_minor:
            click.echo(f"Hand back {money(ticket.change_minor)}.")
        print_notices(ticket.notices)
