"""Importing products from a file: what it would do, line by line, before anything is done.

The file is CSV as shops have it: ``;``, ``,``, a tab or ``|`` between the columns, decimal points or commas,
UTF-8, what French spreadsheets write (Windows-1252), or UTF-16 with its mark. Columns are found by their
titles (see ``model.product_columns``), among them those of Wino's price lists (``Tarif Cave TTC``). Empty
cells change nothing. A line that cannot be taken is refused with its number, field and reason, and the others
go on.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crdtsync.errors import InvalidImport, UsageError
from crdtsync.model.price import WantedPrice
from crdtsync.model.product import (
    Product,
    check_barcodes,
    check_field,
    check_price,
    check_product,
    check_sku,
    warnings_about,
    year_of,
)
from crdtsync.model.product_columns import field_of, read_cell

FILE_BYTES_MAX: Final = 16 << 20
LINES_MAX: Final = 100_000
CELL_LINES_MAX: Final = 20
"""How many lines a quoted cell may span. A quotation mark that is not closed must not swallow the file."""

DELIMITERS: Final = ";,\t|"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NOT_TOLD_APART: Final = "its cells cannot be told apart: is a quotation mark not closed?"
_REASON_CHARS_MAX: Final = 240


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that is not imported. ``field`` is empty where the line as a whole is no good, ``sku`` where it
    cannot be read.
    """

    number: int
    field: str
    reason: str
    sku: str = ""


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line that was read: ``fields`` as ``Catalogue.draft_change`` takes them, checked one by one."""

    number: int
    sku: str
    fields: Mapping[str, Any]
    price: WantedPrice


@dataclass(frozen=True, slots=True)
class ProductFile:
    """A file whose ``titles`` were understood. ``ignored`` are those of columns that are passed over.

    ``records`` are the number of a line and its cells, or the reason why it has none.
    """

    columns: Sequence[tuple[int, str, str]]
    ignored: tuple[str, ...]
    titles: int
    records: Sequence[tuple[int, Sequence[str] | str]]


@dataclass(frozen=True, slots=True)
class NewProduct:
    """A product that is not in the catalogue yet."""

    number: int
    product: Product


@dataclass(frozen=True, slots=True)
class ChangedProduct:
    """A product that the line changes. ``differences`` are old and new value by field."""

    line: FileLine
    differences: Mapping[str, tuple[Any, Any]]


@dataclass(slots=True)
class ImportPlan:
    """What importing the file would do. Every line with anything in it is in one of the four lists."""

    new: list[NewProduct] = field(default_factory=list)
    changed: list[ChangedProduct] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    ignored_columns: tuple[str, ...] = ()


def read_file(data: bytes) -> ProductFile:
    """Find the columns and split the lines. Raises ``InvalidImport`` when it is no such file at all."""
    text = _text(data)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > LINES_MAX:
        raise InvalidImport(f"the file has {len(lines)} lines: {LINES_MAX} are allowed")
    first = next((place for place, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InvalidImport("the file is empty")
    delimiter = max(DELIMITERS, key=lines[first].count)
    titles = _cells([lines[first]], delimiter)
    if isinstance(titles, str):
        raise InvalidImport(f"the titles in line {first + 1} cannot be read: {titles}")
    columns, ignored = _columns(titles)
    used = [place for place, _, _ in columns]
    return ProductFile(columns, ignored, len(titles), list(_records(lines, first + 1, delimiter, used)))


def read_lines(file: ProductFile, *, year: int) -> Iterator[FileLine | RefusedLine]:
    """Each line with anything in it, in order. Never raises."""
    for number, cells in file.records:
        if isinstance(cells, str):
            yield RefusedLine(number, "", cells)
        elif any(cell.strip() for cell in cells[file.titles :]):
            # Most often a decimal comma between commas: what follows would be taken for something else.
            reason = f"it has {len(cells)} cells for {file.titles} titles"
            yield RefusedLine(number, "", reason, _sku_of(file.columns, cells))
        elif any(cell.strip() for cell in cells):
            yield _read_line(file.columns, number, cells, year)


def plan_import(
    file: ProductFile,
    find: Callable[[str], Product | None],
    *,
    at_ms: int,
    new_vat_rate: int | None = None,
) -> ImportPlan:
    """Compare the file with the catalogue. ``find`` gives a product with its price at ``at_ms`` by SKU, or
    None. ``new_vat_rate`` (1/100 %) is for new products of a file that has no such column. Changes nothing.
    """
    plan = ImportPlan(ignored_columns=file.ignored)
    seen: dict[str, int] = {}
    for line in read_lines(file, year=year_of(at_ms)):
        # One that is refused counts as well: what was a mistake twice must not be sold at the second's price.
        first = seen.setdefault(line.sku, line.number) if line.sku else line.number
        if isinstance(line, RefusedLine):
            plan.refused.append(line)
            continue
        if first != line.number:
            reason = f"line {first} has the same SKU {line.sku}"
            plan.refused.append(RefusedLine(line.number, "sku", reason, line.sku))
            continue
        try:
            _place(plan, line, find(line.sku), at_ms, new_vat_rate)
        except UsageError as error:
            plan.refused.append(RefusedLine(line.number, "", _reason(error), line.sku))
    return plan


def _text(data: bytes) -> str:
    if len(data) > FILE_BYTES_MAX:
        raise InvalidImport(f"the file has more than {FILE_BYTES_MAX >> 20} MB")
    if data.startswith(_UTF_16):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise InvalidImport("it is no text file", hint="save it as CSV in your spreadsheet program")
    return text


def _columns(titles: Sequence[str]) -> tuple[list[tuple[int, str, str]], tuple[str, ...]]:
    found: dict[str, tuple[int, str, str]] = {}
    ignored = []
    for place, title in enumerate(titles):
        known = field_of(title)
        if known is None or known[0] in found:
            ignored.append(title.strip())
        else:
            found[known[0]] = (place, *known)
    if "sku" not in found and "barcodes" not in found:
        raise InvalidImport(
            "no column names the product: a title like sku, code or référence is expected",
            hint="the first line names the columns, for example sku;name;price;vat",
        )
    if len(found) < 2:
        raise InvalidImport("no column says anything about the products, for example name, price or vat")
    return list(found.values()), tuple(title for title in ignored if title)


def _cells(lines: Iterable[str], delimiter: str) -> list[str] | str:
    """The cells of one record, or the reason why it has none."""
    lines = list(lines)
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        longest = max(len(part) for line in lines for part in line.split(delimiter))
        return f"a cell has {longest} characters" if longest > csv.field_size_limit() else _NOT_TOLD_APART


def _records(
    lines: Sequence[str], start: int, delimiter: str, used: Sequence[int]
) -> Iterator[tuple[int, Sequence[str] | str]]:
    """(number of its first line, cells) of each record, or the reason why its cells cannot be told apart.

    A quoted cell may go on over several lines, but only in a column that is not used.
    """
    place = start
    while place < len(lines):
        end = _end_of_record(lines, place)
        cells = _cells((line + "\n" for line in lines[place:end]), delimiter)
        if end == place or any("\n" in cells[i] for i in used if i < len(cells)):
            cells = _NOT_TOLD_APART
        yield place + 1, cells
        place = place + 1 if isinstance(cells, str) else end


def _end_of_record(lines: Sequence[str], place: int) -> int:
    """The line after the record that begins at ``place``; ``place`` itself if its quotes never close."""
    quotes = 0
    for end in range(place, min(place + CELL_LINES_MAX, len(lines))):
        quotes += lines[end].count('"')
        if quotes % 2 == 0:
            return end + 1
    return place


def _reason(error: UsageError) -> str:
    """What a person reads of a line; a cell may be as long as a book."""
    text = str(error)
    half = _REASON_CHARS_MAX // 2
    return text if len(text) <= _REASON_CHARS_MAX else f"{text[:half]}…{text[-half:]}"


def _read_line(
    columns: Sequence[tuple[int, str, str]], number: int, cells: Sequence[str], year: int
) -> FileLine | RefusedLine:
    values: dict[str, Any] = {}
    name = ""
    try:
        for place, name, unit in columns:
            text = cells[place].strip() if place < len(cells) else ""
            if text:
                values[name] = _checked(name, read_cell(name, text, unit), year)
        name = "sku"
        sku = check_sku(values.pop("sku", None) or next(iter(values.get("barcodes", ())), ""))
        name = "category"
        if "subcategory" in values:
            path = f"{values.get('category', '')}/{values.pop('subcategory')}"
            values["category"] = check_field("category", path)
    except UsageError as error:
        return RefusedLine(number, name, _reason(error), _sku_of(columns, cells))
    if "active" in values:
        values["archived"] = not values.pop("active")
    price = WantedPrice(values.pop("price", None), values.pop("vat_rate", None))
    return FileLine(number, sku, values, price)


def _sku_of(columns: Sequence[tuple[int, str, str]], cells: Sequence[str]) -> str:
    """Which product a line that is no good is about, as far as it can be read; empty where it cannot."""
    found: dict[str, Any] = {}
    for place, name, unit in columns:
        text = cells[place].strip() if place < len(cells) else ""
        if text and name in ("sku", "barcodes"):
            try:
                found[name] = _checked(name, read_cell(name, text, unit), 0)
            except UsageError:
                found[name] = None
    if "sku" in found:
        return found["sku"] or ""
    return next(iter(found.get("barcodes") or ()), "")


def _checked(name: str, value: Any, year: int) -> Any:
    if name == "sku":
        return check_sku(value)
    if name == "barcodes":
        return check_barcodes(value)
    if name == "price":
        check_price(value, 0)
    if name == "vat_rate":
        check_price(0, value)
    if name in ("price", "vat_rate", "active", "subcategory"):
        return value
    return check_field(name, value, year=year)


def _place(
    plan: ImportPlan, line: FileLine, known: Product | None, at_ms: int, new_vat_rate: int | None
) -> None:
    if known is None:
        product = _new_product(line, at_ms, new_vat_rate)
        plan.new.append(NewProduct(line.number, product))
        plan.warnings += [(line.number, text) for text in warnings_about(product)]
        return
    given = dict(line.fields)
    if "barcodes" in given:
        # A file names the code it knows; others that the product has are not taken from it.
        given["barcodes"] = check_barcodes({*given["barcodes"], *known.barcodes})
    asked = {"price_minor": line.price.amount_minor, "vat_rate": line.price.vat_rate, **given}
    differences = {
        name: (getattr(known, name), value)
        for name, value in asked.items()
        if value is not None and value != getattr(known, name)
    }
    if not differences:
        plan.unchanged.append(line.sku)
        return
    # What does not differ is not asked for: it would settle a conflict that somebody is to look at.
    price = WantedPrice(
        line.price.amount_minor if "price_minor" in differences else None,
        line.price.vat_rate if "vat_rate" in differences else None,
    )
    fields = {name: value for name, value in given.items() if name in differences}
    plan.changed.append(ChangedProduct(FileLine(line.number, line.sku, fields, price), differences))


def _new_product(line: FileLine, at_ms: int, new_vat_rate: int | None) -> Product:
    rate = new_vat_rate if line.price.vat_rate is None else line.price.vat_rate
    fields = dict(line.fields)
    missing = [name for name in ("name",) if name not in fields]
    missing += ["price"] if line.price.amount_minor is None else []
    missing += ["vat"] if rate is None else []
    if missing or rate is None:
        raise InvalidImport(f"{line.sku} is new and has no {', '.join(missing)}")
    vat_class = check_price(line.price.amount_minor, rate)
    new = Product(line.sku, price_minor=line.price.amount_minor, vat_rate=rate, vat_class=vat_class, **fields)
    return check_product(new, year=year_of(at_ms))
