"""One product as the catalogue's document has it, read from its keys; and the rows that views show of it.

Whatever stands under a key, reading never fails: what breaks a rule is left out and told as a problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from crdtsync.errors import UsageError
from crdtsync.model.price import Price, PriceChange, PriceHistory, read_change
from crdtsync.model.product import (
    DEFAULT_UNIT,
    OPTIONAL,
    RULES,
    Product,
    check_barcode,
    check_field,
)
from crdtsync.model.values import decode_value
from crdtsync.model.views import Row, Value

BARCODE: Final = "barcode/"
PRICE: Final = "price/"

REPEATED_CHARACTERS_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class Listing:
    """One product as the document has it: ``product`` without a price, which depends on the time."""

    product: Product
    prices: PriceHistory
    problems: tuple[str, ...]

    def at(self, at_ms: int) -> Product:
        """The product with its price and VAT at that moment (without a price: the earliest VAT)."""
        price = self.prices.at(at_ms) or next(self.prices.timeline(), None)
        if price is None:
            return self.product
        change = price.change
        amount = change.amount_minor if change.valid_from_ms <= at_ms else None
        return replace(self.product, price_minor=amount, vat_rate=change.vat_rate, vat_class=change.vat_class)


def read_listing(sku: str, keys: Mapping[str, Any]) -> Listing:
    """Read the keys of one product, without ``<sku>/`` before them. Never raises."""
    problems: list[str] = []
    fields: dict[str, Any] = {}
    barcodes: list[str] = []
    changes: list[PriceChange] = []
    for name in sorted(keys):
        try:
            if name.startswith(PRICE):
                changes.append(read_change(sku, name[len(PRICE) :], keys[name]))
            elif name.startswith(BARCODE):
                if decode_value(keys[name]) is True:
                    barcodes.append(check_barcode(name[len(BARCODE) :]))
            elif (value := _read_field(name, keys[name], problems, sku)) is not None:
                fields[name] = value
        except UsageError as error:
            problems.append(f"{sku}: {error}")
    if "name" not in fields:
        problems.append(f"{sku}: it has no name")
    product = Product(
        **{"name": sku, "unit": DEFAULT_UNIT, **fields, "sku": sku, "barcodes": tuple(barcodes)}
    )
    return Listing(product, PriceHistory(changes), tuple(problems))


def listing_rows(listing: Listing) -> list[Row]:
    """The rows of one product for the views ``product`` and ``price``: what it is (``body`` is JSON with
    every field that is set), and its whole timeline of prices, so that rows stay right as time goes by.
    """
    product = listing.product
    body = {name: value for name in RULES if (value := getattr(product, name)) is not None}
    facts: dict[str, Value] = {
        "name": product.name,
        "archived": product.archived,
        "body": orjson.dumps({**body, "barcodes": product.barcodes}).decode(),
    }
    return [("product", facts), *(("price", price_row(price)) for price in listing.prices.timeline())]


def price_row(price: Price) -> Mapping[str, Value]:
    """A price as the view of prices has it."""
    return {
        "from_ms": price.from_ms,
        "amount": price.change.amount_minor,
        "vat_rate": price.change.vat_rate,
        "vat_class": price.change.vat_class,
        "change_id": price.change.id,
        "conflict": price.is_disputed,
    }


def _read_field(name: str, plain: Any, problems: list[str], sku: str) -> Any:
    """The value of a field; None where it is absent, cleared or not readable, which is noted."""
    if name not in RULES:
        # A newer version may have written it: it is kept and passed on, and is no problem.
        return None
    if plain is None and name in OPTIONAL:
        return None
    try:
        return read_value(name, plain)
    except UsageError as error:
        problems.append(f"{sku}: {error}")
        return None


def read_value(name: str, plain: Any) -> Any:
    """The value of a field that has one. Raises ``UsageError``."""
    kind = type(plain)
    if kind is float or (kind is str and len(plain) <= REPEATED_CHARACTERS_MAX):
        return read_again(name, plain)
    return check_field(name, decode_value(plain, field=name))


@lru_cache(maxsize=4096)
def read_again(name: str, plain: str | float) -> Any:
    """As above, once for the regions, colours, years and sizes that thousands of products share. What is
    equal is read alike: texts, and numbers as the engine spells them.
    """
    return check_field(name, decode_value(plain, field=name))
