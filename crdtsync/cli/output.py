"""What commands print: text for people, or one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import orjson

from crdtsync.errors import CrdtsyncError


def print_json(document: Any) -> None:
    """Print one JSON document. Bytes are printed as lower-case hex."""
    click.echo(orjson.dumps(document, default=_plain, option=orjson.OPT_INDENT_2).decode())


def print_error(error: CrdtsyncError, *, as_json: bool) -> None:
    """Tell an error on standard error: what and where, then what to do, in one line."""
    if as_json:
        facts = {
            "error": type(error).__name__,
            "exit_code": error.exit_code,
            "message": str(error),
            "hint": error.hint,
            "retryable": error.retryable,
        }
        click.echo(orjson.dumps(facts), err=True)
        return
    click.echo(f"crdtsync: {error}" + (f". {_sentence(error.hint)}" if error.hint else ""), err=True)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print columns under their titles; the columns numbered in ``right`` are set to the right."""
    table = [titles, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    for row in table:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def local_time(at_ms: int, utc_offset_min: int) -> str:
    """A moment as it is written in France: ``24/11/2026 14:32``."""
    return (datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(minutes=utc_offset_min)).strftime(
        "%d/%m/%Y %H:%M"
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")
