"""The cash drawer: the payloads of ``open`` and ``cash`` entries.

``amt`` is what the drawer gains, in minor units; it is negative for what is taken out.
"""

from __future__ import annotations

from typing import Any, Literal

from crdtsync.errors import InvalidAmount
from crdtsync.model import money
from crdtsync.model.ticket import plain_text

CashMove = Literal["in", "out", "deposit"]
"""Put in, taken out, taken to the bank."""


def build_open(float_minor: int) -> dict[str, Any]:
    """The payload that opens a day: the float that lies in the drawer. Raises ``InvalidAmount``."""
    if money.check_amount(float_minor) < 0:
        raise InvalidAmount("a float is not negative")
    return {"amt": float_minor}


def build_cash(what: CashMove, amount_minor: int, *, reason: str) -> dict[str, Any]:
    """The payload of cash put in or taken out without a sale; the amount is positive either way.

    Raises ``InvalidAmount`` and ``InvalidSale``.
    """
    if money.check_amount(amount_minor) <= 0:
        raise InvalidAmount("an amount put in or taken out is more than nothing")
    signed = amount_minor if what == "in" else -amount_minor
    return {"what": what, "amt": signed, "reason": plain_text(reason, "the reason", 200)}
