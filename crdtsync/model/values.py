"""The one codec for values in Yjs documents: what is written comes back, exactly.

The engine keeps integers as floats, turns what it does not know into null, and dies of integers beyond 64
bits. So only these go through: None, booleans, integers of any size, text, bytes, and lists and objects of
them. Small integers stay numbers and text stays text, so that any Yjs client can read them. Everything else
becomes ``json:`` and canonical JSON, and so does text that itself begins with ``json:``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

from crdtsync.errors import UsageError

Plain = None | bool | int | float | str | bytes
"""What the engine stores as it is. A float is a small integer in the engine's spelling."""

MARK: Final = "json:"
EXACT_MAX: Final = 2**53 - 1
"""Integers up to here, either sign, are exact as floats."""

INTEGER_DIGITS_MAX: Final = 100
VALUE_BYTES_MAX: Final = 16 << 10
DEPTH_MAX: Final = 8

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def encode_value(value: Any, *, field: str = "value") -> Plain:
    """The plain value to put under a key. Raises ``UsageError`` naming ``field`` for what cannot be kept:
    floats, decimals, dates, other types, lone surrogates, keys that are not text, and what is too big.
    """
    kind = type(value)
    if value is None or kind is bool or kind is bytes or (kind is int and abs(value) <= EXACT_MAX):
        plain: Plain = value
    elif kind is str and not value.startswith(MARK):
        plain = _text(value, field)
    else:
        plain = MARK + _json(value, field, DEPTH_MAX)
    size = len(plain) if isinstance(plain, bytes) else len(plain.encode()) if isinstance(plain, str) else 0
    if size > VALUE_BYTES_MAX:
        raise UsageError(f"{field} has {size} bytes: {VALUE_BYTES_MAX} are allowed")
    return plain


def decode_value(plain: Any, *, field: str = "value") -> Any:
    """The value that was encoded, from what the engine returns. Raises ``UsageError`` naming ``field`` for
    what this codec never writes (a fraction, a container, other JSON than the canonical, JSON of what is
    kept as it is, more bytes than it writes).
    """
    kind = type(plain)
    if plain is None or kind is bool or kind is int:
        return plain
    if kind is float:
        if plain.is_integer() and abs(plain) <= EXACT_MAX:
            return int(plain)
        raise UsageError(f"{field} is {plain!r}, which is no whole number")
    if kind is bytearray or kind is bytes:
        return bytes(plain)
    if kind is not str:
        raise UsageError(f"{field} is a {kind.__name__}, which is no plain value")
    if not plain.startswith(MARK):
        return plain
    value = _read_json(plain[len(MARK) :], field)
    if encode_value(value, field=field) != plain:
        raise UsageError(f"{field} is not in its canonical form")
    return value


def decode_to_compare(plain: Any, *, field: str = "value") -> Any:
    """The value of JSON text, for whoever makes that text again and compares it: whether it is canonical is
    not asked. Raises ``UsageError`` naming ``field`` for what is no JSON text.
    """
    if type(plain) is not str or not plain.startswith(MARK):
        raise UsageError(f"{field} is no JSON")
    try:
        # Integers beyond 64 bits become floats, which are not made again as they were.
        return orjson.loads(plain[len(MARK) :])
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{field} is not JSON: {error}") from error


def _text(value: str, field: str) -> str:
    if not value.isascii() and _SURROGATE.search(value):
        raise UsageError(f"{field} has half a character in it: {value!r}")
    return value


def _json(value: Any, field: str, levels: int) -> str:
    """Canonical JSON: sorted keys, no spaces, integers in full, bytes not at all."""
    kind = type(value)
    if kind is dict and _is_flat(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except orjson.JSONEncodeError:
            pass  # A long integer, or half a character: one that is kept, the other told by name.
    if kind is dict or kind is list or kind is tuple:
        if levels == 0:
            raise UsageError(f"{field} is nested more than {DEPTH_MAX} deep")
        if kind is not dict:
            return "[" + ",".join(_json(item, field, levels - 1) for item in value) + "]"
        if not all(type(key) is str for key in value):
            raise UsageError(f"{field} has a key that is no text")
        items = (f"{_json(key, field, 1)}:{_json(value[key], field, levels - 1)}" for key in sorted(value))
        return "{" + ",".join(items) + "}"
    if kind is int:
        if abs(value) >= 10**INTEGER_DIGITS_MAX:
            raise UsageError(f"{field} is an integer of more than {INTEGER_DIGITS_MAX} digits")
        return str(value)
    if kind is str:
        return orjson.dumps(_text(value, field)).decode()
    if value is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[value]
    raise UsageError(f"{field} is a {kind.__name__}, which a document cannot keep")


def _is_flat(value: dict[Any, Any]) -> bool:
    """Whether it holds texts, integers and lists of texts alone: ``_json`` in a tenth of the time."""
    for key, held in value.items():
        kind = type(held)
        if type(key) is not str or not (
            kind is str or kind is int or (kind is list and all(type(item) is str for item in held))
        ):
            return False
    return True


def _read_json(text: str, field: str) -> Any:
    try:
        # Not orjson: it reads integers beyond 64 bits as floats.
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{field} is not JSON: {error}") from error
