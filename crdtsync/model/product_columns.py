"""Columns of product files: what they are called, in English and French, and how their cells are read.

Every reader takes a cell's text, trimmed and not empty, and returns the field's value; it raises
``UsageError`` with a sentence about the value. Nothing is guessed where two readings are possible.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from crdtsync.errors import InvalidAmount, InvalidProduct
from crdtsync.model import money
from crdtsync.model.product import NO_VINTAGE, STANDARD_VOLUMES_ML, check_barcode

_TITLES: Final[Mapping[str, str]] = {
    "sku": "sku|code|reference|ref|code article|code produit|article",
    "name": "name|nom|designation|libelle|produit|product",
    "price": "price|prix|prix ttc|prix de vente|prix de vente ttc|pv ttc|tarif cave ttc|tarif ttc",
    "vat_rate": "vat|tva|vat rate|taux tva|taux de tva|tva %",
    "unit": "unit|unite",
    "barcodes": "barcode|barcodes|ean|ean13|gencod|gtin|code barre|code barres|codes barres",
    "producer": "producer|producteur|domaine",
    "appellation": "appellation|aoc|aop|aoc/aop",
    "region": "region",
    "country": "country|pays",
    "colour": "colour|color|couleur",
    "vintage": "vintage|millesime|annee|year",
    "volume_ml": "volume|contenance|format|size|volume ml|volume cl|volume l",
    "abv": "abv|alcohol|alcool|degre|degre alcool|tav|% vol",
    "category": "category|categorie|famille",
    "subcategory": "subcategory|sous categorie|sous famille",
    "active": "active|actif|en vente",
}
FIELD_OF_TITLE: Final = {title: field for field, titles in _TITLES.items() for title in titles.split("|")}
"""The field of a column, by its plain title."""

_COLOURS: Final = {
    name: colour
    for colour, names in {
        "red": "red rouge",
        "white": "white blanc",
        "rose": "rose pink",
        "orange": "orange",
        "grey": "grey gray gris",
    }.items()
    for name in names.split()
}
_NO_VINTAGES: Final = frozenset(("nv", "sa", "s.a.", "non millesime", "sans annee", "-"))
_YES: Final = frozenset(("yes", "oui", "o", "y", "true", "vrai", "1", "x"))
_NO: Final = frozenset(("no", "non", "n", "false", "faux", "0"))

_VOLUME: Final = re.compile(r"(\d{1,6}(?:[.,]\d{1,3})?)\s*(ml|cl|dl|l|litres?|liters?)?")
_ML_OF: Final = {"ml": 1, "cl": 10, "dl": 100, "l": 1000}
_MARKS: Final = re.compile("[.,]")


def plain(text: str) -> str:
    """A title or a word without accents, case and doubled spaces: ``Sous-Famille`` is ``sous famille``."""
    letters = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).replace("-", " ").split())


def field_of(title: str) -> tuple[str, str] | None:
    """The field of a column and the unit that its title names, if any: ``Volume (cl)``."""
    words = plain(title)
    found = re.fullmatch(r"(.*?)\s*[(\[](.*?)[)\]]", words)
    name, unit = found.groups() if found else (words, "")
    if name not in FIELD_OF_TITLE:
        return None
    last = name.split()[-1]
    return FIELD_OF_TITLE[name], unit or (last if last in _ML_OF and " " in name else "")


def _number(text: str) -> str:
    """One decimal mark, no thousands: ``1.234,50 €`` is ``1234.50``. Three digits after a lone mark may be
    either, and stay so that they are refused where two decimals are the most.
    """
    text = text.rstrip(" €%°\u00a0\u202f")
    marks = _MARKS.findall(text)
    if len(set(marks)) == 2 and marks.count(marks[-1]) == 1:
        text = text.replace(marks[0], "")
    return text


def _price(text: str, unit: str) -> int:
    return money.parse_amount(_number(text))


def _rate(text: str, unit: str) -> int:
    return money.parse_rate(_number(text))


def _abv(text: str, unit: str) -> int:
    words = text.casefold().removesuffix("vol.").removesuffix("vol").strip()
    return money.parse_amount(_number(words))


def _barcodes(text: str, unit: str) -> tuple[str, ...]:
    return tuple(check_barcode(code) for code in re.split(r"[\s,;|/]+", text) if code)


def _colour(text: str, unit: str) -> str:
    found = _COLOURS.get(plain(text))
    if found is None:
        raise InvalidProduct(f"colour {text!r}: one of {', '.join(sorted(_COLOURS))} is expected")
    return found


def _vintage(text: str, unit: str) -> int | str:
    if plain(text) in _NO_VINTAGES or text == "-":
        return NO_VINTAGE
    if not re.fullmatch(r"[0-9]{4}", text):
        raise InvalidProduct(f"vintage {text!r}: a year with four digits, or {NO_VINTAGE}, is expected")
    return int(text)


def _volume(text: str, unit: str) -> int:
    match = _VOLUME.fullmatch(text.casefold().strip())
    if match is None:
        raise InvalidProduct(f"volume_ml {text!r}: a size like 75 cl or 0.75 l is expected")
    said = match[2] or unit
    units = [("l" if said[:1] == "l" else said)] if said else ["ml", "cl", "l"]
    thousandths = money.parse_quantity(match[1])
    sizes = [thousandths * _ML_OF[name] for name in units if name in _ML_OF]
    volumes = [size // 1000 for size in sizes if size % 1000 == 0]
    usual = [volume for volume in volumes if said or volume in STANDARD_VOLUMES_ML]
    if len(usual) != 1:
        raise InvalidProduct(f"volume_ml {text!r}: a size with its unit is expected, like 75 cl or 0.75 l")
    return usual[0]


def _active(text: str, unit: str) -> bool:
    word = plain(text)
    if word not in _YES | _NO:
        raise InvalidProduct(f"active {text!r}: yes or no is expected")
    return word in _YES


def _as_it_is(text: str, unit: str) -> str:
    return text


_READERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "price": _price,
    "vat_rate": _rate,
    "abv": _abv,
    "barcodes": _barcodes,
    "colour": _colour,
    "vintage": _vintage,
    "volume_ml": _volume,
    "active": _active,
}


def read_cell(field: str, text: str, unit: str = "") -> Any:
    """The value of one cell. Raises ``InvalidProduct`` or ``InvalidAmount`` naming the field."""
    try:
        return _READERS.get(field, _as_it_is)(text, unit)
    except InvalidAmount as error:
        raise InvalidAmount(f"{field} {text!r}: {error}", hint=error.hint) from error
