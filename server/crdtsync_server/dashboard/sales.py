"""What somebody types to find a sale, read as what it can be: a ticket number, an amount, a product."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import UsageError
from crdtsync.model.entry import is_day
from crdtsync.model.money import parse_amount
from crdtsync.storage.view_place import Place
from crdtsync.storage.view_queries import ViewQueries
from crdtsync.storage.view_sales import Wanted
from crdtsync_server.dashboard.shop import OfficeShop

TEXT_MAX: Final = 80
PRODUCTS_MAX: Final = 200
"""Of what was typed as many products are looked for: a word that more have says little."""

_AMOUNT: Final = re.compile(r"[-−]?\s*\d{1,9}[.,]\d{2}\s*€?|[-−]?\s*\d{1,9}\s*€|€\s*[-−]?\d{1,9}([.,]\d{2})?")
_COUNTER: Final = re.compile(r"[0-9]{1,7}")
_NUMBER: Final = re.compile(r"(X-)?[A-Z0-9]{1,12}-[0-9]{2}-[0-9]{6,}")


@dataclass(frozen=True, slots=True)
class Asked:
    """The form of the search, as it was sent. ``is_understood``: no field of it was passed over."""

    text: str
    device: bytes | None
    first_day: str | None
    last_day: str | None
    is_understood: bool

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Asked:
        """From the address of the page. Never raises."""
        device, is_understood = None, True
        if said := query.get("register", ""):
            try:
                device = bytes.fromhex(said)
            except ValueError:
                is_understood = False
        days = [query.get(name, "").strip() for name in ("from", "to")]
        first, last = (day if is_day(day) else None for day in days)
        is_understood &= all(is_day(day) for day in days if day)
        return cls(" ".join(query.get("q", "").split())[:TEXT_MAX], device, first, last, is_understood)

    @property
    def query(self) -> dict[str, str]:
        """As it stands in an address."""
        device = self.device.hex() if self.device is not None else ""
        named = {"q": self.text, "register": device, "from": self.first_day, "to": self.last_day}
        return {name: value for name, value in named.items() if value}


def read_place(text: str) -> Place | None:
    """``2026-11-24.815`` as a place in the list; None for what is none."""
    day, _, seq = text.partition(".")
    if not (is_day(day) and seq.isascii() and seq.isdecimal() and len(seq) <= 18):
        return None
    return Place(day, int(seq))


def wanted_of(shop: OfficeShop, queries: ViewQueries, asked: Asked) -> Wanted:
    """What is looked for. A text is tried as a ticket's number, then as an amount, then as the words of
    products; a product that is not in the catalogue any more is found by its whole reference.
    """
    days = {"device": asked.device, "first_day": asked.first_day, "last_day": asked.last_day}
    text = asked.text
    if not text:
        return Wanted(**days)  # type: ignore[arg-type]
    if _NUMBER.fullmatch(text.upper()):
        return Wanted(numbers=(text.upper(),), **days)  # type: ignore[arg-type]
    if _COUNTER.fullmatch(text):
        return Wanted(numbers=_numbers(queries, int(text)), **days)  # type: ignore[arg-type]
    if _AMOUNT.fullmatch(text):
        try:
            amount = parse_amount(text.replace("€", "").replace("−", "-").replace(" ", ""))
            return Wanted(amount_minor=amount, **days)  # type: ignore[arg-type]
        except UsageError:
            pass  # Looked for as a product, then.
    skus = shop.index.find(text, rows_max=PRODUCTS_MAX).skus
    skus += shop.index.find(text, archived=True, rows_max=PRODUCTS_MAX - len(skus)).skus
    return Wanted(skus=tuple({*skus, text}), **days)  # type: ignore[arg-type]


def _numbers(queries: ViewQueries, counter: int) -> tuple[str, ...]:
    """The ticket numbers with that counter, of every series and every year in which it was used."""
    numbers = []
    for chain in queries.chains():
        if chain.series is None:
            continue
        first = chain.since or chain.day
        for year in range(int(first[:4]), int(chain.day[:4]) + 1):
            numbers.append(f"{chain.series}-{year % 100:02d}-{counter:06d}")
    return tuple(dict.fromkeys(numbers))
