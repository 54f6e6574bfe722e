"""Running totals of a period of a chain: what a closing says, kept up to date entry by entry.

The day's totals grow with every entry. When the day is closed they are added to the running month's, and
the month's to the year's when that is closed, so that months are made of closed days and years of closed
months, and a closing costs the same whatever the age of the register.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

Level = Literal["day", "month", "year"]
LEVELS: Final[tuple[Level, ...]] = ("day", "month", "year")

COUNTED_KINDS: Final = frozenset(("sale", "refund"))
"""Kinds that have a ticket number and move the grand totals."""

DRAWER_KINDS: Final = frozenset(("open", "cash"))
"""Kinds that put ``amt`` into the drawer, or take it out (negative)."""

RateKey = tuple[int, str]
"""VAT rate in 1/100 % and its class."""

Amounts = tuple[int, int, int]
"""TTC, HT and VAT."""

_NOTHING: Final[Amounts] = (0, 0, 0)


# A value, never changed. It is made for every sale, and to freeze it takes three times as long.
@dataclass(slots=True, unsafe_hash=True)
class Period:
    """Totals of the entries ``start`` to ``end``; ``end`` is 0 while nothing is closed in a month or year.

    Amounts in minor units; refunds are negative amounts.
    """

    start: int
    end: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    first_num: str | None = None
    last_num: str | None = None
    rates: Mapping[RateKey, Amounts] = field(default_factory=dict)
    means: Mapping[str, int] = field(default_factory=dict)
    ttc: int = 0
    oos: int = 0
    refunds_ttc: int = 0
    discounts: int = 0
    abandoned: int = 0
    drawer: int = 0
    """Cash that should be in the drawer: float, cash taken less change, put in, taken out."""

    def with_entry(self, body: Mapping[str, Any]) -> Self:
        """The totals after one more entry. Its form must have been checked, or be our own."""
        kind = body["kind"]
        counts = {**self.counts, kind: self.counts.get(kind, 0) + 1}
        if kind in COUNTED_KINDS:
            return self._with_ticket(body, counts)
        if kind == "abandon":
            from crdtsync.model.ticket import amount_due  # Late: a head does without tickets.

            return replace(self, end=body["seq"], counts=counts, abandoned=self.abandoned + amount_due(body))
        if kind in DRAWER_KINDS:
            return replace(self, end=body["seq"], counts=counts, drawer=self.drawer + body["amt"])
        return replace(self, end=body["seq"], counts=counts)

    def merged(self, later: Period) -> Self:
        """The totals of this period and the one right after it."""
        return replace(
            self,
            end=later.end,
            counts=_sums(self.counts, later.counts),
            first_num=self.first_num or later.first_num,
            last_num=later.last_num or self.last_num,
            rates={
                key: _add(self.rates.get(key, _NOTHING), later.rates.get(key, _NOTHING))
                for key in self.rates.keys() | later.rates.keys()
            },
            means=_sums(self.means, later.means),
            ttc=self.ttc + later.ttc,
            oos=self.oos + later.oos,
            refunds_ttc=self.refunds_ttc + later.refunds_ttc,
            discounts=self.discounts + later.discounts,
            abandoned=self.abandoned + later.abandoned,
            drawer=self.drawer + later.drawer,
        )

    def _with_ticket(self, body: Mapping[str, Any], counts: Mapping[str, int]) -> Self:
        rates, means = dict(self.rates), dict(self.means)
        for rate in body["vat"]:
            key = (rate["vat"], rate["vc"])
            rates[key] = _add(rates.get(key, _NOTHING), (rate["ttc"], rate["ht"], rate["tva"]))
        drawer = self.drawer
        for payment in body["pay"]:
            means[payment["m"]] = means.get(payment["m"], 0) + payment["amt"]
            if payment["m"] in ("cash", "change"):
                drawer += payment["amt"]
        discounts = self.discounts
        for line in body["lines"]:
            discounts += line["disc"]
        ttc: int = body["ttc"]
        # Every field by name: `replace` takes as long as the sums.
        return type(self)(
            start=self.start,
            end=body["seq"],
            counts=counts,
            first_num=self.first_num or body["num"],
            last_num=body["num"],
            rates=rates,
            means=means,
            ttc=self.ttc + ttc,
            oos=self.oos + body.get("oos", 0),
            refunds_ttc=self.refunds_ttc + ttc if body["kind"] == "refund" else self.refunds_ttc,
            discounts=discounts,
            abandoned=self.abandoned,
            drawer=drawer,
        )

    def to_list(self) -> list[Any]:
        """As it is kept beside the log: its fields in their order, less those at the end that are as when it
        began.
        """
        if self.end == 0:
            return [self.start]
        return [
            self.start,
            self.end,
            dict(sorted(self.counts.items())),
            self.first_num,
            self.last_num,
            [[*key, *amounts] for key, amounts in sorted(self.rates.items())],
            dict(sorted(self.means.items())),
            self.ttc,
            self.oos,
            self.refunds_ttc,
            self.discounts,
            self.abandoned,
            self.drawer,
        ]

    @classmethod
    def from_list(cls, value: Sequence[Any]) -> Self:
        """The reverse of ``to_list``."""
        start, *rest = value
        if not rest:
            return cls(start)
        end, counts, first_num, last_num, rates, *others = rest
        return cls(start, end, counts, first_num, last_num, _rates(rates), *others)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """As it was kept before 0.1: by names, without what is empty or zero."""
        return cls(**{**value, "rates": _rates(value.get("rates", ()))})


def _rates(rates: Iterable[Sequence[Any]]) -> dict[RateKey, Amounts]:
    return {(rate, vc): (ttc, ht, tva) for rate, vc, ttc, ht, tva in rates}


def _add(a: Amounts, b: Amounts) -> Amounts:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def _sums(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in a.keys() | b.keys()}
