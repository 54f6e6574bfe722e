"""The fields of a message, read strictly: of the right type, of the right length, or refused."""

from __future__ import annotations

from typing import Any
from unicodedata import category

from crdtsync.errors import MalformedMessage, UnsupportedVersion
from crdtsync.ids import LINK_BYTES, Position
from crdtsync.protocol import limits

SEQ_MAX = 1 << 53
TEXT_BYTES_MAX = 400

_UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def require(condition: bool, what: str) -> None:
    """Refuse the message. Raises ``MalformedMessage``, as all of these do."""
    if not condition:
        raise MalformedMessage(f"{what} is not as the protocol says")


def check_version(version: int) -> None:
    """Refuse a peer that speaks another version of the protocol. Raises ``UnsupportedVersion``."""
    if version != limits.VERSION:
        raise UnsupportedVersion(
            f"the peer speaks version {version} of the protocol, this device speaks version {limits.VERSION}"
        )


def integer(value: Any, what: str, maximum: int = SEQ_MAX) -> int:
    """A whole number from 0."""
    require(type(value) is int and 0 <= value <= maximum, what)
    return int(value)


def boolean(value: Any, what: str) -> bool:
    """True or false."""
    require(type(value) is bool, what)
    return bool(value)


def octets(value: Any, what: str, *lengths: int) -> bytes:
    """Bytes, of one of these lengths if there are any."""
    require(type(value) is bytes and (not lengths or len(value) in lengths), what)
    return bytes(value)


def text(value: Any, what: str, maximum: int = TEXT_BYTES_MAX) -> str:
    """A text of bounded length without zero characters."""
    require(type(value) is str and len(value) <= maximum and "\x00" not in value, what)
    return str(value)


def printable(value: str) -> str:
    """A text that does nothing to a terminal or a log: what controls or turns it round is replaced, not
    refused, because it may quote a record that is to be refused for just that.
    """
    if value.isprintable():
        return value
    return "".join("\N{REPLACEMENT CHARACTER}" if category(one) in _UNPRINTABLE else one for one in value)


def array(value: Any, what: str, maximum: int) -> list[Any]:
    """A list of bounded length."""
    require(type(value) is list and len(value) <= maximum, what)
    return list(value)


def position(seq: Any, h: Any, what: str) -> Position:
    """A place in a log."""
    return Position(integer(seq, what), octets(h, what, LINK_BYTES))


def interval(value: Any, what: str) -> tuple[int, int]:
    """A pair of numbers, both ends included."""
    pair = array(value, what, 2)
    require(len(pair) == 2, what)
    lo, hi = integer(pair[0], what), integer(pair[1], what)
    require(1 <= lo <= hi, what)
    return lo, hi
