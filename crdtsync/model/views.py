"""Projections: from one entry to the rows that views show of it.

A projection is a pure function of one entry. Rows of several entries are never combined here: totals are
given as amounts to add, so that the order in which entries arrive does not matter.

Admission judges only form, link and signature. An entry whose own fields make no sense is therefore held
like any other and must not stop the views: it becomes an event with the code ``unreadable`` and moves no
total. An entry of a kind that this version does not know becomes an event with the code ``unknown``. What
can be read but cannot be so (wrong totals, say) is shown, counted as it stands, and flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from crdtsync.ids import ID_BYTES
from crdtsync.model.entry import Entry
from crdtsync.model.flags import ticket_flags
from crdtsync.model.form import VAT_CLASSES, is_link_text, payload_problem
from crdtsync.model.money import RATE_MAX

Value = int | str | bytes | None
Row = tuple[str, Mapping[str, Value]]
"""A table's name and values by column."""

AMOUNT_MAX: Final = 10**12
"""Greater amounts or quantities (ten thousand million euros) are not added up: sums must fit in 63 bits."""


# A value, never changed. It is made for every entry, and to freeze it takes three times as long.
@dataclass(slots=True, unsafe_hash=True)
class Projection:
    """The rows of one entry: ``head`` stands for it, ``details`` belong to it, ``sums`` are added to the
    totals of its chain and day, ``newest`` is what its chain shows while no later entry is known.
    """

    chain: bytes
    n: int
    link: bytes
    head: Row
    details: tuple[Row, ...]
    sums: tuple[Row, ...]
    newest: Mapping[str, Value]


class _Unreadable(Exception):
    """A field is not what its kind of entry must have."""


class _Fields:
    """Reads fields of a body that nobody has judged yet."""

    __slots__ = ("_body",)

    def __init__(self, body: object) -> None:
        if type(body) is not dict:
            raise _Unreadable
        self._body: dict[str, Any] = body

    def integer(self, name: str, default: int | None = None) -> int:
        number = self._body.get(name, default)
        if type(number) is not int or not -AMOUNT_MAX <= number <= AMOUNT_MAX:
            raise _Unreadable
        return number

    def optional_integer(self, name: str) -> int | None:
        return self.integer(name) if name in self._body else None

    def text(self, name: str, default: str | None = None) -> str:
        text = self._body.get(name, default)
        if type(text) is not str:
            raise _Unreadable
        return text

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if name in self._body else None

    def rate(self) -> int:
        rate = self.integer("vat")
        if not 0 <= rate <= RATE_MAX:
            raise _Unreadable
        return rate

    def vat_class(self) -> str:
        vat_class = self.text("vc")
        if vat_class not in VAT_CLASSES:
            raise _Unreadable
        return vat_class

    def part(self, name: str) -> _Fields:
        return _Fields(self._body.get(name, {}))

    def parts(self, name: str) -> list[_Fields]:
        parts = self._body.get(name, [])
        if type(parts) is not list:
            raise _Unreadable
        return [_Fields(part) for part in parts]

    def device(self) -> bytes:
        device = self.link("device")
        if device is None or len(device) != ID_BYTES:
            raise _Unreadable
        return device

    def link(self, name: str) -> bytes | None:
        text = self.optional_text(name)
        try:
            return None if text is None else bytes.fromhex(text)
        except ValueError as error:
            raise _Unreadable from error

    def flag(self, name: str) -> int:
        return int(self._body.get(name) is True)

    def heads(self, name: str) -> str:
        """An object of chain: number, as text that sorts and parses (the body is canonical already)."""
        heads = self._body.get(name, {})
        if type(heads) is not dict:
            raise _Unreadable
        if not all(is_link_text(chain) and type(number) is int for chain, number in heads.items()):
            raise _Unreadable
        return " ".join(f"{chain}:{number}" for chain, number in heads.items())


def _bounded(amount: int) -> int:
    if abs(amount) > AMOUNT_MAX:
        raise _Unreadable
    return amount


def project(entry: Entry) -> Projection:
    """The rows of an entry. Never raises: an entry that cannot be read so becomes an event."""
    fields = _Fields(entry.body)
    try:
        return _KINDS.get(entry.kind, _unknown)(entry, fields)
    except _Unreadable:
        return _projection(entry, ("event", {**_common(entry), "code": "unreadable"}))


def _common(entry: Entry) -> dict[str, Value]:
    body = entry.body
    return {
        "kind": entry.kind,
        "day": body["bd"],
        "at_ms": body["ts"],
        "tz_min": body["tz"],
        "operator": body["op"],
        "mode": body["mode"],
    }


def _projection(
    entry: Entry, head: Row, details: tuple[Row, ...] = (), sums: tuple[Row, ...] = ()
) -> Projection:
    facts = entry.facts
    newest: dict[str, Value] = {"device": entry.author, "at_ms": entry.body["ts"], "day": entry.body["bd"]}
    return Projection(facts.chain, facts.n, facts.link, head, details, sums, newest)


def _ticket(entry: Entry, fields: _Fields) -> Projection:
    if not {"lines", "pay", "vat"} <= entry.body.keys():
        raise _Unreadable
    lines = fields.parts("lines")
    payments = fields.parts("pay")
    reference = fields.part("ref")
    ttc, oos = fields.integer("ttc"), fields.integer("oos", 0)
    head = (
        "ticket",
        {
            **_common(entry),
            "number": fields.text("num"),
            "ttc": ttc,
            "oos": oos,
            "lines": len(lines),
            "ref_link": reference.link("link"),
            "ref_number": reference.optional_text("num"),
            "reason": fields.optional_text("reason"),
        },
    )
    details = (
        *(_line(line) for line in lines),
        *(_payment(i, payment) for i, payment in enumerate(payments, 1)),
        *_flags(entry),
    )
    if entry.body["mode"] != "live":
        return _projection(entry, head, details)
    moved = tuple(_sold(line) for line in lines if line.text("sku", ""))
    return _projection(entry, head, details + moved, _ticket_sums(entry, fields, lines, payments))


def _flags(entry: Entry) -> list[Row]:
    """What is wrong with a ticket whose fields were read."""
    day = entry.body["bd"]
    return [
        ("flag", {"code": code, "day": day, "detail": problem}) for code, problem in ticket_flags(entry.body)
    ]


def _line(line: _Fields) -> Row:
    return (
        "line",
        {
            "i": line.integer("i"),
            "sku": line.text("sku", ""),
            "label": line.text("label"),
            "qty": line.integer("qty"),
            "unit": line.text("unit", ""),
            "pu": line.integer("pu"),
            "disc": line.integer("disc"),
            "ttc": line.integer("ttc"),
            "vat": line.rate(),
            "vc": line.vat_class(),
            "ht": line.integer("ht"),
            "of": line.optional_integer("of"),
        },
    )


def _payment(i: int, payment: _Fields) -> Row:
    return ("payment", {"i": i, "means": payment.text("m"), "amount": payment.integer("amt")})


def _sold(line: _Fields) -> Row:
    """What is sold leaves the stock; what is taken back (its quantity is negative) returns to it."""
    return (
        "movement",
        {"i": line.integer("i"), "sku": line.text("sku"), "delta": -line.integer("qty")},
    )


def _ticket_sums(
    entry: Entry, fields: _Fields, lines: list[_Fields], payments: list[_Fields]
) -> tuple[Row, ...]:
    day = entry.body["bd"]
    ttc, oos = fields.integer("ttc"), fields.integer("oos", 0)
    is_refund = entry.kind == "refund"
    totals: Row = (
        "day",
        {
            "day": day,
            "tickets": 1,
            "refunds": int(is_refund),
            "ttc": ttc,
            "refunds_due": _bounded(ttc + oos) if is_refund else 0,
            "oos": oos,
            "discounts": _bounded(sum(line.integer("disc") for line in lines)),
        },
    )
    rates: list[Row] = [
        (
            "day_vat",
            {
                "day": day,
                "vat": rate.rate(),
                "vc": rate.vat_class(),
                "ttc": rate.integer("ttc"),
                "ht": rate.integer("ht"),
                "tva": rate.integer("tva"),
            },
        )
        for rate in fields.parts("vat")
    ]
    means: list[Row] = [
        (
            "day_payment",
            {"day": day, "means": payment.text("m"), "amount": payment.integer("amt"), "times": 1},
        )
        for payment in payments
    ]
    return (totals, *rates, *means)


def _abandon(entry: Entry, fields: _Fields) -> Projection:
    if payload_problem(entry.body):
        raise _Unreadable
    due = _bounded(fields.integer("ttc") + fields.integer("oos", 0))
    head = ("event", {**_common(entry), "code": "abandon", "detail": fields.optional_text("reason")})
    sums: tuple[Row, ...] = (("day", {"day": entry.body["bd"], "abandoned": 1, "abandoned_due": due}),)
    return _projection(entry, head, tuple(_flags(entry)), sums if entry.body["mode"] == "live" else ())


def _cash(entry: Entry, fields: _Fields) -> Projection:
    values: dict[str, Value] = {
        "what": fields.text("what", "float"),
        "amount": fields.integer("amt"),
        "reason": fields.optional_text("reason"),
    }
    return _projection(entry, ("cash", {**_common(entry), **values}))


def _close(entry: Entry, fields: _Fields) -> Projection:
    counts, refunds = fields.part("counts"), fields.part("refunds")
    cash, totals = fields.part("cash"), fields.part("gt")
    values: dict[str, Value] = {
        "level": fields.text("level"),
        "z": fields.integer("z"),
        "first_n": fields.integer("from"),
        "last_n": fields.integer("to"),
        "tickets": counts.integer("sale", 0) + counts.integer("refund", 0),
        "ttc": fields.integer("total"),
        "refunds_ttc": refunds.integer("ttc", 0),
        "gt_real": totals.integer("real"),
        "gt_abs": totals.integer("abs"),
        "cash_expected": cash.optional_integer("expected"),
        "cash_counted": cash.optional_integer("counted"),
        "automatic": fields.flag("auto"),
    }
    return _projection(entry, ("closing", {**_common(entry), **values}))


def _move(entry: Entry, fields: _Fields) -> Projection:
    details: tuple[Row, ...] = tuple(
        ("movement", {"i": i, "sku": line.text("sku"), "delta": line.integer("qty")})
        for i, line in enumerate(fields.parts("lines"), 1)
    )
    why = ", ".join(sorted({line.text("why", "") for line in fields.parts("lines")}))
    head = ("move", {**_common(entry), "reason": why})
    return _projection(entry, head, details if entry.body["mode"] == "live" else ())


def _count(entry: Entry, fields: _Fields) -> Projection:
    cut = fields.heads("cut")
    details: tuple[Row, ...] = tuple(
        (
            "count",
            {
                "i": i,
                "sku": line.text("sku"),
                "at_ms": entry.body["ts"],
                "counted": line.integer("qty"),
                "cut": cut,
            },
        )
        for i, line in enumerate(fields.parts("lines"), 1)
    )
    head = ("move", {**_common(entry), "reason": "count"})
    return _projection(entry, head, details if entry.body["mode"] == "live" else ())


def _certify(entry: Entry, fields: _Fields) -> Projection:
    row: Row = (
        "device",
        {
            "device": fields.device(),
            "name": fields.text("name"),
            "role": fields.text("role"),
            "series": fields.optional_text("series"),
            "revoked": 0,
        },
    )
    return _projection(entry, ("event", {**_common(entry), "code": "certify"}), (row,))


def _revoke(entry: Entry, fields: _Fields) -> Projection:
    row: Row = ("device", {"device": fields.device(), "revoked": 1})
    head = ("event", {**_common(entry), "code": "revoke", "detail": fields.optional_text("reason")})
    return _projection(entry, head, (row,))


def _register(entry: Entry, fields: _Fields) -> Projection:
    head = ("event", {**_common(entry), "code": "register", "detail": fields.text("series")})
    return _projection(entry, head)


def _jet(entry: Entry, fields: _Fields) -> Projection:
    head = ("event", {**_common(entry), "code": str(fields.integer("code"))})
    return _projection(entry, head)


def _print(entry: Entry, fields: _Fields) -> Projection:
    """A copy of a ticket: of which, by its link."""
    link = fields.part("ref").link("link")
    detail = None if link is None else link.hex()
    return _projection(entry, ("event", {**_common(entry), "code": "print", "detail": detail}))


def _plain_event(entry: Entry, fields: _Fields) -> Projection:
    """A known kind of which views show no more than that it happened."""
    return _projection(entry, ("event", {**_common(entry), "code": entry.kind}))


def _unknown(entry: Entry, fields: _Fields) -> Projection:
    """A kind of a later version: carried like any other, and shown as unknown."""
    reason = entry.body.get("reason")
    detail = reason if type(reason) is str else None
    return _projection(entry, ("event", {**_common(entry), "code": "unknown", "detail": detail}))


_KINDS: dict[str, Callable[[Entry, _Fields], Projection]] = {
    "sale": _ticket,
    "refund": _ticket,
    "abandon": _abandon,
    "open": _cash,
    "cash": _cash,
    "close": _close,
    "move": _move,
    "count": _count,
    "certify": _certify,
    "revoke": _revoke,
    "register": _register,
    "jet": _jet,
    "print": _print,
    "train": _plain_event,
    "owner": _plain_event,
    "owner-approve": _plain_event,
    "owner-key": _plain_event,
}
