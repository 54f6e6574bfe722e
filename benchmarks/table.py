"""The figures as a table, and what is said of the budgets that are missed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Measured

WIDTH = 180
"""Where the table does not go to a terminal."""

_RECEIVERS = {"full registers": "full", "clients that count": "count", "none": ""}


LEGEND = (
    "receivers: full registers, or clients that count; load: cores used; ratio: to the bound beside it; "
    "(n): repeats; floor: the driver was as good as full, the product may do better.\n"
)


def print_table(figures: Sequence[Figure], console: Console | None = None) -> None:
    """One line each: figure, spread, bound, ratio, budget, receivers, load."""
    console = console or Console(width=None if Console().is_terminal else WIDTH)
    table = Table(title=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("figure")
    for title in ("measured", "lowest to highest", "bound", "ratio", "budget"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("", "receivers", "load"):
        table.add_column(title, no_wrap=True)
    for figure in figures:
        bound = figure.bound
        table.add_row(
            figure.name,
            f"{number(figure.measured.value)} {figure.unit}{' floor' if figure.is_floor else ''}",
            spread(figure.measured),
            f"{number(bound.measured.value)} {figure.unit}" if bound else "",
            f"{figure.ratio:.2f}x" if figure.ratio is not None else "",
            budget_text(figure),
            {True: "met", False: "[bold]missed[/bold]", None: ""}[figure.is_met],
            _RECEIVERS[figure.receivers],
            " ".join(f"{part} {load:.2f}" for part, load in figure.load.items()),
        )
    console.print(table)
    console.print(LEGEND, highlight=False)
    missed = [figure for figure in figures if figure.is_met is False]
    for figure in missed:
        assert figure.missed_by is not None
        why = f" ({figure.note})" if figure.note else ""
        console.print(f"[bold]missed[/bold] by {figure.missed_by:.0%}: {figure.name}{why}", highlight=False)
    judged = sum(figure.is_met is not None for figure in figures)
    console.print(f"{judged - len(missed)} of {judged} budgets are met.", highlight=False)


def budget_text(figure: Figure) -> str:
    """What it is held to."""
    budget = figure.budget
    if budget is None:
        return ""
    sign = "≥" if budget.at_least else "≤"
    return f"{sign} {number(budget.limit)}{'x' if budget.of == 'ratio' else ' ' + figure.unit}"


def spread(measured: Measured) -> str:
    """The lowest and the highest of the repeats."""
    if measured.n == 1:
        return "once"
    return f"{number(measured.low)} – {number(measured.high)} ({measured.n})"


def number(value: float) -> str:
    """Three digits that count; thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
