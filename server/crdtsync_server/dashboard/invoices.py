"""Invoices that were made of tickets, and who sells: what French law wants on them.

An invoice refers to its ticket and is counted nowhere a second time: the money is the ticket's. Its numbers
follow one another without a gap in a series of the shop's own. Names and addresses of customers are kept here
alone, never in an entry: entries can never be erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import orjson

from crdtsync.model.company import Company
from crdtsync.storage.database import Database

NEEDED: Final = ("name", "address", "siret")
"""Of who sells, on an invoice; the others as they apply."""


def is_enough(company: Company) -> bool:
    """Whether an invoice can be made."""
    return all(getattr(company, name) for name in NEEDED)


@dataclass(frozen=True, slots=True)
class Buyer:
    """The customer. ``siren`` and ``vat_number`` of a company."""

    name: str
    address: str
    siren: str = ""
    vat_number: str = ""

    @property
    def is_company(self) -> bool:
        """Whether the rules between companies apply."""
        return bool(self.siren or self.vat_number)


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as it was made; nothing of it changes afterwards."""

    number: str
    ticket: str
    link: bytes
    issued_ms: int
    seller: Company
    buyer: Buyer


class Invoices:
    """The invoices of all shops of one relay, in ``office.sqlite``. For one thread."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def seller(self, shop: bytes) -> Company:
        """Who sells, as far as somebody said. Raises ``StorageError``."""
        row = self._db.row("SELECT facts FROM company WHERE shop = ?", (shop,))
        return Company() if row is None else Company(**_known(Company, orjson.loads(row[0])))

    def set_seller(self, shop: bytes, seller: Company) -> None:
        """Durable on return. Raises ``StorageError``."""
        with self._db.whole_transaction():
            told = orjson.dumps(asdict(seller)).decode()
            self._db.write("INSERT OR REPLACE INTO company VALUES (?, ?)", (shop, told))

    def of_ticket(self, shop: bytes, link: bytes) -> Invoice | None:
        """The invoice of the ticket with that link, if one was made. Raises ``StorageError``."""
        return self._read("link = ?", (shop, link))

    def numbered(self, shop: bytes, number: str) -> Invoice | None:
        """The invoice with that number. Raises ``StorageError``."""
        return self._read("number = ?", (shop, number))

    def newest(self, shop: bytes, series: str) -> int:
        """The last number that was given in a series, 0 before the first. Raises ``StorageError``."""
        row = self._db.row("SELECT max(no) FROM invoice WHERE shop = ? AND series = ?", (shop, series))
        return (row[0] if row else None) or 0

    def make(
        self,
        shop: bytes,
        ticket: str,
        link: bytes,
        buyer: Buyer,
        *,
        series: str,
        issued_ms: int,
        given: int = 0,
    ) -> Invoice:
        """The invoice of a ticket, numbered in ``series``; durable on return. Of a ticket that has one, that
        one: a ticket is billed once. ``given``: the last number of the series that is known elsewhere to have
        been given; it is not given again if this file was lost. Raises ``StorageError``.
        """
        with self._db.whole_transaction():
            known = self.of_ticket(shop, link)
            if known is not None:
                return known
            no = max(self.newest(shop, series), given) + 1
            number = f"{series}-{no:06d}"
            facts = {"seller": asdict(self.seller(shop)), "buyer": asdict(buyer)}
            self._db.write(
                "INSERT INTO invoice VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (shop, series, no, number, ticket, link, issued_ms, orjson.dumps(facts).decode()),
            )
        made = self.numbered(shop, number)
        assert made is not None
        return made

    def _read(self, condition: str, values: tuple[Any, ...]) -> Invoice | None:
        row = self._db.row(
            f"SELECT number, ticket, link, issued_ms, facts FROM invoice WHERE shop = ? AND {condition}",  # noqa: S608
            values,
        )
        if row is None:
            return None
        facts = orjson.loads(row[4])
        seller = Company(**_known(Company, facts["seller"]))
        return Invoice(row[0], row[1], row[2], row[3], seller, Buyer(**_known(Buyer, facts["buyer"])))


def _known(kind: Any, facts: Mapping[str, str]) -> dict[str, str]:
    """What this version knows of what an earlier or later one wrote."""
    return {one.name: facts[one.name] for one in fields(kind) if one.name in facts}
