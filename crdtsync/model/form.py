"""The form of payloads: whether an entry of a known kind has the fields that its totals are made of.

Admission does not ask this (a strange payload is no reason to refuse); a verifier does, before it computes
anything from the fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from crdtsync.model.arithmetic import RULE

VAT_CLASSES: Final = ("N", "R1", "R2", "Z", "S", "O")
"""Normal, reduced, second reduced, zero, special, and outside the scope of VAT."""

OUTSIDE_VAT: Final = "O"
"""Deposits on containers, vouchers sold: paid, and no turnover."""

_LINK: Final = re.compile("[0-9a-f]{64}")

Check = Callable[[object], bool]
Fields = Mapping[str, Check]


def payload_problem(body: Mapping[str, Any]) -> str | None:
    """The first field of a known kind that is missing or not of its form, as a sentence; None if all are."""
    problem = _first_problem(body, _KINDS.get(body["kind"], {}))
    return None if problem is None else f"the field {problem!r} is missing or not of its form"


def wrong_way(body: Mapping[str, Any]) -> str | None:
    """What goes the other way than it does in entries of this kind, as a sentence; None if nothing does.

    For a body whose form was checked. A sale gives goods, a refund takes them back; only containers and the
    like, outside the scope of VAT, go both ways. Change is handed back; cash goes in or out as it is called.
    """
    kind = body["kind"]
    if kind in ("sale", "refund", "abandon"):
        return _ticket_wrong_way(body, -1 if kind == "refund" else 1)
    if kind == "open" and body["amt"] < 0:
        return "a float below nothing"
    if kind == "cash" and (body["amt"] > 0) != (body["what"] == "in"):
        return f"cash {body['what']} of {body['amt']}"
    if kind == "count" and any(line["qty"] < 0 for line in body["lines"]):
        return "less than nothing was counted"
    return None


def _ticket_wrong_way(body: Mapping[str, Any], sign: int) -> str | None:
    for line in body["lines"]:
        if line["pu"] < 0:
            return f"line {line['i']} has a price below nothing"
        if line["vc"] != OUTSIDE_VAT and (line["qty"] * sign <= 0 or line["ttc"] * sign < 0):
            return f"line {line['i']} goes the other way than the ticket"
    if any(payment["m"] == "change" and payment["amt"] > 0 for payment in body.get("pay", ())):
        return "change that was not handed back"
    return None


def is_link_text(text: object) -> bool:
    """Whether a text can be a link or the name of a chain: 64 lower-case hexadecimal digits."""
    return type(text) is str and _LINK.fullmatch(text) is not None


def _first_problem(body: Mapping[str, Any], fields: Fields) -> str | None:
    return next((name for name, check in fields.items() if not check(body.get(name))), None)


def _integer(value: object) -> bool:
    return type(value) is int


def _text(value: object) -> bool:
    return type(value) is str


def _one_of(*values: object) -> Check:
    return lambda value: type(value) is str and value in values


def _object(**fields: Check) -> Check:
    return lambda value: type(value) is dict and _first_problem(value, fields) is None


def _objects(**fields: Check) -> Check:
    each = _object(**fields)
    return lambda value: type(value) is list and all(map(each, value))


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _counts(value: object) -> bool:
    return type(value) is dict and all(map(_integer, value.values()))


def _heads(value: object) -> bool:
    return _counts(value) and type(value) is dict and all(map(is_link_text, value))


def _rate(value: object) -> bool:
    return type(value) is int and 0 <= value <= 10_000


_LINE: Final[dict[str, Check]] = {
    "i": _integer,
    "label": _text,
    "qty": _integer,
    "pu": _integer,
    "disc": _integer,
    "ttc": _integer,
    "ht": _integer,
    "vat": _rate,
    "vc": _one_of(*VAT_CLASSES),
}
_VAT: Final = _objects(vat=_rate, vc=_one_of(*VAT_CLASSES), ttc=_integer, ht=_integer, tva=_integer)
_GT: Final = _object(real=_integer, abs=_integer)
_PAYMENTS: Final = _objects(m=_text, amt=_integer)
_BASKET: Final[dict[str, Check]] = {
    "lines": _objects(**_LINE),
    "vat": _VAT,
    "ttc": _integer,
    "oos": _optional(_integer),
    "rnd": _one_of(RULE),
}
_TICKET: Final[dict[str, Check]] = {
    **_BASKET,
    "num": _text,
    "pay": _PAYMENTS,
    "gt": _GT,
}
_KINDS: Final[Mapping[str, Fields]] = {
    "sale": _TICKET,
    "refund": {
        **_TICKET,
        "lines": _objects(**_LINE, of=_integer),
        "ref": _object(link=is_link_text),
        "reason": _text,
    },
    "abandon": {**_BASKET, "pay": _optional(_PAYMENTS)},
    "open": {"amt": _integer},
    "cash": {"amt": _integer, "what": _one_of("in", "out", "deposit")},
    "close": {
        "level": _one_of("day", "month", "year"),
        "z": _integer,
        "from": _integer,
        "to": _integer,
        "counts": _counts,
        "vat": _VAT,
        "pay": _PAYMENTS,
        "total": _integer,
        "cash": _optional(_object(expected=_integer, counted=_optional(_integer), gap=_optional(_integer))),
        "gt": _GT,
    },
    "print": {"rank": _integer, "ref": _object(link=is_link_text)},
    "train": {"what": _text},
    "jet": {"code": _integer},
    "move": {"lines": _objects(sku=_text, qty=_integer)},
    "count": {"lines": _objects(sku=_text, qty=_integer), "cut": _heads},
}
