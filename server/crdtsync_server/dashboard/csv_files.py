"""Lists as files for spreadsheets: CSV with ``;``, a byte order mark, and no cell that is a formula."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from starlette.responses import Response, StreamingResponse

from crdtsync.model.money import format_amount

_FORMULA: Final = ("=", "+", "-", "\u2212", "@", "'", "|", "%")
"""What a cell begins with that a spreadsheet may take for more than text; or that marks such a cell."""

_LINES: Final = ("\t", "\r", "\n")
_UNSEEN: Final = ("Cc", "Cf", "Mn", "Me")
_MARK: Final = "\ufeff"
_TYPE: Final = "text/csv; charset=utf-8"

Cells = Sequence[str]


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: whatever form the sign has (full width, small, raised),
    and whatever nobody sees stands before it. Nothing is taken away.
    """
    begins = next((one for one in text if one in _LINES or not _is_unseen(one)), "")
    is_formula = begins in _LINES or unicodedata.normalize("NFKC", begins).startswith(_FORMULA)
    return f"'{text}" if is_formula else text


def _is_unseen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in _UNSEEN


def amount_cell(amount_minor: int | None) -> str:
    """An amount as French and most other spreadsheets read it: ``-12,50``. A number is no formula."""
    return "" if amount_minor is None else format_amount(amount_minor, mark=",")


def csv_file(name: str, rows: Iterable[Cells]) -> Response:
    """A file that is there at once. Cells that somebody else wrote have gone through ``safe_cell``."""
    return Response(_MARK + _text(rows), media_type=_TYPE, headers=_headers(name))


def csv_stream(name: str, head: Cells, pages: AsyncIterator[Iterable[Cells]]) -> Response:
    """A file that is written page by page as it is fetched, however long it is. As ``csv_file``."""

    async def parts() -> AsyncIterator[str]:
        yield _MARK + _text([head])
        async for rows in pages:
            yield _text(rows)

    return StreamingResponse(parts(), media_type=_TYPE, headers=_headers(name))


def _text(rows: Iterable[Cells]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";", lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def _headers(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}
