"""Lines and branches of the product that a set of inputs runs through, and what the largest of them takes.

Measured apart from the fuzzer, in a process of its own: its counters say *more than before*, not how much of
what there is. ``python -m tests.fuzz.figures TARGET FILE_WITH_PATHS`` prints them as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import coverage

from tests.fuzz import targets
from tests.fuzz.target import memory_bytes_of

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Figures:
    """``modules`` and ``together`` are sentences about lines and branches."""

    modules: dict[str, str]
    together: str
    largest_bytes: int


def measure(name: str, files: Sequence[Path]) -> Figures:
    """The figures of these inputs. Raises ``CalledProcessError`` where one of them is a finding."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
        names.write("\n".join(map(str, files)))
        names.flush()
        command = [sys.executable, "-m", "tests.fuzz.figures", name, names.name]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = json.loads(said)
    return Figures(found["modules"], found["together"], found["largest_bytes"])


def _main(name: str, names: Path) -> None:
    inputs = [Path(line).read_bytes() for line in names.read_text().splitlines()]
    specs = [importlib.util.find_spec(module) for module in targets.MODULES[name]]
    files = [spec.origin for spec in specs if spec is not None and spec.origin is not None]
    measured = coverage.Coverage(data_file=None, branch=True, include=files, config_file=False)
    measured.exclude("if TYPE_CHECKING:")
    measured.start()
    target = targets.load(name)
    for data in inputs:
        target.run(data)
    measured.stop()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        measured.json_report(outfile=str(report))
        told = json.loads(report.read_text())
    largest = max((memory_bytes_of(target, data) for data in inputs), default=0)
    modules = {file: _sentence(facts["summary"]) for file, facts in told["files"].items()}
    print(
        json.dumps({"modules": modules, "together": _sentence(told["totals"]), "largest_bytes": largest}),
    )


def _sentence(totals: dict[str, Any]) -> str:
    lines, of_lines = totals["covered_lines"], totals["num_statements"]
    branches, of_branches = totals["covered_branches"], totals["num_branches"]
    share = (lines + branches) / ((of_lines + of_branches) or 1)
    return f"{lines} of {of_lines} lines, {branches} of {of_branches} branches ({share:.0%})"


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
