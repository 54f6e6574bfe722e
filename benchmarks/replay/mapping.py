"""From a basket of the source to the lines and payments of a ticket.

Prices. The source says what the shop takes for a line (``sales_value``) and what it was reduced by
(``retail_disc``, ``coupon_match_disc``); their sum is the shelf price of the whole line. A ticket multiplies
a unit price, so that the unit price is that sum divided by the quantity, rounded *up* to the cent, and the
few cents too many are part of the line's discount: the line's ``ttc`` is ``sales_value`` to the cent, always.

A manufacturer's coupon (``coupon_disc``) is no discount: the shop gets the money from the manufacturer. It is
a means of payment, ``voucher``, for at most what the ticket comes to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.replay.source import Basket, SourceLine
from crdtsync.model.arithmetic import line_gross
from crdtsync.model.ticket import Line, Payment

RATES: Final = Path(__file__).with_name("rates.json")

CASH_OF_TEN: Final = 3
"""Of ten baskets, by the last digit of their ids, these are paid in cash; then come one cheque and cards."""

CHEQUE_DIGIT: Final = 3
NOTE_MINOR: Final = 500
"""Cash is tendered in notes of five; what is too much is handed back as change."""

GASOLINE: Final = "GASOLINE"


def lines_of(basket: Basket) -> list[Line]:
    """The lines of the ticket, in the order of the source."""
    return [_line(line) for line in basket.lines]


def payments_of(basket: Basket) -> list[Payment]:
    """How the ticket is paid: the coupons first, then by a rule on the basket's id. Nothing for nothing."""
    due = sum(line.sales_value for line in basket.lines)
    coupons = min(due, sum(line.coupon_disc for line in basket.lines))
    rest = due - coupons
    payments = [Payment("voucher", coupons)] if coupons else []
    if not rest:
        return payments
    digit = basket.basket_id % 10
    if digit < CASH_OF_TEN:
        return [*payments, Payment("cash", -(-rest // NOTE_MINOR) * NOTE_MINOR)]
    return [*payments, Payment("cheque" if digit == CHEQUE_DIGIT else "card", rest)]


def vat_of(department: str, product_type: str) -> tuple[int, str]:
    """Rate in 1/100 % and class."""
    by_type, by_department, unknown = _rates()
    for part, rate in by_type:
        if part in product_type:
            return rate
    return by_department.get(department, unknown)


def label_of(line: SourceLine) -> str:
    """What the ticket calls the line: the product's type and size, where the source knows them."""
    words = f"{line.product_type} {line.package_size}".split()
    return " ".join(words) or f"PRODUCT {line.product_id}"


def _line(line: SourceLine) -> Line:
    shelf = line.sales_value + line.retail_disc + line.coupon_match_disc
    quantity, unit = quantity_of(line)
    unit_price = -(-shelf * 1000 // quantity)
    rate, vat_class = vat_of(line.department, line.product_type)
    return Line(
        sku=str(line.product_id),
        label=label_of(line),
        unit_price_minor=unit_price,
        vat_rate=rate,
        vat_class=vat_class,
        quantity_thousandths=quantity,
        unit=unit,
        discount_minor=line_gross(unit_price, quantity) - line.sales_value,
    )


def quantity_of(line: SourceLine) -> tuple[int, str]:
    """Thousandths and unit.

    The source counts gasoline in thousandths of a gallon (a quantity of 1 is a sum paid in advance at the
    pump: one piece). A quantity of 0, mostly something given away or a coupon without its product, is one
    piece at whatever the line says, which is nothing but for 49 lines of the year.
    """
    if line.product_type.startswith(GASOLINE) and line.quantity > 1:
        return line.quantity, "gal"
    return max(1, line.quantity) * 1000, "pce"


@cache
def _rates() -> tuple[Sequence[tuple[str, tuple[int, str]]], dict[str, tuple[int, str]], tuple[int, str]]:
    table = json.loads(RATES.read_text(encoding="utf-8"))
    by_type = [(part, (rate, vat_class)) for part, (rate, vat_class) in table["product_types"].items()]
    by_department = {name: (rate, vat_class) for name, (rate, vat_class) in table["departments"].items()}
    return by_type, by_department, tuple(table["unknown"])
