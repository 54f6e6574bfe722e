"""Closings (Z), readings (X) and reports of a day, as the library hands them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from crdtsync.runtime.register.ticket import TicketVat


@dataclass(frozen=True, slots=True)
class Figures:
    """What one register took in one period, in minor units.

    ``z`` is the number of the closing; None in a reading (X), which records nothing. ``cash_counted_minor``
    is None where nobody counted. ``automatic``: the register closed by itself, because the first sale of
    the next day came. ``notices`` are for a person to read.
    """

    level: str
    z: int | None
    business_day: str
    first_number: str | None
    last_number: str | None
    sales: int
    refunds: int
    abandons: int
    total_minor: int
    refunds_minor: int
    outside_vat_minor: int
    discounts_minor: int
    vat: tuple[TicketVat, ...]
    means: Mapping[str, int]
    cash_expected_minor: int | None
    cash_counted_minor: int | None
    grand_total_minor: int
    automatic: bool = False
    notices: tuple[str, ...] = ()

    @property
    def cash_gap_minor(self) -> int | None:
        """Counted minus expected; None where nobody counted."""
        if self.cash_counted_minor is None or self.cash_expected_minor is None:
            return None
        return self.cash_counted_minor - self.cash_expected_minor

    @classmethod
    def of(
        cls,
        fields: Mapping[str, Any],
        *,
        business_day: str,
        grand_total_minor: int,
        notices: tuple[str, ...] = (),
    ) -> Self:
        """From the fields of a closing or a reading that this register made."""
        counts, cash = fields["counts"], fields.get("cash", {})
        return cls(
            level=fields["level"],
            z=fields.get("z"),
            business_day=business_day,
            first_number=fields.get("first"),
            last_number=fields.get("last"),
            sales=counts.get("sale", 0),
            refunds=counts.get("refund", 0),
            abandons=counts.get("abandon", 0),
            total_minor=fields["total"],
            refunds_minor=fields["refunds"]["ttc"],
            outside_vat_minor=fields["oos"],
            discounts_minor=fields["disc"],
            vat=tuple(
                TicketVat(rate["vat"], rate["vc"], rate["ttc"], rate["ht"], rate["tva"])
                for rate in fields["vat"]
            ),
            means={payment["m"]: payment["amt"] for payment in fields["pay"]},
            cash_expected_minor=cash.get("expected"),
            cash_counted_minor=cash.get("counted"),
            grand_total_minor=grand_total_minor,
            automatic=fields.get("auto", False),
            notices=notices,
        )


RegisterState = Literal["closed", "idle", "open", "unheard", "cut-off"]


@dataclass(frozen=True, slots=True)
class RegisterDay:
    """One register's part of a day, as far as it is known here.

    =============  ====================================================================================
    state          meaning
    =============  ====================================================================================
    ``closed``     its closing of the day is here, every entry before it, and no ticket of the day after it
    ``idle``       it recorded nothing that day: a later entry is here, and every entry before it
    ``open``       entries of the day are here; there may be more
    ``unheard``    nothing of that day is here, nor later: it is missing, it did not sell nothing
    ``cut-off``    it was revoked before it closed the day: nobody will. All that was let in of it is here
    =============  ====================================================================================

    ``last_heard_at_ms`` is when its newest entry of any day was made; None if none is here.
    """

    device: bytes
    name: str
    state: RegisterState
    closed_z: int | None
    closed_automatically: bool
    tickets: int
    refunds: int
    total_minor: int
    last_heard_at_ms: int | None


@dataclass(frozen=True, slots=True)
class DayFlag:
    """Something about an entry of the day that cannot be so. The entry is kept, and counted as it stands.

    ``device`` signed it; ``n`` is its number along the chain, ``number`` the ticket's if it has one.
    """

    device: bytes
    n: int
    link: bytes
    number: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class DayReport:
    """A business day of the whole shop, as far as it is known here; amounts in minor units."""

    business_day: str
    registers: tuple[RegisterDay, ...]
    tickets: int
    refunds: int
    total_minor: int
    refunds_minor: int
    discounts_minor: int
    abandoned: int
    abandoned_minor: int
    vat: tuple[TicketVat, ...]
    means: Mapping[str, int]
    flags: tuple[DayFlag, ...]

    @property
    def complete(self) -> bool:
        """Whether every register of the shop that can has closed the day and all of it is here. Of one that
        was cut off before, nobody can know what it had not sent.
        """
        return all(register.state in ("closed", "idle", "cut-off") for register in self.registers)
