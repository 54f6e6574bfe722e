"""Tickets as the library hands them out: what was sold or given back, read from the entry itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from crdtsync.model.entry import Entry

# Values, never changed. They are made for every sale, and to freeze them takes three times as long.


@dataclass(slots=True, unsafe_hash=True)
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


@dataclass(slots=True, unsafe_hash=True)
class TicketPayment:
    """One payment; ``change`` is the cash that was handed back, a negative amount."""

    means: str
    amount_minor: int


@dataclass(slots=True, unsafe_hash=True)
class TicketVat:
    """What one VAT rate comes to."""

    rate: int
    vat_class: str
    with_tax_minor: int
    without_tax_minor: int
    tax_minor: int


@dataclass(slots=True, unsafe_hash=True)
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
        # In the order of the fields: a sale is told by this, and names double the time.
        return cls(
            body.get("num", ""),
            entry.kind,
            body["ttc"] + body.get("oos", 0),
            body["bd"],
            body["ts"],
            body["tz"],
            body["op"],
            tuple([_line(line) for line in body["lines"]]),
            tuple([TicketPayment(payment["m"], payment["amt"]) for payment in body.get("pay", ())]),
            tuple(
                [
                    TicketVat(rate["vat"], rate["vc"], rate["ttc"], rate["ht"], rate["tva"])
                    for rate in body["vat"]
                ]
            ),
            body["ref"].get("num") if "ref" in body else None,
            body.get("reason"),
            entry.author,
            entry.facts.chain,
            entry.facts.n,
            entry.link,
            again,
            notices,
        )


def _line(line: dict[str, Any]) -> TicketLine:
    return TicketLine(
        line["i"],
        line["sku"],
        line["label"],
        line["qty"],
        line["unit"],
        line["pu"],
        line["disc"],
        line["ttc"],
        line["vat"],
        line["vc"],
    )
