"""What is typed or scanned into the one field of the till: a code, a quantity, words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import UsageError
from crdtsync.model.money import parse_quantity
from crdtsync.model.product import check_barcode

TYPED_CHARACTERS_MAX: Final = 120

_AZERTY: Final = str.maketrans("&é\"'(-è_çà§!", "123456789068")
"""A scanner that is set to QWERTY presses the keys of digits, and on a French layout these give signs. (On a
Mac the keys of 6 and 8 give other ones.)
"""

_TIMES: Final = re.compile(r"([0-9]{1,5}(?:[.,][0-9]{1,3})?)\s*[*x×]\s*(.*)", re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{8,14}")


@dataclass(frozen=True, slots=True)
class Typed:
    """What was meant: ``code`` as it was typed, ``digits`` of a barcode if it can be one, and how many."""

    code: str
    digits: str
    quantity_thousandths: int | None


def read_typed(text: str) -> Typed:
    """``3*cornas``, ``3760123456783``, ``"è-àéé…``. Never raises."""
    text = text.strip()[:TYPED_CHARACTERS_MAX]
    quantity = None
    if not is_barcode(barcode_of(text)) and (match := _TIMES.fullmatch(text)):
        try:
            quantity, text = parse_quantity(match[1]) or None, match[2].strip()
        except UsageError:
            quantity = None
    return Typed(text, barcode_of(text), quantity)


def barcode_of(text: str) -> str:
    """The digits of a barcode that came through whatever layout; empty where it cannot be one."""
    digits = text.translate(_AZERTY)
    return digits if _DIGITS.fullmatch(digits) else ""


def is_barcode(digits: str) -> bool:
    """Whether the check digit fits."""
    try:
        return bool(digits) and check_barcode(digits) == digits
    except UsageError:
        return False
