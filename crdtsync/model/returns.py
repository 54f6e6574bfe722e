"""Whether what was given back had been sold: a check over all chains of a shop.

A register caps a refund by the refunds that it knows. Two registers that did not know of each other can still
give one bottle back twice; nobody is stopped, no money is touched, and here it is found. So is a refund that
names no sale, or takes goods back at another rate of VAT than they were sold at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crdtsync.model.entry import Entry
from crdtsync.model.form import payload_problem
from crdtsync.model.money import format_amount, format_quantity
from crdtsync.model.verify import Defect


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry says that another one is: ``n`` counts along ``chain``."""

    chain: bytes
    n: int
    link: bytes


@dataclass(frozen=True, slots=True)
class _Refund:
    link: bytes
    seq: int
    num: str
    at_ms: int
    lines: tuple[Mapping[str, Any], ...]


class Returns:
    """Refunds, gathered in any order, to be compared with the sales that they name. O(refunds) of memory."""

    def __init__(self) -> None:
        self._refunds: dict[tuple[bytes, Place | None], dict[bytes, _Refund]] = {}

    def add(self, entry: Entry) -> None:
        """Take note of an entry, if it is a refund that can be read; others are passed over. Idempotent."""
        body = entry.body
        if entry.kind != "refund" or payload_problem(body):
            return
        link = bytes.fromhex(body["ref"]["link"])
        refund = _Refund(entry.link, entry.facts.n, body["num"], body["ts"], tuple(body["lines"]))
        self._refunds.setdefault((link, _place(body["ref"], link)), {})[entry.link] = refund

    def check(self, find: Callable[[Place], Iterable[Entry]]) -> Iterator[Defect]:
        """Compare with the sales. ``find`` gives the versions of the entry at a place that are held here, and
        none where it is missing: then nothing can be said. One defect for each sale, at its last refund.
        """
        for (link, place), refunds in self._refunds.items():
            held = [] if place is None else list(find(place))
            original = next((entry for entry in held if entry.link == link), None)
            problem = None
            if original is not None:
                problem = _problem(original, list(refunds.values()))
            elif held or place is None:
                problem = f"it names no sale: {link.hex()[:8]} is not where it says"
            if problem is not None:
                last = max(refunds.values(), key=lambda refund: (refund.at_ms, refund.link))
                yield Defect("refund", last.link, last.seq, last.num, problem)


def _place(ref: Mapping[str, Any], link: bytes) -> Place | None:
    chain, n = ref.get("chain"), ref.get("seq")
    if type(chain) is not str or type(n) is not int:
        return None
    try:
        return Place(bytes.fromhex(chain), n, link)
    except ValueError:
        return None


def _problem(original: Entry, refunds: list[_Refund]) -> str | None:
    """What is wrong with all refunds of one entry together; None if nothing is."""
    if original.kind != "sale":
        return f"a {original.kind} was given back, not a sale"
    if payload_problem(original.body):
        return "the sale that it names makes no sense"
    sold = {line["i"]: line for line in original.body["lines"]}
    quantities = dict.fromkeys(sold, 0)
    amounts = dict.fromkeys(sold, 0)
    times = dict.fromkeys(sold, 0)
    for refund in refunds:
        for line in refund.lines:
            i = line["of"]
            if i not in sold:
                return f"ticket {original.body['num']} has no line {i}"
            if (line["vat"], line["vc"]) != (sold[i]["vat"], sold[i]["vc"]):
                return f"line {i} of ticket {original.body['num']} was sold at another rate of VAT"
            quantities[i] += abs(line["qty"])
            amounts[i] -= line["ttc"]
            times[i] += 1
    for i, line in sold.items():
        given = f"line {i} of ticket {original.body['num']}"
        if quantities[i] > abs(line["qty"]):
            back, most = format_quantity(quantities[i]), format_quantity(abs(line["qty"]))
            return f"{given}: {back} given back, {most} sold"
        # Registers that do not know of each other round apart, by less than a cent for each refund.
        sign = 1 if line["ttc"] >= 0 else -1
        if sign * (amounts[i] - line["ttc"]) >= max(1, times[i]):
            return f"{given}: {format_amount(amounts[i])} given back, {format_amount(line['ttc'])} paid"
    return None
