"""What the arguments of commands mean, beyond what click can tell: days, payments, products with quantities.

Each raises a ``UsageError`` that quotes the argument, before anything is opened or recorded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crdtsync.errors import InvalidAmount, InvalidName

if TYPE_CHECKING:
    from crdtsync.runtime.register.register import Register
    from crdtsync.runtime.register.tickets import BasketLine

_TIMES = re.compile(r"(?P<sku>.+)[x×*](?P<quantity>[-+]?[0-9].*)?")


def parse_day(text: str) -> str:
    """A business day, ``2026-11-24``. Raises ``InvalidName``."""
    from crdtsync.model.entry import is_day

    if not is_day(text):
        raise InvalidName(f"{text!r} is not a day", hint="write it like 2026-11-24")
    return text


def parse_positive_quantity(text: str, what: str) -> int:
    """A quantity of something, in thousandths: more than nothing. Raises ``InvalidAmount``."""
    from crdtsync.model.money import parse_quantity

    quantity = parse_quantity(text)
    if quantity <= 0:
        raise InvalidAmount(f"{what}: a quantity is more than nothing, not {text}")
    return quantity


def parse_cash(text: str, what: str) -> int:
    """An amount of cash in a drawer, in minor units: nothing or more. Raises ``InvalidAmount``."""
    from crdtsync.model.money import parse_amount

    amount_minor = parse_amount(text)
    if amount_minor < 0:
        raise InvalidAmount(f"{what} cannot be {text}: a drawer holds nothing or more")
    return amount_minor


def parse_payment(text: str) -> tuple[str, int | None]:
    """Read ``card`` or ``cash=50``: a means of payment and its amount. Raises ``InvalidAmount``."""
    from crdtsync.model.money import parse_amount

    means, sign, amount = text.partition("=")
    return means.strip(), parse_amount(amount) if sign else None


def basket_line(register: Register, text: str) -> BasketLine:
    """Read ``SKU`` or ``SKUxQUANTITY``; a SKU that itself ends like a quantity is taken as it is.

    Raises ``InvalidAmount``.
    """
    from crdtsync.runtime.register.tickets import BasketLine

    match = _TIMES.fullmatch(text)
    if match is None or _is_product(register, text):
        return BasketLine(text)
    if match["quantity"] is None and not _is_product(register, match["sku"]):
        return BasketLine(text)
    return BasketLine(match["sku"], parse_positive_quantity(match["quantity"] or "", text))


def _is_product(register: Register, sku: str) -> bool:
    return register.replica.queries.product(sku, 0) is not None
