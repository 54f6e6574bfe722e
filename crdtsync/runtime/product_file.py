"""Product files: CSV as shops have it.

Columns are found by their titles, in any order and case, English or French; ``;``, ``,`` or a tab stands
between them; the text is UTF-8, or what French spreadsheets write (Windows-1252). Needed are SKU, name,
price (tax included) and VAT rate in percent. Empty cells of the other columns change nothing.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from crdtsync.errors import InvalidImport
from crdtsync.model.money import parse_amount, parse_rate

FILE_BYTES_MAX = 64 << 20

TITLES = {
    "sku": ("sku", "code", "référence", "reference", "ref"),
    "name": ("name", "nom", "désignation", "designation", "libellé", "libelle"),
    "price": ("price", "prix", "prix ttc", "tarif cave ttc"),
    "vat": ("vat", "tva", "taux tva"),
    "producer": ("producer", "producteur", "domaine"),
    "appellation": ("appellation",),
    "category": ("category", "catégorie", "categorie", "famille"),
    "barcode": ("barcode", "ean", "gencod", "code-barres", "code barres"),
    "unit": ("unit", "unité", "unite"),
}
"""What a column is called in a file. Others are passed over."""

NEEDED = ("sku", "name", "price", "vat")


@dataclass(frozen=True, slots=True)
class FileLine:
    """One line of a file, as text: nothing of it was checked."""

    number: int
    cells: dict[str, str]

    @property
    def sku(self) -> str:
        """What the line calls the product."""
        return self.cells["sku"]

    @property
    def fields(self) -> dict[str, str]:
        """The describing fields that the line has."""
        return {
            name: text for name, text in self.cells.items() if text and name not in ("sku", "price", "vat")
        }

    def price(self) -> tuple[int, int]:
        """Amount in cents and VAT rate in 1/100 %. Raises ``InvalidAmount``."""
        return parse_amount(self.cells["price"].rstrip("€ \u00a0\u202f")), parse_rate(self.cells["vat"])


def read_product_file(path: Path) -> list[FileLine]:
    """Read a file. Raises ``InvalidImport`` when it is no such file at all."""
    text = _text(path)
    first = text.split("\n", 1)[0]
    delimiter = max(";,\t", key=first.count)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        titles = next(rows, [])
        places = _places(path, titles)
        lines = []
        for row in rows:
            if any(cell.strip() for cell in row):
                cells = {name: row[i].strip() if i < len(row) else "" for name, i in places.items()}
                lines.append(FileLine(rows.line_num, cells))
        return lines
    except csv.Error as error:
        raise InvalidImport(f"{path} is no CSV file: line {rows.line_num}: {error}") from error


def _places(path: Path, titles: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, title in enumerate(titles):
        for name, known in TITLES.items():
            if title.strip().lower() in known and name not in found:
                found[name] = place
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise InvalidImport(
            f"{path} has no column for {', '.join(missing)}",
            hint="the first line names the columns, at least sku;name;price;vat",
        )
    return found


def _text(path: Path) -> str:
    try:
        data = path.read_bytes() if path.stat().st_size <= FILE_BYTES_MAX else None
    except OSError as error:
        raise InvalidImport(f"{path} cannot be read: {error.strerror}") from error
    if data is None:
        raise InvalidImport(f"{path} has more than {FILE_BYTES_MAX >> 20} MB")
    if b"\0" in data:
        raise InvalidImport(f"{path} is no text file", hint="save it as CSV in your spreadsheet program")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
