"""Product files: CSV in the encodings and dialects of spreadsheets, planned and imported.

What was imported must change nothing when it is imported again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Final

from crdtsync.errors import InvalidImport
from crdtsync.model.catalogue import Catalogue
from crdtsync.model.product import Product
from crdtsync.model.product_columns import FIELD_OF_TITLE
from crdtsync.model.product_import import ImportPlan, plan_import, read_file
from tests.fuzz.mutation import with_byte_changed
from tests.fuzz.target import Target, require

INPUT_BYTES_MAX: Final = 8 << 10
AT_MS: Final = 1_795_507_200_000
_BY: Final = "0" * 32
_KNOWN: Final = (
    Product("CM-19", "Crozes-Hermitage 2019", 1850, barcodes=("96385074",), abv=1350, vintage=2019),
    Product("TER-01", "Terrine de campagne 180 g", 695, 550, "R1", category="Epicerie/Terrines"),
    Product("OLD", "Banyuls", 1200, archived=True),
)


def _run(data: bytes) -> None:
    try:
        file = read_file(data)
    except InvalidImport:
        return
    catalogue = Catalogue.open(_known(), client_id=2)
    plan = _plan(file_of=data, catalogue=catalogue)
    require(len(plan.refused) <= len(file.records), "more lines were refused than there are")
    drafts = [catalogue.draft_add(new.product, by=_BY, at_ms=AT_MS) for new in plan.new]
    drafts += [
        catalogue.draft_change(line.sku, line.fields, line.price, by=_BY, at_ms=AT_MS)
        for line in (changed.line for changed in plan.changed)
    ]
    for draft in drafts:
        catalogue.write(draft)
    require(catalogue.problems() == [], "what was imported is not as a catalogue has it")
    again = _plan(file_of=data, catalogue=catalogue)
    require(not again.new and not again.changed, "importing again changes something")
    require(len(again.refused) == len(plan.refused), "importing again refuses other lines")


@lru_cache(maxsize=1)
def _known() -> tuple[bytes, ...]:
    catalogue = Catalogue.open((), client_id=1)
    return tuple(catalogue.add(product, by=_BY, at_ms=AT_MS - 1000) for product in _KNOWN)


def _plan(file_of: bytes, catalogue: Catalogue) -> ImportPlan:
    def find(sku: str) -> Product | None:
        return catalogue.product(sku, AT_MS) if sku in catalogue else None

    return plan_import(read_file(file_of), find, at_ms=AT_MS)


_TITLES: Final = sorted(FIELD_OF_TITLE)
_CELLS: Final = (
    *("CM-19", "TER-01", "OLD", "N-1", "n 1", "96385074", "3760012345678", "4006381333931,96385074", ""),
    *("18,50", "18.50", "1.234,50 €", "1,234.50", "-1", "0", "9" * 30, "1e5", "18,505", "٣", "½", "12,5 %"),
    *("5,5", "20", "20 %", "0.055", "100", "75 cl", "0,75 l", "750", "37.5", "1 1/2", "2019", "NV", "1799"),
    *("rouge", "Rosé", "blanc", "oui", "non", "x", "Vin/Rouge", "Vin/Rouge/Sec", "/", "pce", "btl", "kg"),
    *(
        "=1+1",
        "\ufeffa",
        "\u202eabc",
        "é" * 300,
        '"a',
        '""',
        '"a\nb"',
        "a;b",
        "a\tb",
        " ",
        "\u00a0",
        "\x1b[2J",
    ),
)
_ENCODINGS: Final = ("utf-8", "utf-8-sig", "cp1252", "utf-16")


def _seeds() -> Iterator[bytes]:
    plain = (
        "sku;name;price;vat;colour;vintage;volume;alcohol;category;barcode\n"
        "CM-19;Crozes-Hermitage 2019;18,50;20;rouge;2019;75 cl;13,5 %;Vin/Rouge;96385074\n"
        "N-1;Muscat;12.00;20;blanc;NV;0.75 l;15;Vin/Blanc;\n"
        "TER-01;;6,95;5,5;;;;;;\n"
    )
    for encoding in _ENCODINGS:
        yield plain.encode(encoding, errors="replace")
    for delimiter in ",\t|":
        yield plain.replace(",", ".").replace(";", delimiter).encode()
    yield (
        "Référence;Désignation;Tarif Cave TTC;TVA;Famille;Sous-Famille;En vente;Contenance (cl)\r\n"
        '"N-2";"Vin ""de pays""\ndu coin";"1 234,50 €";"20 %";Vin;Rouge;oui;75\r\n'
        "OLD;Banyuls;12;20;Vin;Doux;non;50\r\n"
    ).encode("cp1252")
    yield b'sku,name,price,vat\nN-3,"Coteaux, vieux",9.90,20\nN-3,again,9.90,20\nN-4,no price,,20\n'


def _mutate(data: bytes, rng: Random) -> bytes:
    """Another cell, line, title, delimiter or encoding."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        words = data.decode(encoding)
    except UnicodeDecodeError:
        encoding, words = "cp1252", data.decode("cp1252", errors="replace")
    lines = words.split("\n")
    what = rng.randrange(7)
    if what == 0:
        return words.encode(rng.choice(_ENCODINGS), errors="replace")
    if what == 1:
        return with_byte_changed(data, rng)
    if what == 2:
        place = rng.randrange(len(lines))
        lines.insert(rng.randrange(len(lines) + 1), lines[place])
    elif what == 3:
        words = words.replace(rng.choice(";,\t|"), rng.choice(";,\t|"))
        lines = words.split("\n")
    else:
        delimiter = max(";,\t|", key=lines[0].count)
        place = 0 if what == 4 else rng.randrange(len(lines))
        cells = lines[place].split(delimiter)
        new = rng.choice(_TITLES) if place == 0 else rng.choice(_CELLS)
        if rng.random() < 0.3:
            cells.insert(rng.randrange(len(cells) + 1), new)
        else:
            cells[rng.randrange(len(cells))] = new
        lines[place] = delimiter.join(cells)
    return "\n".join(lines).encode(encoding, errors="replace")


TARGET = Target("products", _run, _seeds, _mutate, INPUT_BYTES_MAX)
