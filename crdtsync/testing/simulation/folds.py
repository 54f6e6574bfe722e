"""What prices, stock, closings and reports must say: sums over all that lies on a disk, computed the slow way
from JSON alone. No code of the product is used: it would agree with its own mistakes.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
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


def stock(entries: Iterable[Entry]) -> dict[str, tuple[int, bool]]:
    """By SKU: thousandths that are there, for every SKU that ever moved or was counted, and whether counts
    dispute it.

    The count that is used is the latest of those which no other count knew of; to it is added what whoever
    counted did not know. Another one of these that comes to something else disputes it.
    """
    moved: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    counts: dict[str, list[tuple[int, str, Entry, int]]] = defaultdict(list)
    for entry in entries:
        kind = entry.body["kind"]
        for line in entry.body.get("lines", ()):
            if kind == "count":
                counts[line["sku"]].append((entry.body["ts"], entry.link, entry, line["qty"]))
            elif kind == "move":
                moved[line["sku"]].append((entry.chain, entry.n, line["qty"]))
            elif entry.is_ticket:
                moved[line["sku"]].append((entry.chain, entry.n, -line["qty"]))
    levels = {}
    for sku in moved.keys() | counts.keys():
        made = counts[sku]
        standing = [
            one
            for one in made
            if not any(other[1] != one[1] and _knew(other[2], one[2].chain, one[2]) for other in made)
        ] or made
        if standing:
            came_to = [
                quantity + sum(delta for chain, n, delta in moved[sku] if n > _known_of(count, chain))
                for _, _, count, quantity in sorted(standing, key=lambda one: one[:2])
            ]
            levels[sku] = came_to[-1], len(set(came_to)) > 1
        else:
            levels[sku] = sum(delta for _, _, delta in moved[sku]), False
    return levels


def _known_of(count: Entry, chain: str) -> int:
    own = count.n - 1 if chain == count.chain else 0
    return max(int(count.body["cut"].get(chain, 0)), own)


def _knew(count: Entry, chain: str, entry: Entry) -> bool:
    return entry.n <= _known_of(count, chain)


def closing(way: Sequence[Entry], level: str) -> dict[str, Any]:
    """What a closing of that level must say that comes after the entries of ``way``, which has all of a
    chain (of one branch of it) from its first entry.
    """
    end, begin = _end(way, len(way), level), 1
    before = _closings(way, len(way), level)
    if before:
        begin = _end(way, before[-1] - 1, level) + 1
    covered = way[begin - 1 : end]
    tickets = [entry for entry in covered if entry.is_ticket]
    refunds = [ticket for ticket in tickets if ticket.body["kind"] == "refund"]
    abandoned = [entry.amount_minor for entry in covered if entry.body["kind"] == "abandon"]
    earlier = [int(entry.body["ttc"]) for entry in way if entry.is_ticket]
    return {
        "z": len(before) + 1,
        "after": way[before[-1] - 1].link if before else None,
        "from": begin,
        "to": end,
        "counts": dict(Counter(entry.body["kind"] for entry in covered)),
        "numbers": (tickets[0].body["num"], tickets[-1].body["num"]) if tickets else (None, None),
        "total": sum(int(ticket.body["ttc"]) for ticket in tickets),
        "oos": sum(int(ticket.body.get("oos", 0)) for ticket in tickets),
        "refunds": {"n": len(refunds), "ttc": sum(int(ticket.body["ttc"]) for ticket in refunds)},
        "abandons": {"n": len(abandoned), "amt": sum(abandoned)},
        "pay": means(tickets),
        "vat": vat(tickets),
        "gt": {"abs": sum(map(abs, earlier)), "real": sum(earlier)},
        "drawer": drawer(covered) if level == "day" else None,
    }


def said(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a closing says, as ``closing`` gives it."""
    cash = body.get("cash", {})
    gap = cash.get("counted", 0) - cash.get("expected", 0) if "counted" in cash else None
    assert cash.get("gap") == gap, (cash, "the gap is what was counted less what was expected")
    return {
        **{name: body[name] for name in ("z", "from", "to", "counts", "total", "oos", "refunds", "abandons")},
        "after": body.get("plink"),
        "numbers": (body.get("first"), body.get("last")),
        "pay": {payment["m"]: payment["amt"] for payment in body["pay"] if payment["amt"]},
        "vat": sorted(_vat_row(row) for row in body["vat"] if any(_vat_row(row)[2:])),
        "gt": {key: body["gt"][key] for key in ("abs", "real")},
        "drawer": cash.get("expected"),
    }


_BELOW = {"month": "day", "year": "month"}


def _closings(way: Sequence[Entry], end: int, level: str) -> list[int]:
    """Numbers of the closings of that level up to entry ``end``."""
    return [entry.n for entry in way[:end] if entry.body["kind"] == "close" and entry.body["level"] == level]


def _end(way: Sequence[Entry], last: int, level: str) -> int:
    """The last entry that a closing covers which comes after entry ``last``: months are made of closed days,
    years of closed months.
    """
    if level == "day":
        return last
    return _end(way, _closings(way, last, _BELOW[level])[-1] - 1, _BELOW[level])


def drawer(entries: Iterable[Entry]) -> int:
    """Cents that these entries put into the drawer: the float, cash taken less change, in and out."""
    cents = 0
    for entry in entries:
        if entry.body["kind"] in ("open", "cash"):
            cents += int(entry.body["amt"])
        elif entry.is_ticket:
            cents += sum(paid["amt"] for paid in entry.body["pay"] if paid["m"] in ("cash", "change"))
    return cents


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
