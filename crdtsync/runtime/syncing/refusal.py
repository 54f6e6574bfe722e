"""What a relay says when it refuses a register, and what a person can do about it.

The close code says that trying again does not help; why, the relay says in words. They are believed for the
sake of the advice only: before a relay has proved its key, anybody may say them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

CUT_OFF: Final = "this device was revoked: what it had not sent is kept until a person decides"
"""What a revoked device is told when it has handed over what it had."""

SHOP_GONE: Final = "the shop is not on this relay any more"
"""After a colon comes where it is, if the relay was told (``crdtsync-relay shop erase --told``)."""

SHOP_UNKNOWN: Final = "this relay does not know the shop"
NOT_OF_THE_SHOP: Final = "the peer's certificate is not one of this shop"
ANOTHER_RELAY: Final = (
    "another relay answers at its address, or somebody is in between; nothing was sent. `crdtsync move URL` "
    "takes another address of the right relay, `crdtsync move URL CODE` goes over to another one of the shop"
)
"""What to do where the key is not that of the relay that this register was enrolled with."""

KEY_NOT_PROVED: Final = "the peer did not prove that it has the key of its certificate"

HOW_TO_COME_BACK: Final = (
    "what it sells is kept, and on hold at the relay until a person lets it in; to let the machine in "
    "again, ask for a pairing code and `crdtsync join URL CODE` into a new folder"
)
"""What a register that was revoked, and those who stand before it, can do."""

HOW_TO_MOVE: Final = "ask for a pairing code of the relay where it is now, and run `crdtsync move {} CODE`"

_HINTS: Final = {
    CUT_OFF: HOW_TO_COME_BACK,
    SHOP_UNKNOWN: "another relay may answer there, which `crdtsync doctor` finds out, or this one lost the "
    "shop: ask whoever runs it; unsent sales stay on this register",
    NOT_OF_THE_SHOP: "ask whoever runs the relay whether it has this register (`crdtsync-relay status`); "
    "unsent sales stay on this register",
    KEY_NOT_PROVED: "the device's key in the data folder is not the one that was enrolled: put that one back "
    "from a copy; unsent sales stay on this register",
}

REASON_BYTES_MAX: Final = 120
"""A close code's reason is cut to this."""


def refusal_hint(reason: str) -> str | None:
    """What to do about a refusal for that reason; None where there is nothing to add."""
    if reason.startswith(SHOP_GONE):
        return HOW_TO_MOVE.format(_address_in(reason.removeprefix(SHOP_GONE).removeprefix(": "), reason))
    return _HINTS.get(reason)


def _address_in(told: str, reason: str) -> str:
    """The address that was told, if it is one and was not cut short."""
    if len(reason.encode()) >= REASON_BYTES_MAX or any(letter in told for letter in "`'\" ;|&$<>\\"):
        return "URL"
    try:
        parts = urlsplit(told)
        is_address = parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname)
    except ValueError:
        return "URL"
    return told if is_address else "URL"
