"""The comparison as a table: ours first in each row, then the peers, with ratio, spread and who is behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.peers.comparison import Row, where_we_are_behind
from benchmarks.table import WIDTH, number, spread

WHAT_IS_COMPARED: Final = (
    "The peers' sales are about 305 bytes, unsigned, and not durable when they are shown; ours are about "
    "880 bytes, sealed, verified and on disk."
)

LEGEND: Final = (
    "ratio: the peer's figure to ours of the same repeat; behind: who has the worse figure; load: cores used "
    "by each; (n): repeats; ≥: the driver was busy, so that the figure is a floor."
)

_BEHIND: Final = {"we": "[bold]we[/bold]", "they": "they", "level": "level", None: ""}


def print_comparison(rows: Sequence[Row], console: Console | None = None) -> None:
    """All rows, then in words where we are behind."""
    console = console or Console(width=None if Console().is_terminal else WIDTH)
    table = Table(pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("figure")
    table.add_column("of", no_wrap=True)
    for title in ("measured", "lowest to highest", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("behind", "load"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        for place, name in enumerate(_ours_first(row)):
            table.add_row(
                "" if place else row.name, *_cells(row, name), end_section=place == len(row.cells) - 1
            )
    console.print(table)
    for line in (LEGEND, WHAT_IS_COMPARED, *remarks(rows), *verdict(rows)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def remarks(rows: Sequence[Row]) -> list[str]:
    """What a reader must know of single figures, and why some are missing."""
    lines = [f"{row.name}: {row.note}" for row in rows if row.note]
    for row in rows:
        lines += [f"{row.name}, {name}: {cell.note}" for name, cell in row.cells.items() if cell.note]
        lines += [
            f"{row.name}, {name}: not measured: {cell.missing}"
            for name, cell in row.cells.items()
            if cell.missing
        ]
    return lines


def verdict(rows: Sequence[Row]) -> list[str]:
    """A line for each figure in which we are behind."""
    lines = []
    for row, peer in where_we_are_behind(rows):
        ratio = row.ratio(peer)
        by = f"{max(ratio, 1 / ratio):.2g} times" if ratio else "by any measure: one of both is 0"
        lines.append(f"We are behind {peer}, {by}: {row.name}")
    judged = sum(row.behind(peer) is not None for row in rows for peer in row.cells if peer != row.ours)
    return [*lines, f"Behind in {len(lines)} of {judged} comparisons."]


def _ours_first(row: Row) -> list[str]:
    return sorted(row.cells, key=lambda name: name != row.ours)


def _cells(row: Row, name: str) -> tuple[str, ...]:
    cell = row.cells[name]
    measured = cell.measured
    if measured is None:
        return name, "not measured", "", "", "", ""
    is_ours = name == row.ours
    ratio = None if is_ours else row.ratio(name)
    return (
        name,
        f"{'≥ ' if row.is_floor(name) else ''}{number(measured.value)} {row.unit}",
        spread(measured),
        f"{ratio:.2f}x" if ratio is not None else "",
        "" if is_ours else _BEHIND[row.behind(name)],
        " ".join(f"{part} {cores:.2f}" for part, cores in cell.load.items()),
    )


def told_of(facts: dict[str, Any]) -> list[str]:
    """Versions and settings of everybody, from the report."""
    lines = []
    for name, one in facts["contenders"].items():
        versions = ", ".join(f"{package} {version}" for package, version in one["versions"].items())
        lines.append(f"{name}: {versions}")
        lines += [f"    {setting}" for setting in one["settings"]]
    return lines
