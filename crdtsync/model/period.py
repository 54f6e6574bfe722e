"""Running totals of a period of a chain: what a closing says, kept up to date entry by entry.

Three periods run at once (day, month, year). Each holds what happened since the last closing of its level,
so that a closing costs the same whatever the age of the register.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

from crdtsync.model.ticket import amount_due

Level = Literal["day", "month", "year"]
LEVELS: Final[tuple[Level, ...]] = ("day", "month", "year")

COUNTED_KINDS: Final = frozenset(("sale", "refund"))
"""Kinds that have a ticket number and move the grand totals."""

RateKey = tuple[int, str]
"""VAT rate in 1/100 % and its class."""

Amounts = tuple[int, int, int]
"""TTC, HT and VAT."""


@dataclass(frozen=True, slots=True)
class Period:
    """Totals from entry number ``start`` on. Amounts in minor units; refunds are negative amounts."""

    start: int
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
            return replace(self, counts=counts, abandoned=self.abandoned + amount_due(body))
        if kind in ("open", "cash"):
            return replace(self, counts=counts, drawer=self.drawer + body["amt"])
        return replace(self, counts=counts)

    def _with_ticket(self, body: Mapping[str, Any], counts: Mapping[str, int]) -> Self:
        rates, means = dict(self.rates), dict(self.means)
        for rate in body["vat"]:
            key = (rate["vat"], rate["vc"])
            ttc, ht, tva = rates.get(key, (0, 0, 0))
            rates[key] = (ttc + rate["ttc"], ht + rate["ht"], tva + rate["tva"])
        drawer = self.drawer
        for payment in body["pay"]:
            means[payment["m"]] = means.get(payment["m"], 0) + payment["amt"]
            if payment["m"] in ("cash", "change"):
                drawer += payment["amt"]
        return replace(
            self,
            counts=counts,
            first_num=self.first_num or body["num"],
            last_num=body["num"],
            rates=rates,
            means=means,
            ttc=self.ttc + body["ttc"],
            oos=self.oos + body.get("oos", 0),
            refunds_ttc=self.refunds_ttc + (body["ttc"] if body["kind"] == "refund" else 0),
            discounts=self.discounts + sum(line["disc"] for line in body["lines"]),
            drawer=drawer,
        )

    def to_json(self) -> dict[str, Any]:
        """As it is kept beside the log; what is empty or zero is left out."""
        found: dict[str, Any] = {
            "counts": dict(self.counts),
            "first_num": self.first_num,
            "last_num": self.last_num,
            "rates": [[*key, *amounts] for key, amounts in sorted(self.rates.items())],
            "means": dict(self.means),
            "ttc": self.ttc,
            "oos": self.oos,
            "refunds_ttc": self.refunds_ttc,
            "discounts": self.discounts,
            "abandoned": self.abandoned,
            "drawer": self.drawer,
        }
        return {"start": self.start} | {key: value for key, value in found.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The reverse of ``to_json``."""
        rates = {(rate, vc): (ttc, ht, tva) for rate, vc, ttc, ht, tva in value.get("rates", ())}
        return cls(**{**value, "rates": rates})
