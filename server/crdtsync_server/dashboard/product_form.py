"""A product as a form has it: what was written into it, checked field by field, each problem in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from crdtsync.errors import UsageError
from crdtsync.model.product import (
    CLASS_OF_RATE,
    COLOURS,
    OPTIONAL,
    Product,
    check_barcodes,
    check_field,
    check_price,
    check_sku,
    gtin_check_digit,
)
from crdtsync.model.product_columns import read_cell
from crdtsync.storage.view_queries import ProductRow
from crdtsync.web.guard import Form
from crdtsync_server.dashboard.shop import fields_of
from crdtsync_server.dashboard.words import N_, Words

TEXTS: Final = (
    "name",
    "producer",
    "appellation",
    "region",
    "country",
    "colour",
    "vintage",
    "volume_ml",
    "abv",
    "category",
    "unit",
    "barcodes",
)
"""Fields of the form beside SKU and price, by their names in the model."""

TITLES: Final[Mapping[str, str]] = {
    "sku": N_("Reference (SKU)"),
    "name": N_("Name"),
    "price": N_("Price, tax included"),
    "price_minor": N_("Price, tax included"),
    "vat_rate": N_("VAT"),
    "valid_from": N_("Valid from"),
    "unit": N_("Unit"),
    "barcodes": N_("Barcodes"),
    "producer": N_("Producer"),
    "appellation": N_("Appellation"),
    "region": N_("Region"),
    "country": N_("Country"),
    "colour": N_("Colour"),
    "vintage": N_("Vintage"),
    "volume_ml": N_("Size"),
    "abv": N_("Strength (% vol)"),
    "category": N_("Category"),
    "archived": N_("Archived"),
    "active": N_("On sale"),
}

COLOUR_NAMES: Final[Mapping[str, str]] = {
    "red": N_("Red"),
    "white": N_("White"),
    "rose": N_("Rosé"),
    "orange": N_("Orange"),
    "grey": N_("Grey"),
}
assert set(COLOUR_NAMES) == set(COLOURS)

RATES: Final = tuple(CLASS_OF_RATE)

PROBLEMS: Final[Mapping[str, str]] = {
    "sku": N_("1 to 40 letters, digits, dots, dashes or underscores, without accents or spaces."),
    "name": N_("1 to 120 characters on one line."),
    "price": N_("An amount like 18.50 or 18,50."),
    "vat_rate": N_("One of the rates in the list."),
    "valid_from": N_("A day from today on."),
    "unit": N_("1 to 8 characters, like pce or kg."),
    "barcodes": N_("8, 12, 13 or 14 digits each, one barcode a line."),
    "producer": N_("At most 120 characters on one line."),
    "appellation": N_("At most 120 characters on one line."),
    "region": N_("At most 80 characters on one line."),
    "country": N_("At most 80 characters on one line."),
    "colour": N_("One of the colours in the list."),
    "vintage": N_("A year up to the next one, or NV."),
    "volume_ml": N_("A size with its unit, like 75 cl or 1.5 l."),
    "abv": N_("A number from 0 to 100, like 13.5."),
    "category": N_("One or two levels with a / between, at most 80 characters."),
    "archived": N_("Yes or no."),
    "active": N_("Yes or no."),
}
_TAKEN: Final = N_("There is a product with this reference already.")
_CHECK_DIGIT: Final = N_("%(code)s cannot be a barcode: its last digit would be %(digit)s.")

ODDITIES: Final[Mapping[str, str]] = {
    "alcohol-vat": N_("Alcohol is taxed at 20 % in France; this product has another rate."),
    "unusual-size": N_("This is no usual size of a bottle."),
    "no-strength": N_("A wine without its strength in % vol."),
}


@dataclass(frozen=True, slots=True)
class ProductDraft:
    """What a form says. ``shown`` are its texts as they were written, ``problems`` sentences by field.

    ``changed`` is what differs from what the form showed when it was opened: what somebody else changed
    meanwhile is left as it is.
    """

    sku: str
    shown: Mapping[str, str]
    changed: Mapping[str, Any]
    price_minor: int | None
    vat_rate: int | None
    valid_from_ms: int | None
    problems: Mapping[str, str]


def blank_form() -> dict[str, str]:
    """The texts of a form for a new product."""
    return dict.fromkeys(("sku", "price", "valid_from", *TEXTS), "") | {"vat_rate": "2000", "unit": "pce"}


def form_of(row: ProductRow, words: Words) -> dict[str, str]:
    """The texts of the form of a product that is there."""
    fields = fields_of(row)
    shown = {name: "" if fields.get(name) is None else str(fields[name]) for name in TEXTS}
    shown["volume_ml"] = _size(fields.get("volume_ml"), words)
    shown["abv"] = "" if fields.get("abv") is None else words.hundredths(fields["abv"])
    shown["barcodes"] = "\n".join(fields.get("barcodes", ()))
    price = "" if row.price_minor is None else f"{row.price_minor // 100}.{row.price_minor % 100:02}"
    shown["price"] = price.replace(".", ",") if words.name == "fr" else price
    return shown | {"sku": row.sku, "vat_rate": str(row.vat_rate or 2000), "valid_from": ""}


def read_draft(
    form: Form, words: Words, *, is_new: bool, is_taken: bool = False, now_ms: int, offset_min: int
) -> ProductDraft:
    """Check a form. Never raises for what a person wrote."""
    shown = {
        name: form.texts.get(name, "")[:2000] for name in ("sku", "price", "vat_rate", "valid_from", *TEXTS)
    }
    problems: dict[str, str] = {}
    values: dict[str, Any] = {}
    year = datetime.fromtimestamp(now_ms / 1000, UTC).year

    def has_changed(name: str) -> bool:
        return is_new or _lines(shown[name]) != _lines(form.texts.get(f"was_{name}", ""))

    for name in TEXTS:
        if not has_changed(name):
            continue
        try:
            values[name] = _read(name, shown[name].strip(), year)
        except UsageError:
            problems[name] = _problem(name, shown[name], words)
    sku = shown["sku"].strip()
    if is_new:
        try:
            check_sku(sku)
        except UsageError:
            problems["sku"] = words.say(PROBLEMS["sku"])
        if is_taken:
            problems["sku"] = words.say(_TAKEN)
    is_priced = has_changed("price") or has_changed("vat_rate") or bool(shown["valid_from"].strip())
    price = rate = begin_ms = None
    if is_priced:
        price, rate, begin_ms = _price(shown, problems, words, now_ms, offset_min)
    return ProductDraft(sku, shown, values, price, rate, begin_ms, problems)


def product_of(draft: ProductDraft) -> Product:
    """The new product that a draft without problems describes."""
    assert draft.price_minor is not None
    assert draft.vat_rate is not None
    fields = {name: value for name, value in draft.changed.items() if value is not None}
    vat_class = check_price(draft.price_minor, draft.vat_rate)
    return Product(
        draft.sku,
        price_minor=draft.price_minor,
        vat_rate=draft.vat_rate,
        vat_class=vat_class,
        **fields,
    )


def _read(name: str, text: str, year: int) -> Any:
    if name == "barcodes":
        return check_barcodes(text.split())
    if not text:
        return None if name in OPTIONAL else check_field(name, text)
    value = text if name == "colour" else read_cell(name, text)
    return check_field(name, value, year=year)


def _problem(name: str, text: str, words: Words) -> str:
    if name == "barcodes":
        for code in text.split():
            if code.isascii() and code.isdecimal() and len(code) in (8, 12, 13, 14):
                digit = gtin_check_digit(code[:-1])
                if digit != code[-1]:
                    return words.say(_CHECK_DIGIT, code=code, digit=digit)
    return words.say(PROBLEMS[name])


def _price(
    shown: Mapping[str, str], problems: dict[str, str], words: Words, now_ms: int, offset_min: int
) -> tuple[int | None, int | None, int | None]:
    price = rate = begin_ms = None
    try:
        price = read_cell("price", shown["price"].strip())
        check_price(price, 0)
    except UsageError:
        problems["price"] = words.say(PROBLEMS["price"])
    if shown["vat_rate"] in map(str, RATES):
        rate = int(shown["vat_rate"])
    else:
        problems["vat_rate"] = words.say(PROBLEMS["vat_rate"])
    text = shown["valid_from"].strip()
    if text:
        try:
            begin_ms = _begin_ms(date.fromisoformat(text), offset_min)
        except ValueError:
            begin_ms = -1
        today = (datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(minutes=offset_min)).date()
        if begin_ms < _begin_ms(today, offset_min):
            problems["valid_from"] = words.say(PROBLEMS["valid_from"])
        elif begin_ms <= now_ms:
            begin_ms = None
    return price, rate, begin_ms


def _begin_ms(day: date, offset_min: int) -> int:
    midnight = datetime.combine(day, time(), UTC) - timedelta(minutes=offset_min)
    return int(midnight.timestamp() * 1000)


def _lines(text: str) -> str:
    """Browsers write line ends as they like."""
    return text.replace("\r\n", "\n").strip()


def _size(volume_ml: int | None, words: Words) -> str:
    if volume_ml is None:
        return ""
    return f"{words.hundredths(volume_ml * 10)} cl"
