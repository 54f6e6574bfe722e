"""What prices, stock, closings and reports must say: sums over all that lies on a disk, computed the slow way
from JSON alone. No code of the product is used: it would agree with its own mistakes.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from crdtsync.testing.simulation.reading import Entry

Price = tuple[int, int, str]
"""Cents, VAT rate in hundredths of a percent, VAT class."""

VatRow = tuple[int, str, int, int, int]
"""Rate, class, and cents: with the tax, without it, the tax."""


def prices(catalogue: Mapping[str, Any], at_ms: int) -> dict[str, tuple[Price | None, bool]]:
    """By SKU: the price at a moment (None if none is valid yet), and whether somebody disputes it.

    A change that is valid counts unless another one that is valid replaces it; of those that are left, the
    latest, then the one with the greater author, then with the greater name.
    """
    changes: dict[str, dict[str, Any]] = defaultdict(dict)
    found: dict[str, tuple[Price | None, bool]] = {}
    for key, value in catalogue.items():
        sku, what, *name = key.split("/")
        found[sku] = None, False
        if what == "price":
            changes[sku][name[0]] = json.loads(value.removeprefix("json:"))
    for sku, made in changes.items():
        valid = {name: change for name, change in made.items() if change["from"] <= at_ms}
        replaced = {name for change in valid.values() for name in change["replaces"]}
        heads = [
            (change["at"], change["by"], name, (change["amount"], change["vat"], change["vc"]))
            for name, change in valid.items()
            if name not in replaced
        ]
        if heads:
            found[sku] = max(heads)[3], len({head[3] for head in heads}) > 1
    return found


def stock(entries: Iterable[Entry]) -> dict[str, int]:
    """By SKU: thousandths that are there, for every SKU that ever moved or was counted.

    The count that is used is the latest of those which no other count knew of; to it is added what whoever
    counted did not know.
    """
    moved: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    counts: dict[str, list[tuple[int, str, Entry, int]]] = defaultdict(list)
    for entry in entries:
        kind, n = entry.body["kind"], int(entry.body["seq"])
        for line in entry.body.get("lines", ()):
            if kind == "count":
                counts[line["sku"]].append((entry.body["ts"], entry.link, entry, line["qty"]))
            elif kind == "move":
                moved[line["sku"]].append((entry.chain, n, line["qty"]))
            elif entry.is_ticket:
                moved[line["sku"]].append((entry.chain, n, -line["qty"]))
    levels = {}
    for sku in moved.keys() | counts.keys():
        made = counts[sku]
        standing = [
            one
            for one in made
            if not any(other[1] != one[1] and _knew(other[2], one[2].chain, one[2]) for other in made)
        ] or made
        if standing:
            _, _, count, quantity = max(standing, key=lambda one: one[:2])
            late = [delta for chain, n, delta in moved[sku] if n > _known_of(count, chain)]
            levels[sku] = quantity + sum(late)
        else:
            levels[sku] = sum(delta for _, _, delta in moved[sku])
    return levels


def _known_of(count: Entry, chain: str) -> int:
    own = int(count.body["seq"]) - 1 if chain == count.chain else 0
    return max(int(count.body["cut"].get(chain, 0)), own)


def _knew(count: Entry, chain: str, entry: Entry) -> bool:
    return int(entry.body["seq"]) <= _known_of(count, chain)


def closing(close: Entry, numbered: Mapping[int, list[Entry]]) -> dict[str, Any]:
    """What a closing of a day must say, of the entries of its chain by number: those from the last one on."""
    before = [
        n
        for n in numbered
        if n < int(close.body["seq"])
        and numbered[n][0].body["kind"] == "close"
        and numbered[n][0].body["level"] == "day"
    ]
    begin, end = max(before, default=1), int(close.body["seq"]) - 1
    tickets = [numbered[n][0] for n in range(begin, end + 1) if numbered[n][0].is_ticket]
    refunds = [ticket for ticket in tickets if ticket.body["kind"] == "refund"]
    earlier = [those[0] for n, those in sorted(numbered.items()) if n <= end and those[0].is_ticket]
    return {
        "from": begin,
        "to": end,
        "total": sum(int(ticket.body["ttc"]) for ticket in tickets),
        "oos": sum(int(ticket.body.get("oos", 0)) for ticket in tickets),
        "refunds": {"n": len(refunds), "ttc": sum(int(ticket.body["ttc"]) for ticket in refunds)},
        "pay": means(tickets),
        "vat": vat(tickets),
        "gt": {
            "abs": sum(abs(int(ticket.body["ttc"])) for ticket in earlier),
            "real": sum(int(ticket.body["ttc"]) for ticket in earlier),
        },
    }


def said(close: Entry) -> dict[str, Any]:
    """What a closing says, as ``closing`` gives it."""
    body = close.body
    return {
        "from": body["from"],
        "to": body["to"],
        "total": body["total"],
        "oos": body["oos"],
        "refunds": body["refunds"],
        "pay": {payment["m"]: payment["amt"] for payment in body["pay"] if payment["amt"]},
        "vat": sorted(_vat_row(row) for row in body["vat"] if any(_vat_row(row)[2:])),
        "gt": {key: body["gt"][key] for key in ("abs", "real")},
    }


def means(tickets: Iterable[Entry]) -> dict[str, int]:
    """Cents by means of payment, where they do not come to nothing."""
    paid: Counter[str] = Counter()
    for ticket in tickets:
        for payment in ticket.body["pay"]:
            paid[payment["m"]] += payment["amt"]
    return {name: amount_minor for name, amount_minor in paid.items() if amount_minor}


def vat(tickets: Iterable[Entry]) -> list[VatRow]:
    """What was taken at each rate, where it does not come to nothing."""
    taken: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for ticket in tickets:
        for row in ticket.body["vat"]:
            rate, vat_class, *amounts = _vat_row(row)
            taken[rate, vat_class] = [a + b for a, b in zip(taken[rate, vat_class], amounts, strict=True)]
    return sorted((*key, ttc, ht, tva) for key, (ttc, ht, tva) in taken.items() if any((ttc, ht, tva)))


def _vat_row(row: Mapping[str, Any]) -> VatRow:
    return row["vat"], row["vc"], row["ttc"], row["ht"], row["tva"]
