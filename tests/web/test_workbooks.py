"""Price lists as shops keep them, in workbooks; and workbooks that are made to break what reads them."""

import io
import zipfile
from datetime import date

import openpyxl
import pytest

from crdtsync.errors import InvalidImport
from crdtsync.testing.wine import barcode
from crdtsync_server.dashboard import workbook
from crdtsync_server.dashboard.workbook import is_workbook, text_of_workbook

TITLES = ["Référence", "Nom", "Prix TTC", "TVA", "Code-barres", "Millésime"]


def book(*rows, before=0):
    made = openpyxl.Workbook()
    sheet = made.active
    for _ in range(before):
        sheet = made.create_sheet()
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_numbers_are_as_somebody_would_have_typed_them():
    text = text_of_workbook(
        book(["a"], [18.5, 3760123450019.0, 20, None, True, date(2026, 11, 30), " x\n y "])
    )
    assert text.decode().splitlines()[1] == "18.5;3760123450019;20;;yes;2026-11-30T00:00:00;x y"


def test_the_first_sheet_with_anything_in_it_is_taken():
    assert text_of_workbook(book(["a"], before=2)) == b"a\r\n"
    with pytest.raises(InvalidImport):
        text_of_workbook(book())


def test_products_come_from_a_workbook(marie, till):
    file = book(
        TITLES,
        ["XL-1", "Condrieu", 41.5, 20, int(barcode(7)), 2022],
        ["XL-2", "Faux", "cher", 20, None, None],
    )
    answer = marie.post("/catalogue/import", files={"file": ("prix.xlsx", file)})
    assert 'id="added">1<' in answer.text
    assert 'id="refused">1<' in answer.text
    upload = answer.text.split('name="upload" value="')[1].split('"')[0]
    assert marie.post("/catalogue/import/take", on="/catalogue/import", upload=upload).status_code == 200
    assert "Condrieu" in marie.page("/catalogue/product?sku=XL-1")


def packed(files, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    "data",
    [
        packed({}),
        packed({"x": b"y"}),
        packed({"[Content_Types].xml": b"<broken"}),
        packed({"[Content_Types].xml": ENTITIES, "xl/workbook.xml": ENTITIES}),
        b"PK\x03\x04",
        b"PK\x03\x04" + b"\xff" * 500,
        book(["a"])[:-40],
    ],
)
def test_what_is_no_workbook_is_refused(data):
    assert is_workbook(data) or data == packed({})
    with pytest.raises(InvalidImport):
        text_of_workbook(data)


def test_a_small_file_that_unpacks_without_end_is_refused_before_anything_reads_it(monkeypatch):
    monkeypatch.setattr(workbook, "UNPACKED_BYTES_MAX", 1 << 20)
    bomb = packed({"xl/worksheets/sheet1.xml": b"0" * (2 << 20)})
    assert len(bomb) < 10_000
    monkeypatch.setattr("openpyxl.load_workbook", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(InvalidImport, match="too large"):
        text_of_workbook(bomb)


LAUGHS = (
    '<?xml version="1.0"{encoding}?><!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9)).replace("&a0;", "&a;")
    + ']><worksheet><sheetData><row><c t="inlineStr"><is><t>&a8;</t></is></c></row></sheetData></worksheet>'
)


@pytest.mark.parametrize(
    "sheet",
    [
        LAUGHS.format(encoding="").encode(),
        LAUGHS.format(encoding=' encoding="UTF-16"').encode("utf-16"),
        b" " * ((1 << 16) - 30) + LAUGHS.format(encoding="").encode(),
        LAUGHS.format(encoding="").replace('"ha"', 'SYSTEM "file:///etc/passwd"').encode(),
    ],
    ids=["utf-8", "utf-16", "across-chunks", "a-file-of-the-machine"],
)
def test_a_workbook_that_declares_entities_is_refused_before_anything_reads_it(sheet, monkeypatch):
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *_, **__: pytest.fail("it was read"))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book(["sku"]))) as good, zipfile.ZipFile(out, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, sheet if "sheet1" in name else good.read(name))
    with pytest.raises(InvalidImport, match="entities"):
        text_of_workbook(out.getvalue())


def test_a_workbook_of_too_many_lines_or_parts_is_refused(monkeypatch):
    monkeypatch.setattr(workbook, "LINES_MAX", 3)
    with pytest.raises(InvalidImport, match="more than 3 lines"):
        text_of_workbook(book(*[["a"]] * 5))
    monkeypatch.setattr(workbook, "FILES_MAX", 2)
    with pytest.raises(InvalidImport, match="too many parts"):
        text_of_workbook(book(["a"]))
