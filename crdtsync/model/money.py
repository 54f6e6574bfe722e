"""Amounts, quantities and rates: text to integers and back, exactly.

Amounts are minor units of the shop's currency (cents), quantities thousandths of the unit of sale, VAT rates
1/100 of a percent. No float is ever involved.
"""

from __future__ import annotations

import re
from typing import Final

from crdtsync.errors import InvalidAmount

AMOUNT_MINOR_MAX: Final = 10**12 - 1
"""Largest amount, either sign: ten thousand million euros, far below what JSON integers carry exactly."""

QUANTITY_MAX: Final = 10**9 - 1
"""Largest quantity in thousandths, either sign."""

RATE_MAX: Final = 10_000
"""100 %."""

NARROW_SPACE, NO_BREAK_SPACE = "\u202f", "\u00a0"

_SHOWN_MAX: Final = 10**40
"""Numbers from here on are shown as they are, if at all."""

_NUMBER = re.compile(
    r"(?P<sign>[+-]?)"
    r"(?P<whole>[0-9]{1,40}|[0-9]{1,3}(?:[ \u00a0\u202f][0-9]{3}){1,12})"
    r"(?:[.,](?P<fraction>[0-9]{1,6}))?"
)
_SPACES = " \u00a0\u202f"
_NOT_DIGITS = re.compile("[^0-9]")


def parse_amount(text: str, *, decimals: int = 2) -> int:
    """Read ``18.50``, ``18,50``, ``18`` or ``-1 234,5`` as minor units. Raises ``InvalidAmount``."""
    return check_amount(_parse(text, decimals, "an amount", "18.50 or 18,50"))


def parse_quantity(text: str) -> int:
    """Read a quantity, at most three decimals, as thousandths. Raises ``InvalidAmount``."""
    return check_quantity(_parse(text, 3, "a quantity", "2 or 0.125"))


def parse_rate(text: str) -> int:
    """Read a VAT rate in percent (``20``, ``5,5``, ``5.5 %``) as 1/100 %. Raises ``InvalidAmount``."""
    number = text.strip(_SPACES).removesuffix("%").rstrip(_SPACES)
    return check_rate(_parse(number, 2, "a VAT rate", "20 or 5.5"))


def check_amount(amount_minor: int) -> int:
    """Return the amount if it is in range. Raises ``InvalidAmount``."""
    if type(amount_minor) is not int or abs(amount_minor) > AMOUNT_MINOR_MAX:
        raise InvalidAmount(
            f"the amount {shown_number(amount_minor, 2)} is out of range",
            hint=f"the largest is {format_amount(AMOUNT_MINOR_MAX)}",
        )
    return amount_minor


def check_quantity(quantity_thousandths: int) -> int:
    """Return the quantity if it is in range. Raises ``InvalidAmount``."""
    if type(quantity_thousandths) is not int or abs(quantity_thousandths) > QUANTITY_MAX:
        raise InvalidAmount(
            f"the quantity {shown_number(quantity_thousandths, 3)} is out of range",
            hint=f"the largest is {format_quantity(QUANTITY_MAX)}",
        )
    return quantity_thousandths


def check_rate(rate: int) -> int:
    """Return the rate if it is in range. Raises ``InvalidAmount``."""
    if type(rate) is not int or not 0 <= rate <= RATE_MAX:
        raise InvalidAmount(
            f"the VAT rate {shown_number(rate, 2)} is out of range", hint="it lies between 0 and 100 %"
        )
    return rate


def format_amount(amount_minor: int, *, decimals: int = 2, mark: str = ".") -> str:
    """Write an amount as a plain number: ``-1234.50``. What ``parse_amount`` reads."""
    return _format(amount_minor, decimals, mark)


def format_euros(amount_minor: int) -> str:
    """Write an amount as it is written in France: ``12 345,60 €``."""
    whole, _, cents = format_amount(abs(amount_minor), mark=",").partition(",")
    groups = f"{int(whole):,}".replace(",", NARROW_SPACE)
    return f"{'-' if amount_minor < 0 else ''}{groups},{cents}{NO_BREAK_SPACE}€"


def format_quantity(quantity_thousandths: int, *, mark: str = ".") -> str:
    """Write a quantity without trailing zeros: ``2``, ``0.125``."""
    text = _format(quantity_thousandths, 3, mark)
    return text.rstrip("0").removesuffix(mark)


def format_rate(rate: int, *, mark: str = ".") -> str:
    """Write a rate in percent without trailing zeros: ``20``, ``5.5``."""
    return _format(rate, 2, mark).rstrip("0").removesuffix(mark)


def _parse(text: str, decimals: int, what: str, example: str) -> int:
    match = _NUMBER.fullmatch(text.strip(_SPACES))
    if match is None:
        raise InvalidAmount(f"{text!r} is not {what}", hint=f"write it like {example}")
    whole, fraction = _NOT_DIGITS.sub("", match["whole"]), match["fraction"] or ""
    if fraction[decimals:].strip("0"):
        raise InvalidAmount(f"{text!r} has more than {decimals} decimals")
    units = int(whole + fraction[:decimals].ljust(decimals, "0"))
    return -units if match["sign"] == "-" else units


def shown(value: object) -> str:
    """A value that is to be refused, as Python shows it, whatever it is and however many digits it has."""
    try:
        return repr(value)
    except ValueError:  # An integer of more digits than Python writes, alone or inside something.
        return f"{type(value).__name__} of too many digits"


def shown_number(units: object, decimals: int) -> str:
    """A number that is to be refused, as a person wrote it; whatever else it may be, as Python shows it."""
    if isinstance(units, int) and type(units) is int and abs(units) < _SHOWN_MAX:
        return _format(units, decimals, ".")
    return shown(units)


def _format(units: int, decimals: int, mark: str) -> str:
    digits = str(abs(units)).rjust(decimals + 1, "0")
    sign = "-" if units < 0 else ""
    if decimals == 0:
        return sign + digits
    return f"{sign}{digits[:-decimals]}{mark}{digits[-decimals:]}"
