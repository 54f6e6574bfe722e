"""Who sells: what French law wants on a ticket and on an invoice.

It is said by a technical event (``jet``, code 240: company data changed), in the chain of the back office, or
of a register that belongs to none. So it is signed, it reaches every register like any entry, and a ticket
that is printed again shows what was so when it was sold.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from crdtsync.errors import InvalidName
from crdtsync.model.jet import COMPANY_CHANGED, build_jet

TEXT_MAX: Final = 300
"""Characters of one field."""

SIRET_DIGITS: Final = 14
NAF_CODE: Final = re.compile(r"[0-9]{4}[A-Z]")
VAT_NUMBER: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{2,12}")


@dataclass(frozen=True, slots=True)
class Company:
    """The company. ``form``: legal form and capital; ``address`` has lines; ``naf``: its code of activity;
    ``rcs``: the register it stands in. What is not known is empty.
    """

    name: str = ""
    form: str = ""
    address: str = ""
    siret: str = ""
    naf: str = ""
    rcs: str = ""
    vat_number: str = ""

    @property
    def is_known(self) -> bool:
        """Whether anything was said."""
        return self != Company()


def build_company(company: Company) -> dict[str, Any]:
    """The payload of the event that says who sells from now on. Raises ``InvalidName`` for texts that are too
    long or hold what is no text, and for numbers that cannot be.
    """
    _check_numbers(company)
    told = {one.name: unicodedata.normalize("NFC", getattr(company, one.name)) for one in fields(Company)}
    for name, text in told.items():
        if len(text) > TEXT_MAX or not _is_plain(name, text):
            raise InvalidName(f"the {name} of a company is up to {TEXT_MAX} characters of plain text")
    return build_jet(COMPANY_CHANGED, {"company": {name: text for name, text in told.items() if text}})


def read_company(body: Mapping[str, Any]) -> Company | None:
    """Who sells, as an entry of anybody says it; None of one that says nothing of it."""
    data = body.get("data")
    told = data.get("company") if isinstance(data, dict) else None
    if body.get("code") != COMPANY_CHANGED or not isinstance(told, dict):
        return None
    texts = {one.name: told[one.name] for one in fields(Company) if isinstance(told.get(one.name), str)}
    return Company(**{name: text[:TEXT_MAX] for name, text in texts.items() if _is_plain(name, text)})


def has_check_digit(text: str, digits: int) -> bool:
    """Whether a SIREN or SIRET can be one: by Luhn's sum."""
    if not (text.isascii() and text.isdecimal() and len(text) == digits):
        return False
    doubled = [int(one) * (1 + place % 2) for place, one in enumerate(reversed(text))]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def _check_numbers(company: Company) -> None:
    """Raises ``InvalidName``."""
    if company.siret and not has_check_digit(company.siret, SIRET_DIGITS):
        raise InvalidName(f"{company.siret!r} is no SIRET: 14 digits, the last of which checks the others")
    if company.naf and not NAF_CODE.fullmatch(company.naf):
        raise InvalidName(f"{company.naf!r} is no code of activity: four digits and a letter")
    if company.vat_number and not VAT_NUMBER.fullmatch(company.vat_number):
        raise InvalidName(f"{company.vat_number!r} is no VAT number: two letters and 2 to 12 characters")


def _is_plain(name: str, text: str) -> bool:
    """Whether a field holds printable characters alone; an address has lines."""
    lines = text.split("\n") if name == "address" else [text]
    return all(line.isprintable() for line in lines)
