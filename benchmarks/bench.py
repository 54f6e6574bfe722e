"""What the product costs, against bounds measured in the same run: `make bench`.

    python -m benchmarks.bench [--quick] [--case NAME]... [--seed 1] [--json FILE] [--folder DIR]

Every case runs in a process of its own, the relay is ``crdtsync-relay serve`` as a process, over sockets on
this machine. A figure is the median of its repeats. See ``docs/how-to/measure.md``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.context import EXTENTS
from benchmarks.figures import Figure
from benchmarks.machine import describe_machine
from benchmarks.table import print_table

CASES = (
    "sale",
    "visible",
    "visible_full",
    "throughput",
    "join",
    "restore",
    "reconnect",
    "catch_up",
    "old_register",
    "growth",
    "crowds",
    "office",
    "till",
)
"""In this order."""

OUT = Path(".make/bench/figures.json")
VERSION = 1
"""Of the file's form."""


class CaseFailed(Exception):
    """A case could not be measured."""


def main() -> int:
    """Measure, print, write; 1 if a case failed. Budgets that are missed are told, not an error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, about a minute")
    parser.add_argument("--extent", choices=(*EXTENTS, "long"), help=argparse.SUPPRESS)
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; can be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of baskets, keys and pauses")
    parser.add_argument("--json", type=Path, default=OUT, help=f"where the figures go (default {OUT})")
    parser.add_argument("--folder", type=Path, help="where shops are made; a temporary folder by default")
    arguments = parser.parse_args()
    extent = arguments.extent or ("quick" if arguments.quick else "full")
    console = Console(stderr=True)
    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="crdtsync-bench-", dir=arguments.folder) as folder:
        cases = arguments.case or CASES
        for report in measure(Path(folder), cases, extent=extent, seed=arguments.seed, console=console):
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(report)
    print(f"All of it: {arguments.json}")
    return 1 if report["failed"] else 0


def measure(
    folder: Path, cases: Sequence[str], *, extent: str, seed: int, console: Console
) -> Iterator[dict[str, Any]]:
    """The report after each case: machine, cases, figures. A case that fails is named, and the others are
    measured.
    """
    shared = folder / "shared"
    shared.mkdir()
    report: dict[str, Any] = {
        "version": VERSION,
        "extent": extent,
        "seed": seed,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": describe_machine(),
        "cases": {},
        "failed": {},
    }
    for name in cases:
        began_s = time.perf_counter()
        with console.status(f"{name} …"):
            try:
                report["cases"][name] = _measure_one(folder / name, shared, name, extent, seed)
            except CaseFailed as error:
                report["failed"][name] = str(error)
        console.print(f"{name}: {time.perf_counter() - began_s:.0f} s", highlight=False)
        yield report


def _measure_one(folder: Path, shared: Path, name: str, extent: str, seed: int) -> list[dict[str, Any]]:
    folder.mkdir()
    out = folder / "figures.json"
    command = [sys.executable, "-m", "benchmarks.one_case", name, "--extent", extent, "--seed", str(seed)]
    command += ["--folder", str(folder), "--shared", str(shared), "--out", str(out)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise CaseFailed(f"{name} ended with {done.returncode}:\n{done.stderr.strip()}")
    figures: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
    return figures


def _print(report: dict[str, Any]) -> None:
    machine = report["machine"]
    print(
        f"\n{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, SQLite "
        f"{machine['sqlite']}, seed {report['seed']}, load before {machine['load_before']}"
    )
    if report["extent"] != "full":
        print(f"Sizes: {report['extent']}. Smaller than the budgets speak of: for a first look only.")
    print()
    print_table([Figure.from_json(facts) for figures in report["cases"].values() for facts in figures])
    for name, reason in report["failed"].items():
        print(f"\nFAILED: {name}\n{reason}")


if __name__ == "__main__":
    sys.exit(main())
