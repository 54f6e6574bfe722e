"""A ticket as it is read: rows for the screen, the printer and an e-mail, all from the ticket itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from crdtsync.model.company import Company
from crdtsync.model.entry import SOFTWARE
from crdtsync.model.money import format_quantity
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.web.words import N_, Words

LINK_DIGITS: Final = 8
LETTERS: Final = "ABCDEFGH"
"""Of the VAT rates of a ticket, in their order: they stand behind each line."""

NOBODY: Final = ("", "system")
"""Operators who are nobody in particular."""

MEANS_NAMES: Final = {
    "card": N_("Card"),
    "cash": N_("Cash"),
    "change": N_("Change"),
    "cheque": N_("Cheque"),
    "voucher": N_("Voucher"),
    "titre": N_("Meal voucher"),
    "transfer": N_("Transfer"),
    "account": N_("Account"),
    "other": N_("Other means"),
}
TITLES: Final = {
    "sale": N_("Ticket"),
    "refund": N_("Refund"),
    "training": N_("Training ticket: not valid"),
    "abandon": N_("Given up"),
}

Style = Literal["title", "plain", "bold", "rule"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: something on the left, something on the right."""

    left: str
    right: str = ""
    style: Style = "plain"


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a ticket; ``duplicate``: which copy it is, 0 for none; ``company``: who sells, as it
    was said when the ticket was made.
    """

    shop_name: str
    device_name: str
    duplicate: int = 0
    company: Company = field(default_factory=Company)


def means_name(words: Words, means: str) -> str:
    """A means of payment as people call it."""
    return words.say(MEANS_NAMES.get(means, means))


def receipt_rows(ticket: Ticket, heading: Heading, words: Words) -> Iterator[Row]:
    """The whole ticket, from top to bottom."""
    yield Row(heading.shop_name, style="title")
    yield from _seller(heading, words)
    yield Row(heading.device_name, words.moment_exact(ticket.at_ms, ticket.utc_offset_min))
    if ticket.operator not in NOBODY:
        yield Row(words.say("Served by %(who)s", who=ticket.operator))
    title = words.say(TITLES.get(ticket.kind, ticket.kind))
    yield Row(f"{title} {ticket.number}", style="bold")
    if heading.duplicate:
        yield Row(words.say("DUPLICATE no. %(rank)s", rank=heading.duplicate), style="bold")
    if ticket.refund_of:
        yield Row(words.say("of ticket %(number)s", number=ticket.refund_of))
    yield Row("", style="rule")
    letters = {(vat.rate, vat.vat_class): letter for vat, letter in zip(ticket.vat, LETTERS, strict=False)}
    for line in ticket.lines:
        letter = letters.get((line.vat_rate, line.vat_class), " ")
        yield Row(line.label, f"{words.money(line.total_minor + line.discount_minor)} {letter}".rstrip())
        if line.quantity_thousandths != 1000:
            quantity = format_quantity(line.quantity_thousandths, mark="," if words.name == "fr" else ".")
            yield Row(f"  {quantity} × {words.money(line.unit_price_minor)}")
        if line.discount_minor:
            yield Row(f"  {words.say('Discount')}", words.money(-line.discount_minor))
    yield Row("", style="rule")
    yield Row(words.say("Total"), words.money(ticket.total_minor), "bold")
    for payment in ticket.payments:
        yield Row(means_name(words, payment.means), words.money(payment.amount_minor))
    yield Row("", style="rule")
    yield from _vat(ticket, letters, words)
    lines = words.many("%(num)s line", "%(num)s lines", len(ticket.lines))
    yield Row(lines, SOFTWARE)
    if ticket.link:
        # A head that customers carry away resists even whoever holds the key.
        yield Row(words.say("Seal"), ticket.link.hex()[:LINK_DIGITS])


def _seller(heading: Heading, words: Words) -> Iterator[Row]:
    """Who sells, and by which numbers the law knows them; what nobody has said is left out."""
    company = heading.company
    if company.name and company.name != heading.shop_name:
        yield Row(company.name)
    for line in (company.form, *company.address.split("\n")):
        if line:
            yield Row(line)
    numbers = (
        (N_("SIRET %(number)s"), company.siret),
        (N_("NAF %(number)s"), company.naf),
        (N_("RCS %(number)s"), company.rcs),
        (N_("VAT no. %(number)s"), company.vat_number),
    )
    for text, number in numbers:
        if number:
            yield Row(words.say(text, number=number))


def _vat(ticket: Ticket, letters: dict[tuple[int, str], str], words: Words) -> Iterator[Row]:
    """Per rate what it is paid on and what it comes to, and the whole without tax."""
    for vat in ticket.vat:
        of = words.say(
            "VAT %(rate)s of %(net)s", rate=words.rate(vat.rate), net=words.money(vat.without_tax_minor)
        )
        yield Row(f"{letters.get((vat.rate, vat.vat_class), ' ')} {of}", words.money(vat.tax_minor))
    if ticket.vat:
        net_minor = sum(vat.without_tax_minor for vat in ticket.vat)
        yield Row(words.say("Without tax"), words.money(net_minor))


def as_text(rows: Iterator[Row], columns: int) -> str:
    """Plain text of so many columns."""
    return "\n".join(_line(row, columns) for row in rows) + "\n"


def _line(row: Row, columns: int) -> str:
    if row.style == "rule":
        return "-" * columns
    if not row.right:
        return row.left[:columns]
    room = columns - len(row.right) - 1
    return f"{row.left[:room].ljust(room)} {row.right}"
