"""One case, in a process of its own: nothing that another case left in memory is measured with it.

python -m benchmarks.one_case NAME --extent quick --seed 1 --folder DIR --shared DIR --out FILE
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from benchmarks.context import EXTENTS, Bench


def main() -> None:
    """Measure one case and write its figures to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_case", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--extent", choices=(*EXTENTS, "long"), default="full")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    case = importlib.import_module(f"benchmarks.cases.{arguments.name}")
    figures = case.run(Bench(arguments.folder, arguments.shared, arguments.extent, arguments.seed))
    arguments.out.write_text(json.dumps([figure.to_json() for figure in figures]), encoding="utf-8")


if __name__ == "__main__":
    main()
