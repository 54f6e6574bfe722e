"""Tickets as the library hands them out: what was sold or given back, read from the entry itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from crdtsync.model.entry import Entry


@dataclass(frozen=True, slots=True)
class TicketLine:
    """One line. Quantity in thousandths, amounts in minor units with tax, rate in 1/100 %."""

    i: int
    sku: str
    label: str
    quantity_thousandths: int
    unit: str
    unit_price_minor: int
    discount_minor: int
    total_minor: int
    vat_rate: int
    vat_class: str


@dataclass(frozen=True, slots=True)
class TicketPayment:
    """One payment; ``change`` is the cash that was handed back, a negative amount."""

    means: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class TicketVat:
    """What one VAT rate comes to."""

    rate: int
    vat_class: str
    with_tax_minor: int
    without_tax_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """A recorded sale, refund or abandoned sale.

    ``total_minor`` is what was paid. ``number`` is empty for an abandoned sale, which has none. ``link``
    names the entry everywhere. ``again``: an earlier call with the same request id had made it already.
    ``notices`` are for a person to read: about the clock, the day, a forgotten closing.
    """

    number: str
    kind: str
    total_minor: int
    business_day: str
    at_ms: int
    utc_offset_min: int
    operator: str
    lines: tuple[TicketLine, ...]
    payments: tuple[TicketPayment, ...]
    vat: tuple[TicketVat, ...]
    refund_of: str | None
    reason: str | None
    device: bytes
    chain: bytes
    n: int
    link: bytes
    again: bool = False
    notices: tuple[str, ...] = ()

    @property
    def change_minor(self) -> int:
        """The cash to hand back, as a positive amount."""
        return -sum(payment.amount_minor for payment in self.payments if payment.means == "change")

    @classmethod
    def read(cls, entry: Entry) -> Self | None:
        """As ``of``, for an entry of anybody: None if it is no ticket, or not one that makes sense."""
        if entry.kind not in ("sale", "refund", "abandon"):
            return None
        try:
            return cls.of(entry)
        except (KeyError, TypeError, AttributeError):
            return None

    @classmethod
    def of(cls, entry: Entry, *, again: bool = False, notices: tuple[str, ...] = ()) -> Self:
        """Read a ticket from its entry, which this register made."""
        body = entry.body
        return cls(
            number=body.get("num", ""),
            kind=entry.kind,
            total_minor=body["ttc"] + body.get("oos", 0),
            business_day=body["bd"],
            at_ms=body["ts"],
            utc_offset_min=body["tz"],
            operator=body["op"],
            lines=tuple(_line(line) for line in body["lines"]),
            payments=tuple(TicketPayment(payment["m"], payment["amt"]) for payment in body.get("pay", ())),
            vat=tuple(
                TicketVat(rate["vat"], rate["vc"], rate["ttc"], rate["ht"], rate["tva"])
                for rate in body["vat"]
            ),
            refund_of=body.get("ref", {}).get("num"),
            reason=body.get("reason"),
            device=entry.author,
            chain=entry.facts.chain,
            n=entry.facts.n,
            link=entry.link,
            again=again,
            notices=notices,
        )


def _line(line: dict[str, Any]) -> TicketLine:
    return TicketLine(
        i=line["i"],
        sku=line["sku"],
        label=line["label"],
        quantity_thousandths=line["qty"],
        unit=line["unit"],
        unit_price_minor=line["pu"],
        discount_minor=line["disc"],
        total_minor=line["ttc"],
        vat_rate=line["vat"],
        vat_class=line["vc"],
    )
