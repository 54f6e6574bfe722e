"""Workbooks (XLSX), as shops keep price lists: the first sheet with anything in it, as the text of a CSV.

A workbook is a zip of XML files, which a few kilobytes can make as large as they like. So it is unpacked once
to be counted, within bounds, before anything reads it.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from datetime import date, datetime, time
from typing import Any, Final

from crdtsync.errors import InvalidImport
from crdtsync.model.product_import import LINES_MAX

UNPACKED_BYTES_MAX: Final = 64 << 20
FILES_MAX: Final = 1_000
COLUMNS_MAX: Final = 256
CELL_CHARACTERS_MAX: Final = 2_000
_CHUNK: Final = 1 << 16
_MARK: Final = b"PK\x03\x04"
_DECLARATIONS: Final = (b"<!DOCTYPE", b"<!ENTITY")
"""With entities a few hundred bytes of XML grow to gigabytes while they are read."""

_OVERLAP: Final = 2 * max(map(len, _DECLARATIONS))


def is_workbook(data: bytes) -> bool:
    """Whether a file says of itself that it is one (or another zip)."""
    return data.startswith(_MARK)


def text_of_workbook(data: bytes) -> bytes:
    """The first sheet with anything in it, as CSV. Some seconds for a large one: not for the thread that
    answers pages. Raises ``InvalidImport``.
    """
    _count(data)
    from openpyxl import load_workbook  # Late: slow to import.

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # Whatever a file can be that is none: the library raises of all kinds.
        raise InvalidImport("this workbook cannot be read") from error
    try:
        for sheet in book.worksheets:
            rows = _rows(sheet)
            if rows:
                out = io.StringIO(newline="")
                csv.writer(out, delimiter=";").writerows(rows)
                return out.getvalue().encode()
    except InvalidImport:
        raise
    except Exception as error:  # As above: sheets are read only now.
        raise InvalidImport("this workbook cannot be read") from error
    finally:
        book.close()
    raise InvalidImport("the file is empty")


def _count(data: bytes) -> None:
    """Unpack everything and keep nothing. What the zip says of its sizes is not believed."""
    size = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if len(packed.infolist()) > FILES_MAX:
                raise InvalidImport("this workbook has too many parts")
            for name in packed.infolist():
                with packed.open(name) as part:
                    before = b""
                    while chunk := part.read(_CHUNK):
                        size += len(chunk)
                        if size > UNPACKED_BYTES_MAX:
                            raise InvalidImport("this workbook is too large when it is unpacked")
                        # Also as UTF-16, where every other byte is empty, and across two chunks.
                        letters = (before + chunk).replace(b"\0", b"")
                        if any(mark in letters for mark in _DECLARATIONS):
                            raise InvalidImport("this workbook declares entities, which none needs")
                        before = chunk[-_OVERLAP:]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise InvalidImport("this workbook cannot be read") from error


def _rows(sheet: Any) -> list[list[str]]:
    rows: list[list[str]] = []
    # What a sheet says of its size is not believed either.
    sheet.reset_dimensions()
    for row in sheet.iter_rows(values_only=True, max_col=COLUMNS_MAX):
        if len(rows) >= LINES_MAX:
            raise InvalidImport(f"the file has more than {LINES_MAX} lines")
        cells = [_cell(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        rows.append(cells)
    width = max((len(row) for row in rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows] if width else []


def _cell(value: Any) -> str:
    """As a person would have typed it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(round(value, 6))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return " ".join(str(value).split())[:CELL_CHARACTERS_MAX]
