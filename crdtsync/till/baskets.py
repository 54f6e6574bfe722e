"""A basket: what a customer is about to buy, at the prices that were shown.

Amounts are minor units, quantities thousandths, rates and percentages 1/100 %.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from crdtsync.errors import InvalidAmount
from crdtsync.model import arithmetic
from crdtsync.model.money import parse_amount, parse_rate
from crdtsync.model.product import OUTSIDE_VAT
from crdtsync.model.ticket import Line, Payment

LINES_MAX: Final = 200
QUANTITY_MAX: Final = 9_999_999
ALCOHOL_ABV: Final = 120
"""1.2 % vol: what is stronger is not sold to anybody under 18."""

CASH_LIMIT_MINOR: Final = 100_000
"""France: a resident pays a trader at most 1,000 € in cash (Code monétaire et financier, D112-3)."""

_PERCENT: Final = re.compile(r".*%\s*")


@dataclass(slots=True)
class Discount:
    """So much less: a share, or an amount. Nothing of both is no discount."""

    percent: int = 0
    amount_minor: int = 0

    def of(self, amount_minor: int) -> int:
        """What is taken off that amount; never more than it."""
        taken = (amount_minor * self.percent + 5_000) // 10_000 if self.percent else self.amount_minor
        return max(0, min(taken, amount_minor))

    @classmethod
    def read(cls, text: str) -> Discount:
        """``10 %``, ``2,50``, or nothing. Raises ``InvalidAmount``."""
        text = text.strip()
        if not text:
            return cls()
        if _PERCENT.fullmatch(text):
            return cls(percent=parse_rate(text))
        amount_minor = parse_amount(text)
        if amount_minor < 0:
            raise InvalidAmount("a discount is not less than nothing")
        return cls(amount_minor=amount_minor)

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self.percent or self.amount_minor)


@dataclass(slots=True)
class Item:
    """One line, as it was shown when it came into the basket: later changes of the catalogue are offered, and
    never reach it by themselves. ``declined_minor``: the new price that somebody decided not to take.
    """

    id: str
    sku: str
    label: str
    unit_price_minor: int
    vat_rate: int
    vat_class: str
    unit: str = "pce"
    detail: str = ""
    quantity_thousandths: int = 1000
    discount: Discount = field(default_factory=Discount)
    is_alcohol: bool = False
    is_free: bool = False
    declined_minor: int | None = None

    @property
    def gross_minor(self) -> int:
        """Before its discount."""
        return arithmetic.line_gross(self.unit_price_minor, self.quantity_thousandths)

    @property
    def discount_minor(self) -> int:
        """What is taken off."""
        return self.discount.of(self.gross_minor)

    @property
    def total_minor(self) -> int:
        """What it comes to."""
        return self.gross_minor - self.discount_minor

    def line(self) -> Line:
        """As the ledger takes it."""
        return Line(
            sku=self.sku,
            label=self.label,
            unit_price_minor=self.unit_price_minor,
            vat_rate=self.vat_rate,
            vat_class=self.vat_class,
            quantity_thousandths=self.quantity_thousandths,
            unit=self.unit,
            discount_minor=self.discount_minor,
        )


@dataclass(slots=True)
class Basket:
    """``id`` names the basket for ever: the ledger sells it once. ``payments`` are those already taken of a
    payment in several parts: means and amount.
    """

    id: str
    started_ms: int
    items: list[Item] = field(default_factory=list)
    discount: Discount = field(default_factory=Discount)
    payments: list[tuple[str, int]] = field(default_factory=list)
    name: str = ""

    @property
    def request_id(self) -> str:
        """What the ledger knows it by."""
        return f"till-{self.id}"

    @property
    def lines_minor(self) -> int:
        """All lines, before the discount on the ticket."""
        return sum(item.total_minor for item in self.items)

    @property
    def discount_minor(self) -> int:
        """The discount on the ticket, on what is subject to VAT."""
        inside = sum(item.total_minor for item in self.items if item.vat_class != OUTSIDE_VAT)
        return self.discount.of(inside)

    @property
    def due_minor(self) -> int:
        """What is to be paid."""
        return self.lines_minor - self.discount_minor

    @property
    def paid_minor(self) -> int:
        """What was taken already."""
        return sum(amount_minor for _, amount_minor in self.payments)

    @property
    def rest_minor(self) -> int:
        """What is still to be paid."""
        return self.due_minor - self.paid_minor

    @property
    def pieces_thousandths(self) -> int:
        """How many articles, of all lines."""
        return sum(item.quantity_thousandths for item in self.items)

    @property
    def has_alcohol(self) -> bool:
        """Whether the customer's age is to be asked."""
        return any(item.is_alcohol for item in self.items)

    def item(self, item_id: str) -> Item | None:
        """A line by its id."""
        return next((item for item in self.items if item.id == item_id), None)

    def lines(self) -> list[Line]:
        """As the ledger takes them."""
        return [item.line() for item in self.items]


def cash_taken(payments: Iterable[Payment]) -> int:
    """The cash that stays in the drawer."""
    return sum(one.amount_minor for one in payments if one.means in ("cash", "change"))


def basket_from(facts: Any) -> Basket:
    """A basket as the shelf has it. Raises ``KeyError``, ``TypeError``, ``ValueError``."""
    items = [Item(**{**one, "discount": Discount(**one["discount"])}) for one in facts["items"]]
    return Basket(
        **{
            **facts,
            "items": items,
            "discount": Discount(**facts["discount"]),
            "payments": [(str(means), int(amount)) for means, amount in facts["payments"]],
        }
    )
