"""Holding JSON against its form."""

import re
from collections.abc import Iterator
from typing import Any

from crdtsync.cli.json_form import Field, Form

TEXTS = {
    "text": "(?s:.*)",
    "id": "[0-9a-f]{32}",
    "digest": "[0-9a-f]{64}",
    "hex": "([0-9a-f]{2})*",
    "day": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "utc": "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
}


def differences(form: Form, document: Any) -> list[str]:
    """Where a document is not as its form says; empty if it is."""
    if form.shape == "list":
        if not isinstance(document, list):
            return ["no list"]
        return [found for one in document for found in _object(form.fields, one, "[]")]
    return list(_object(form.fields, document, ""))


def _object(fields: tuple[Field, ...], found: Any, where: str) -> Iterator[str]:
    if not isinstance(found, dict):
        yield f"{where} is no object"
        return
    names = {field.name for field in fields}
    yield from (f"{where}.{name} is not in the form" for name in found.keys() - names)
    yield from (f"{where}.{name} is missing" for name in names - found.keys())
    for field in fields:
        if field.name in found:
            yield from _field(field, found[field.name], f"{where}.{field.name}")


def _field(field: Field, found: Any, where: str) -> Iterator[str]:
    if field.is_list:
        if not isinstance(found, list):
            yield f"{where} is no list"
            return
        for one in found:
            yield from _value(field, one, f"{where}[]")
    elif found is None and (field.null or field.kind == "any"):
        return
    else:
        yield from _value(field, found, where)


def _value(field: Field, found: Any, where: str) -> Iterator[str]:
    wrong = f"{where} is {found!r}, not {field.kind}"
    match field.kind:
        case "any":
            return
        case "integer":
            is_right = type(found) is int
        case "boolean":
            is_right = type(found) is bool
        case "map":
            is_right = isinstance(found, dict) and all(type(value) is int for value in found.values())
        case "object":
            if field.fields:
                yield from _object(field.fields, found, where)
                return
            is_right = isinstance(found, dict)
        case _:
            is_right = isinstance(found, str) and bool(re.fullmatch(TEXTS[field.kind], found))
    if not is_right:
        yield wrong
