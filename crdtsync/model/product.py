"""A product: its fields, what each may be, and what is odd enough to say so.

Fields are checked before anything is changed, and again when they are read: the catalogue has many writers.
A field that breaks its rule is refused on writing and left out on reading, so that one bad value never
hides a product.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from crdtsync.errors import InvalidProduct
from crdtsync.model.form import VAT_CLASSES
from crdtsync.model.money import RATE_MAX, format_amount, shown, shown_number

SKU: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
PRICE_MINOR_MAX: Final = 10**9
BARCODES_MAX: Final = 32
OUTSIDE_VAT: Final = "O"
COLOURS: Final = ("red", "white", "rose", "orange", "grey")
NO_VINTAGE: Final = "NV"
VINTAGE_MIN: Final = 1800
DEFAULT_UNIT: Final = "pce"

CLASS_OF_RATE: Final[Mapping[int, str]] = {2000: "N", 1000: "R2", 550: "R1", 210: "S", 0: "Z"}
"""The class of each rate (1/100 %) in mainland France. Any other rate needs its class to be said."""

_VOLUMES = "20 30 40 50 60 100 125 187 200 250 330 350 375 440 500 620 700 750 1000 1500 1750 2000 2250 3000"
_LARGE_VOLUMES = "4500 5000 6000 9000 10000 12000 15000 18000 20000 30000"
STANDARD_VOLUMES_ML: Final = frozenset(map(int, f"{_VOLUMES} {_LARGE_VOLUMES}".split()))

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_GTIN: Final = re.compile(r"[0-9]{8}|[0-9]{12,14}")
_ALCOHOL_ABV: Final = 120
"""1.2 % vol: what is stronger is taxed at the normal rate. (Beer from 0.5, which a category cannot tell.)"""


@dataclass(frozen=True, slots=True)
class Product:
    """One article as it is sold: a wine is one product per vintage and size.

    ``price_minor`` is in cents, tax included, and None where no price is valid yet; ``vat_rate`` is in
    1/100 %, ``abv`` in 1/100 % vol, ``category`` has at most two levels (``Wine/Red``).
    """

    sku: str
    name: str
    price_minor: int | None = None
    vat_rate: int = 2000
    vat_class: str = "N"
    unit: str = DEFAULT_UNIT
    barcodes: tuple[str, ...] = ()
    producer: str | None = None
    appellation: str | None = None
    region: str | None = None
    country: str | None = None
    colour: str | None = None
    vintage: int | str | None = None
    volume_ml: int | None = None
    abv: int | None = None
    category: str | None = None
    archived: bool = False


def _text(characters_max: int) -> Callable[[Any], str | None]:
    rule = f"1 to {characters_max} characters of plain text"
    return lambda value: None if _plain(value, characters_max) else rule


def _plain(value: Any, characters_max: int) -> bool:
    return (
        type(value) is str
        and 0 < len(value) <= characters_max
        and value == value.strip()
        and not _CONTROL.search(value)
        and unicodedata.is_normalized("NFC", value)
    )


def _integer(least: int, most: int) -> Callable[[Any], str | None]:
    rule = f"a whole number from {least} to {most}"
    return lambda value: None if type(value) is int and least <= value <= most else rule


def _colour(value: Any) -> str | None:
    return None if type(value) is str and value in COLOURS else f"one of {', '.join(COLOURS)}"


def _vintage(value: Any) -> str | None:
    if value == NO_VINTAGE or (type(value) is int and VINTAGE_MIN <= value <= 9999):
        return None
    return f"a year from {VINTAGE_MIN} to the next one, or {NO_VINTAGE}"


def _category(value: Any) -> str | None:
    if _plain(value, 80) and len(levels := value.split("/")) <= 2 and all(level.strip() for level in levels):
        return None
    return "one or two levels of text with a / between, at most 80 characters"


def _flag(value: Any) -> str | None:
    return None if type(value) is bool else "true or false"


RULES: Final[Mapping[str, Callable[[Any], str | None]]] = {
    "name": _text(120),
    "unit": _text(8),
    "producer": _text(120),
    "appellation": _text(120),
    "region": _text(80),
    "country": _text(80),
    "colour": _colour,
    "vintage": _vintage,
    "volume_ml": _integer(1, 1_000_000),
    "abv": _integer(0, 10_000),
    "category": _category,
    "archived": _flag,
}
"""The descriptive fields, each its own key in the catalogue. A rule returns what it asks for, or None."""

OPTIONAL: Final = frozenset(RULES) - {"name", "unit", "archived"}
"""Fields that may be cleared with None."""


def check_sku(sku: Any) -> str:
    """The SKU, if it is one. Raises ``InvalidProduct``."""
    if type(sku) is not str or not SKU.fullmatch(sku):
        raise InvalidProduct(f"sku {shown(sku)}: 1 to 40 letters, digits, '.', '_' or '-' are expected")
    return sku


def check_field(name: str, value: Any, *, year: int | None = None) -> Any:
    """The value in its form (text in NFC, trimmed), or ``InvalidProduct`` naming field, value and rule.

    With ``year`` a vintage after the next one is refused.
    """
    if name not in RULES:
        raise InvalidProduct(f"a product has no field {name!r}: it has {', '.join(RULES)}")
    if value is None and name in OPTIONAL:
        return None
    if type(value) is str:
        value = value.strip()
        if not value.isascii():
            value = unicodedata.normalize("NFC", value)
    rule = RULES[name](value)
    if rule is None and name == "vintage" and year is not None and type(value) is int and value > year + 1:
        rule = f"a year from {VINTAGE_MIN} to {year + 1}, or {NO_VINTAGE}"
    if rule is not None:
        raise InvalidProduct(f"{name} {shown(value)}: {rule} is expected")
    return value


def check_barcode(code: Any) -> str:
    """A GTIN-8, -12 (UPC), -13 (EAN) or -14 whose check digit fits. Raises ``InvalidProduct``."""
    if type(code) is not str or not _GTIN.fullmatch(code):
        raise InvalidProduct(f"barcode {shown(code)}: 8, 12, 13 or 14 digits are expected")
    expected = gtin_check_digit(code[:-1])
    if code[-1] != expected:
        raise InvalidProduct(f"barcode {code!r}: its check digit would be {expected}")
    return code


def check_barcodes(codes: Iterable[str]) -> tuple[str, ...]:
    """The barcodes of one product, each once and in order. Raises ``InvalidProduct``."""
    checked = tuple(sorted({check_barcode(code) for code in codes}))
    if len(checked) > BARCODES_MAX:
        raise InvalidProduct(f"barcodes: {len(checked)} are given, {BARCODES_MAX} are allowed")
    return checked


def gtin_check_digit(digits: str) -> str:
    """The last digit of a GTIN, from the others (weights 3, 1, 3, … from the right)."""
    letters = digits.encode("ascii")
    total = 3 * sum(letters[::-2]) + sum(letters[-2::-2]) - ord("0") * (len(letters) + 2 * len(letters[::2]))
    return str(-total % 10)


def check_price(amount_minor: Any, vat_rate: Any, vat_class: Any = None) -> str:
    """The VAT class of a price, if amount, rate and class go together. Raises ``InvalidProduct``."""
    if type(amount_minor) is not int or not 0 <= amount_minor <= PRICE_MINOR_MAX:
        most = format_amount(PRICE_MINOR_MAX)
        raise InvalidProduct(f"price {shown_number(amount_minor, 2)}: 0 to {most} is expected")
    if type(vat_rate) is not int or not 0 <= vat_rate <= RATE_MAX:
        raise InvalidProduct(f"vat_rate {shown(vat_rate)}: 0 to {RATE_MAX} (1/100 %) is expected")
    found = CLASS_OF_RATE.get(vat_rate) if vat_class is None else vat_class
    if found is None:
        known = ", ".join(f"{rate / 100:g}" for rate in CLASS_OF_RATE)
        raise InvalidProduct(f"vat_rate {vat_rate / 100:g} %: {known} % is expected, or a VAT class with it")
    if found not in VAT_CLASSES or (found == OUTSIDE_VAT and vat_rate):
        raise InvalidProduct(
            f"vat_class {shown(vat_class)}: one of {', '.join(VAT_CLASSES)}, {OUTSIDE_VAT} at 0 %"
        )
    return str(found)


def check_product(product: Product, *, year: int | None = None) -> Product:
    """The product with every field in its form. Raises ``InvalidProduct`` for the first that has none."""
    checked = {name: check_field(name, getattr(product, name), year=year) for name in RULES}
    return replace(
        product,
        sku=check_sku(product.sku),
        barcodes=check_barcodes(product.barcodes),
        vat_class=check_price(product.price_minor, product.vat_rate, product.vat_class),
        **checked,
    )


Oddity = Literal["alcohol-vat", "unusual-size", "no-strength"]


def oddities(product: Product) -> list[Oddity]:
    """What is allowed but probably a mistake."""
    found: list[Oddity] = []
    if product.abv is not None and product.abv > _ALCOHOL_ABV and product.vat_rate != 2000:
        found.append("alcohol-vat")
    if product.volume_ml is not None and product.volume_ml not in STANDARD_VOLUMES_ML:
        found.append("unusual-size")
    if product.colour is not None and product.abv is None:
        found.append("no-strength")
    return found


def warnings_about(product: Product) -> list[str]:
    """What is allowed but probably a mistake, one sentence each."""
    says: dict[Oddity, str] = {
        "alcohol-vat": f"{(product.abv or 0) / 100:g} % vol at {product.vat_rate / 100:g} % VAT:"
        " alcohol is taxed at 20 %",
        "unusual-size": f"{product.volume_ml} ml is no usual size",
        "no-strength": "a wine without its strength in % vol",
    }
    return [says[oddity] for oddity in oddities(product)]


def year_of(at_ms: int) -> int:
    """The year of a moment, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).year


FIELD_NAMES: Final = tuple(field.name for field in fields(Product))
