"""What commands print: text for people, or one JSON document."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import orjson

from crdtsync.errors import CrdtsyncError, TooManyAttempts
from crdtsync.model.money import NO_BREAK_SPACE, format_euros, format_quantity, format_rate


def print_json(document: Any) -> None:
    """Print one JSON document. Dataclasses are objects, bytes lower-case hex."""
    click.echo(orjson.dumps(document, default=_plain, option=orjson.OPT_INDENT_2).decode())


def print_json_line(document: Any) -> None:
    """Print one JSON document on one line, for commands that print several."""
    click.echo(orjson.dumps(document, default=_plain).decode())


def print_error(error: CrdtsyncError, *, program: str, as_json: bool) -> None:
    """Tell an error of a program on standard error: what and where, then what to do, in one line."""
    if as_json:
        click.echo(orjson.dumps(error_facts(error), default=_plain), err=True)
        return
    hint = f". {_sentence(error.hint)}" if error.hint else ""
    click.echo(_one_line(f"{program}: {error}{hint}"), err=True)


def error_facts(error: CrdtsyncError) -> dict[str, Any]:
    """An error as JSON."""
    facts = {
        "code": type(error).__name__,
        "exit_code": error.exit_code,
        "message": str(error),
        "hint": error.hint,
        "retryable": error.retryable,
    }
    if isinstance(error, TooManyAttempts):
        facts["retry_after_s"] = error.retry_after_s
    return facts


def print_notices(notices: Sequence[str]) -> None:
    """Tell what a person should know beside the result, on standard error."""
    for notice in notices:
        click.echo(f"note: {notice}", err=True)


_COMMANDS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What commands a terminal, or turns a line. A ticket number of a stolen register may hold anything."""


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print columns under their titles; the columns numbered in ``right`` are set to the right.

    Where the terminal is narrower than that, each row is printed as lines of its own, with their titles.
    """
    rows = [[_COMMANDS.sub(" ", cell) for cell in row] for row in rows]
    table = [titles, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    if sys.stdout.isatty() and sum(widths) + 2 * (len(widths) - 1) > _terminal_columns():
        _print_stacked(titles, rows)
        return
    for row in table:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _terminal_columns() -> int:
    from shutil import get_terminal_size  # Late: it brings every compression that Python has.

    return get_terminal_size().columns


def _print_stacked(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    width = max(len(title) for title in titles[1:])
    for first, *cells in rows:
        click.echo(first)
        for title, cell in zip(titles[1:], cells, strict=True):
            if cell:
                click.echo(f"  {title.ljust(width)}  {cell}".rstrip())


def money(amount_minor: int | None) -> str:
    """An amount as it is written in France: ``12 345,60 €``; a dash for none."""
    if amount_minor is None:
        return "–"
    return format_euros(amount_minor)


def quantity(quantity_thousandths: int) -> str:
    """A quantity without trailing zeros: ``2``, ``0,125``."""
    return format_quantity(quantity_thousandths, mark=",")


def rate(vat_rate: int) -> str:
    """A VAT rate: ``5,5 %``."""
    return f"{format_rate(vat_rate, mark=',')}{NO_BREAK_SPACE}%"


def local_time(at_ms: int | None, utc_offset_min: int) -> str:
    """A moment as it is written in France: ``24/11/2026 14:32``; a dash for none."""
    if at_ms is None:
        return "–"
    moment = datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(minutes=utc_offset_min)
    return moment.strftime("%d/%m/%Y %H:%M")


def local_day(day: str) -> str:
    """A business day as it is written in France: ``24/11/2026``."""
    year, month, of_month = day.split("-")
    return f"{of_month}/{month}/{year}"


def size(count_bytes: int) -> str:
    """A number of bytes as it is read: ``812 B``, ``1.4 MB``."""
    if count_bytes < 1000:
        return f"{count_bytes} B"
    amount = float(count_bytes)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95 or unit == "GB":
            break
    return f"{amount:.1f} {unit}"


def _one_line(text: str) -> str:
    """A name out of a file or from the other end may hold anything, even what commands a terminal."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
