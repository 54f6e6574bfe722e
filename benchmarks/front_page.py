"""The README's table of speed, from what `make bench` measured: `make speed`.

    python -m benchmarks.front_page [--figures .make/bench/figures.json]... [--page README.md]

Every figure that is held to a budget, met or missed, with the command that measures it. Figures of several
files are put together, later files first; what the page had of cases that are in none is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import CASES, OUT
from benchmarks.figures import Figure
from benchmarks.table import budget_text, number, spread

PAGE: Final = Path("README.md")
BEGIN: Final = "<!-- What stands from here to the end of the table was written by `make speed`. -->\n"
END: Final = "<!-- The end of the table. -->\n"

_HEAD = (
    "| work | measured | lowest to highest | to its bound | budget | | command |\n"
    "|---|---|---|---|---|---|---|\n"
)


def main() -> int:
    """Write the table; 1 where there are no figures of full size."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.front_page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--figures", type=Path, action="append")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in options.figures or [OUT]]
    small = [report["extent"] for report in reports if report["extent"] not in ("full", "long")]
    if small:
        print(f"measured with {small[0]} sizes: the front page has full ones", file=sys.stderr)
        return 1
    text = options.page.read_text(encoding="utf-8")
    options.page.write_text(with_table(text, table(reports)), encoding="utf-8")
    print(f"written: {options.page}")
    return 0


def table(reports: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: what was measured by what, when, on what, and a line for each figure with a budget."""
    cases: dict[str, tuple[Mapping[str, Any], list[Figure]]] = {}
    for report in reports:
        for name, facts in report["cases"].items():
            cases[name] = report, [Figure.from_json(one) for one in facts]
    lines = []
    for name in (name for name in CASES if name in cases):
        report, figures = cases[name]
        lines += [_line(figure, name, report["seed"]) for figure in figures if figure.is_met is not None]
    judged = [figure for _, figures in cases.values() for figure in figures if figure.is_met is not None]
    met = sum(bool(figure.is_met) for figure in judged)
    days = sorted({report["began"][:10] for report, _ in cases.values()})
    machine = next(iter(cases.values()))[0]["machine"]
    said = f"{met} of {len(judged)} budgets are met. Measured {' and '.join(days)} on {_machine(machine)}.\n"
    return f"{_HEAD}{''.join(lines)}\n{said}"


def with_table(page: str, written: str) -> str:
    """The page with this table in the place of the one that it has. Raises ``ValueError`` without a place."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for a table")
    return f"{before}{BEGIN}\n{written}{END}{after}"


def _line(figure: Figure, case: str, seed: int) -> str:
    measured = f"{number(figure.measured.value)} {figure.unit}"
    if figure.is_floor:
        measured += f" (a floor: the driver used {figure.load['driver']:.2f} of a core)"
    ratio = f"{figure.ratio:.2f}x" if figure.ratio is not None else ""
    receivers = "" if figure.receivers == "none" else f" ({figure.receivers})"
    columns = (
        f"{figure.name}{receivers}",
        measured,
        spread(figure.measured),
        ratio,
        budget_text(figure),
        "met" if figure.is_met else "**missed**",
        f"`make bench CASE={case} SEED={seed}`",
    )
    return f"| {' | '.join(columns)} |\n"


def _machine(facts: Mapping[str, Any]) -> str:
    return f"{facts['cores']} cores ({facts['processor']}), Python {facts['python']}"


if __name__ == "__main__":
    sys.exit(main())
