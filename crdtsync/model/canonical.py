"""Canonical JSON: the one spelling of an entry's body.

The form is RFC 8785 (JCS) without everything that two programs could read differently: objects, arrays,
strings in NFC without lone surrogates, booleans, and integers below 2^53. No null, no float, object keys
in ASCII, at most eight levels. A reader parses, writes again and compares the bytes, which refuses
duplicate keys, spaces, other escapes, other orders and other spellings of numbers at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from crdtsync.errors import MalformedRecord

DEPTH_MAX: Final = 8
"""Levels of objects and arrays, the outermost one included."""

_MAYBE_KEY: Final = re.compile(rb'[\x80-\xff](?:[\x20\x21\x23-\x5b\x5d-\x7f]|\\[\x20-\x7f])*+":')
"""The last character outside ASCII of a string, ASCII up to its end, and a colon.

Were others let in between, the search would start anew at each of them: seconds for one long label.
"""

_FORM: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def encode(value: Mapping[str, Any]) -> bytes:
    """The canonical bytes of an object. Raises ``MalformedRecord`` when it has none."""
    plain = value if type(value) is dict else dict(value)
    _check(plain, DEPTH_MAX)
    try:
        data = orjson.dumps(plain, option=_FORM)
    except (orjson.JSONEncodeError, ValueError) as error:
        raise MalformedRecord(f"no canonical form: {error}") from error
    if not data.isascii():
        _check_text(plain, data)
    return data


def decode(data: bytes) -> dict[str, Any]:
    """Read canonical bytes. Raises ``MalformedRecord`` for every other byte string, never anything else."""
    value = decode_again(data)
    _check(value, DEPTH_MAX)
    try:
        same = orjson.dumps(value, option=_FORM) == data
    except (orjson.JSONEncodeError, ValueError) as error:
        raise MalformedRecord(f"no canonical form: {error}") from error
    if not same:
        raise MalformedRecord("not in canonical form")
    if not data.isascii():
        _check_text(value, data)
    return value


def decode_again(data: bytes) -> dict[str, Any]:
    """Read canonical bytes that ``decode`` has accepted before, without judging them. Raises
    ``MalformedRecord`` for what is no object.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedRecord(f"not JSON: {error}") from error
    if type(value) is not dict:
        raise MalformedRecord("the outermost value is not an object")
    return value


def _check(container: dict[str, Any] | list[Any], levels: int) -> None:
    """Refuse other types than the six, and more than ``levels`` levels (which also bounds the recursion)."""
    if levels == 0:
        raise MalformedRecord(f"more than {DEPTH_MAX} levels of nesting")
    values: Iterable[Any] = container.values() if type(container) is dict else container
    for value in values:
        kind = type(value)
        if kind is str or kind is int or kind is bool:
            continue
        if kind is dict or kind is list:
            _check(value, levels - 1)
        else:
            raise MalformedRecord(f"{kind.__name__} has no place in an entry")


def _check_text(value: dict[str, Any], data: bytes) -> None:
    r"""Refuse keys outside ASCII and strings that are not in NFC.

    If the whole text is in NFC so is every string in it, because no character composes with the quotes
    around it. The reverse does not hold (``\n`` before a combining tilde), so only then each is looked at.
    Where no string with a character outside ASCII is followed by a colon, no key has one.
    """
    if not unicodedata.is_normalized("NFC", data.decode()) or _MAYBE_KEY.search(data):
        _check_strings(value)


def _check_strings(container: dict[str, Any] | list[Any]) -> None:
    if isinstance(container, dict):
        for key in container:
            if not key.isascii():
                raise MalformedRecord(f"the key {key!r} is not ASCII")
    for value in container.values() if isinstance(container, dict) else container:
        if isinstance(value, str):
            if not unicodedata.is_normalized("NFC", value):
                raise MalformedRecord("a string is not in Unicode form NFC")
        elif isinstance(value, dict | list):
            _check_strings(value)
