"""What a command's JSON is made of: the words in which ``json_forms`` says it, for both command lines.

A form is plain data. The reference page is generated from it, and tests hold what commands print against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["text", "integer", "boolean", "id", "digest", "hex", "day", "utc", "object", "map", "any"]

KINDS: Final[dict[Kind, str]] = {
    "text": "text",
    "integer": "integer",
    "boolean": "true or false",
    "id": "text of 32 hexadecimal digits",
    "digest": "text of 64 hexadecimal digits",
    "hex": "text of hexadecimal digits",
    "day": "text, `2026-11-24`",
    "utc": "text, `2026-11-24T14:32:05Z`",
    "object": "object",
    "map": "object: text to integer",
    "any": "any JSON value",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``unit`` of a number; ``null`` says when it is null, empty if it never is; ``fields`` are
    those of an object; ``is_list``: a list of such values.
    """

    name: str
    kind: Kind
    says: str
    unit: str = ""
    null: str = ""
    is_list: bool = False
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """What a command prints with ``--json``: an object, a list of such objects, or one object per line."""

    command: str
    fields: tuple[Field, ...]
    shape: Literal["object", "list", "lines"] = "object"
    says: str = ""


def text(name: str, says: str, *, null: str = "") -> Field:
    """A text."""
    return Field(name, "text", says, null=null)


def texts(name: str, says: str) -> Field:
    """A list of texts."""
    return Field(name, "text", says, is_list=True)


def number(name: str, says: str, unit: str = "", *, null: str = "") -> Field:
    """An integer."""
    return Field(name, "integer", says, unit, null)


def amount(name: str, says: str, *, null: str = "") -> Field:
    """An amount of money."""
    return Field(name, "integer", says, "cents", null)


def time(name: str, says: str, *, null: str = "") -> Field:
    """A moment."""
    return Field(name, "integer", says, "ms since 1970, UTC", null)


def truth(name: str, says: str) -> Field:
    """True or false."""
    return Field(name, "boolean", says)


def value(
    name: str, kind: Kind, says: str, *, null: str = "", unit: str = "", is_list: bool = False
) -> Field:
    """Anything else."""
    return Field(name, kind, says, unit, null, is_list)


def one(name: str, says: str, fields: Sequence[Field], *, null: str = "") -> Field:
    """An object."""
    return Field(name, "object", says, null=null, fields=tuple(fields))


def many(name: str, says: str, fields: Sequence[Field]) -> Field:
    """A list of objects."""
    return Field(name, "object", says, is_list=True, fields=tuple(fields))
