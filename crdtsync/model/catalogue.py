"""The catalogue: one Yjs map with flat keys, each value one canonical JSON text.

``<sku>/<field>`` holds a field of a product; ``<sku>/price/<change id>`` one change of its price, for ever.
Flat keys, because two devices that make one nested map at once lose one side's whole map; JSON texts,
because Yjs values do not keep integers. A price is a set of changes, because the engine lets the higher
client id win a concurrent write, and that must not decide about money.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from crdtsync.errors import InvalidProduct, MalformedRecord
from crdtsync.model import canonical

ROOT: Final = "products"
SKU: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
TEXT_FIELDS: Final = ("name", "unit", "vat_class", "producer", "appellation", "category", "barcode")
VAT_CLASSES: Final = {2000: "N", 1000: "R2", 550: "R1", 210: "S", 0: "Z"}
AMOUNT_MINOR_MAX: Final = 10**9


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One change: the amount (cents, tax included) and the VAT rate (1/100 %) from ``valid_from_ms`` on.

    ``replaces`` are the changes that its author saw and meant to replace: a clock that is years ahead does
    not win for ever.
    """

    amount_minor: int
    vat_rate: int
    valid_from_ms: int
    by: str
    at_ms: int
    replaces: tuple[str, ...] = ()

    def to_text(self) -> str:
        """As it stands in the map."""
        return canonical.encode(
            {
                "amount": self.amount_minor,
                "vat": self.vat_rate,
                "from": self.valid_from_ms,
                "by": self.by,
                "at": self.at_ms,
                "replaces": sorted(self.replaces),
            }
        ).decode()

    @property
    def id(self) -> str:
        """Its name, the hash of its content: nobody can make two that replace each other."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Price:
    """The price from ``from_ms`` on. ``disputed``: several changes are valid that did not see one another."""

    from_ms: int
    change: PriceChange
    disputed: bool


@dataclass(frozen=True, slots=True)
class Product:
    """A product as the map holds it; ``prices`` is its timeline, oldest first."""

    sku: str
    fields: Mapping[str, Any]
    changes: Mapping[str, PriceChange]
    archived: bool

    @property
    def prices(self) -> list[Price]:
        """The price from each moment on at which one becomes valid."""
        return [self._at(moment) for moment in sorted({c.valid_from_ms for c in self.changes.values()})]

    def heads(self, at_ms: int) -> list[PriceChange]:
        """The changes valid by then that no other valid change replaces; the one that is used first."""
        valid = {key: c for key, c in self.changes.items() if c.valid_from_ms <= at_ms}
        replaced = {key for change in valid.values() for key in change.replaces}
        heads = [(c.at_ms, c.by, key) for key, c in valid.items() if key not in replaced]
        return [valid[key] for _, _, key in sorted(heads, reverse=True)]

    def price_at(self, at_ms: int) -> PriceChange | None:
        """The change whose price holds at that time; None before the first."""
        heads = self.heads(at_ms)
        return heads[0] if heads else None

    def replaced_from(self, valid_from_ms: int) -> tuple[str, ...]:
        """What a new change replaces that is valid from then on: all that would hold beside it, then or
        later. What these replace themselves need not be named again.
        """
        moments = {valid_from_ms} | {
            change.valid_from_ms for change in self.changes.values() if change.valid_from_ms > valid_from_ms
        }
        return tuple(sorted({change.id for moment in moments for change in self.heads(moment)}))

    def _at(self, moment_ms: int) -> Price:
        heads = self.heads(moment_ms)
        return Price(moment_ms, heads[0], len(heads) > 1)


def check_sku(sku: str) -> str:
    """Raises ``InvalidProduct``."""
    if not SKU.fullmatch(sku):
        raise InvalidProduct(f"the SKU {sku!r} is not 1 to 40 letters, digits, '.', '_' or '-'")
    return sku


def check_fields(fields: Mapping[str, Any]) -> dict[str, str]:
    """Map texts of the given fields. Raises ``InvalidProduct`` naming field, value and rule."""
    texts = {}
    for name, value in fields.items():
        if name not in TEXT_FIELDS:
            raise InvalidProduct(f"a product has no field {name!r}: {', '.join(TEXT_FIELDS)}")
        if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
            raise InvalidProduct(f"{name} {value!r} is not 1 to 200 characters of plain text")
        if name == "barcode" and not is_gtin(value):
            raise InvalidProduct(f"barcode {value!r} is no EAN: its check digit does not fit")
        try:
            texts[name] = canonical.encode({"v": value}).decode()
        except MalformedRecord as error:
            raise InvalidProduct(f"{name} {value!r} cannot be kept: {error}") from error
    return texts


def check_price(amount_minor: int, vat_rate: int) -> None:
    """Raises ``InvalidProduct`` for a price or a rate that cannot be."""
    if not 0 <= amount_minor <= AMOUNT_MINOR_MAX:
        raise InvalidProduct(f"a price of {amount_minor} cents is not between 0 and {AMOUNT_MINOR_MAX}")
    if vat_rate not in VAT_CLASSES:
        known = ", ".join(f"{rate / 100:g}" for rate in VAT_CLASSES)
        raise InvalidProduct(f"{vat_rate / 100:g} % is no VAT rate here: {known}")


def is_gtin(code: str) -> bool:
    """Whether a code is a GTIN-8, -12, -13 or -14 with the right check digit."""
    if not re.fullmatch(r"\d{8}|\d{12,14}", code):
        return False
    digits = [int(digit) for digit in reversed(code)]
    return sum(digit * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0


def read_products(content: Iterable[tuple[str, Any]]) -> dict[str, Product]:
    """All products by SKU, from the keys and values of the map. What cannot be read is left out: one bad
    value never hides the others.
    """
    fields: dict[str, dict[str, Any]] = {}
    changes: dict[str, dict[str, PriceChange]] = {}
    for key, text in content:
        sku, _, name = key.partition("/")
        if not SKU.fullmatch(sku) or not name or not isinstance(text, str):
            continue
        try:
            value = canonical.decode(text.encode())
            if name.startswith("price/"):
                change = _read_change(value)
                if change.id == name[6:]:
                    changes.setdefault(sku, {})[change.id] = change
            else:
                fields.setdefault(sku, {})[name] = value["v"]
        except (MalformedRecord, KeyError, TypeError, UnicodeEncodeError):
            continue
    return {
        sku: Product(sku, fields[sku], changes.get(sku, {}), fields[sku].get("archived") is True)
        for sku in fields
        if isinstance(fields[sku].get("name"), str)
    }


def _read_change(value: dict[str, Any]) -> PriceChange:
    numbers = [value["amount"], value["vat"], value["from"], value["at"]]
    if any(type(number) is not int for number in numbers) or type(value["by"]) is not str:
        raise TypeError("a price change is made of whole numbers and a name")
    check_ok = 0 <= value["amount"] <= AMOUNT_MINOR_MAX and value["vat"] in VAT_CLASSES
    if not check_ok or not all(type(key) is str for key in value["replaces"]):
        raise TypeError("a price change out of range")
    return PriceChange(
        value["amount"], value["vat"], value["from"], value["by"], value["at"], tuple(value["replaces"])
    )
