"""How what a till does all day grows with the age of its shop, drawn: `make plot`.

    python -m benchmarks.plot [--figures .make/bench/figures.json …] [--out docs/explanation/growth.svg]

It draws what case ``growth`` of `make bench` wrote, and of `make bench-long` where that was run. Needs
matplotlib.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import OUT
from benchmarks.cases.growth import NAMES, name_of

PAGE: Final = Path("docs/explanation/growth.svg")
WIDTH_IN, HEIGHT_IN = 7.5, 4.5

LONG: Final = OUT.with_name("growth.json")

Course = dict[str, list[tuple[int, float, float, float]]]
"""By name: (sales, median, lowest, highest), milliseconds."""


def main() -> int:
    """Draw it; 1 where the figures have no growth."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--figures", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    files = options.figures or [OUT, *filter(Path.exists, [LONG])]
    course = course_of(*(json.loads(file.read_text(encoding="utf-8")) for file in files))
    if not any(course.values()):
        print(f"{', '.join(map(str, files))} has no figures of the case `growth`", file=sys.stderr)
        return 1
    draw(course, options.out)
    print(f"drawn: {options.out}")
    return 0


def course_of(*reports: dict[str, Any]) -> Course:
    """The points of each line, by age."""
    course: Course = {name: [] for name in NAMES}
    for facts in (one for report in reports for one in report["cases"].get("growth", ())):
        sales = facts["size"]["sales"]
        for name in NAMES:
            if facts["name"] == name_of(name, sales):
                course[name].append((sales, facts["value"], facts["low"], facts["high"]))
    return {name: sorted(points) for name, points in course.items()}


def draw(course: Course, out: Path) -> None:
    """Write an SVG: the same figures make the same file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "crdtsync", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, HEIGHT_IN))
    for name, points in course.items():
        if points:
            ages, values, lows, highs = zip(*points, strict=True)
            axes.plot(ages, values, marker="o", label=name.replace("`", ""))
            axes.fill_between(ages, lows, highs, alpha=0.15)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("sales of the shop, on the register's disk")
    axes.set_ylabel("ms: median, lowest to highest")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    sys.exit(main())
