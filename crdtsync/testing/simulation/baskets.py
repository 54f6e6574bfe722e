"""What goes over the counter in a simulated shop, and how it is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from crdtsync.model.ticket import Line, Payment
from crdtsync.runtime.register.tickets import BasketLine, PaidBy, SoldLine

DISCOUNT_MINOR_MAX = 30
"""Of a line: the cheapest, 350 g at 1.00 a kilogram, stays worth something."""

TICKET_DISCOUNT_MINOR_MAX = 5


@dataclass(frozen=True, slots=True)
class Basket:
    """What somebody asks to be sold. The request id is the till's, and stays when it is tried again."""

    request_id: str
    lines: tuple[SoldLine, ...]
    ticket_discount_minor: int = 0


def draw_basket(request_id: str, known: Sequence[str], chance: Random) -> Basket:
    """Some of the products, or something that is in no catalogue."""
    return Basket(request_id, tuple(_lines(known, chance)))


def draw_reduced_basket(request_id: str, known: Sequence[str], chance: Random) -> Basket:
    """With discounts on lines and on the whole, a deposit on a bottle, or one that came back empty."""
    lines: list[SoldLine] = [
        _reduced(line, chance.randint(1, DISCOUNT_MINOR_MAX)) if chance.random() < 0.6 else line
        for line in _lines(known, chance)
    ]
    deposit = chance.choice((0, 0, 1000, 2000, -1000))
    if deposit < 0:  # What is paid stays above nothing.
        lines.append(Line("libre-dear", "Magnum", 4_000, 2000, "N"))
    if deposit:
        lines.append(Line("consigne", "Consigne", 10, 0, "O", quantity_thousandths=deposit))
    return Basket(request_id, tuple(lines), chance.choice((0, chance.randint(1, TICKET_DISCOUNT_MINOR_MAX))))


def draw_payments(due_minor: int | None, chance: Random) -> list[PaidBy]:
    """One means of payment, two of them, or a banknote. ``due_minor``: None while nobody can know it."""
    means = chance.choice(("cash", "card"))
    if due_minor is None or due_minor < 2:
        return [means]
    part = Payment(chance.choice(("voucher", "cheque")), chance.randrange(1, due_minor))
    banknotes = Payment("cash", due_minor + chance.randrange(1, 2_000))
    ways: tuple[list[PaidBy], ...] = [means], [part, means], [banknotes], [part, Payment("cash", due_minor)]
    return chance.choice(ways)


def _lines(known: Sequence[str], chance: Random) -> list[BasketLine | Line]:
    lines: list[BasketLine | Line] = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        if known and chance.random() < 0.8:
            lines.append(BasketLine(chance.choice(known), chance.choice((1000, 1000, 2000, 350))))
        else:
            price = chance.randrange(100, 9_000)
            rate, vat_class = chance.choice(((2000, "N"), (550, "R1")))
            lines.append(Line(f"libre-{price}", "Article", price, rate, vat_class))
    return lines


def _reduced(line: BasketLine | Line, discount_minor: int) -> SoldLine:
    if isinstance(line, BasketLine):
        return BasketLine(line.sku, line.quantity_thousandths, discount_minor=discount_minor)
    return Line(
        line.sku,
        line.label,
        line.unit_price_minor,
        line.vat_rate,
        line.vat_class,
        discount_minor=discount_minor,
    )
