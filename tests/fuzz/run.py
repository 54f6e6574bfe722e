"""``make fuzz``: look for inputs that a target cannot bear, for some minutes, and tell what was run.

Ends with 1 where something was found: the input is in a file, and the command that plays it on is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.fuzz import targets
from tests.fuzz.figures import Figures, measure
from tests.fuzz.keep import keep
from tests.fuzz.target import CPU_S_MAX, kept_inputs

ROOT: Final = Path(__file__).parents[2]
HANGING_S: Final = 120
"""By the clock: for what never comes back to Python, where the bound on processor time is looked at."""

RESIDENT_MB_MAX: Final = 1024
"""Of the whole process, for what grows from input to input."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the fuzzer did with one target."""

    executions: int
    cpu_s: float
    edges: int
    resident_mb: int
    slowest_cpu_s: float
    largest_bytes: int
    found: Path | None
    output: str


def main(words: list[str] | None = None) -> int:
    """Run, print, and answer the exit status."""
    options = _options(words)
    names = options.target.split(",") if options.target else list(targets.MODULES)
    if unknown := [name for name in names if name not in targets.MODULES]:
        print(f"no target {', '.join(unknown)}: {', '.join(targets.MODULES)}")
        return 2
    has_found = False
    for name in names:
        folder = options.work / name
        _begin(name, folder)
        campaign = _fuzz(name, folder, options)
        if campaign.executions == 0 and campaign.found is None:
            print(campaign.output)
            return 2
        _tell(name, campaign, folder, options.seed)
        if campaign.found is not None:
            has_found = True
        elif options.keep:
            print(f"{name}: {keep(name, folder / 'corpus')}")
    return 1 if has_found else 0


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="", help=f"of {', '.join(targets.MODULES)}; all by default")
    parser.add_argument("--minutes", type=float, default=1, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="put what brings coverage into the kept corpus")
    parser.add_argument("--work", type=Path, default=ROOT / ".make" / "fuzz", help="where inputs are grown")
    return parser.parse_args(words)


def _begin(name: str, folder: Path) -> None:
    """The seeds and what is kept, beside what earlier runs have grown."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.seeds", name, str(corpus)]
    subprocess.run(command, cwd=ROOT, env=_environment(), check=True)
    for path in kept_inputs(name):
        shutil.copy(path, corpus / sha256(path.read_bytes()).hexdigest()[:16])


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONHASHSEED": "0"}


def _fuzz(name: str, folder: Path, options: argparse.Namespace) -> Campaign:
    costs, found = folder / "costs.json", folder / "found"
    costs.unlink(missing_ok=True)
    found.mkdir(exist_ok=True)
    earlier = set(found.iterdir())
    command = [
        *(sys.executable, "-m", "tests.fuzz.worker", name, str(costs), str(folder / "corpus")),
        *(f"-artifact_prefix={found}/", f"-max_total_time={round(options.minutes * 60)}"),
        *(f"-seed={options.seed}", f"-timeout={HANGING_S}", f"-rss_limit_mb={RESIDENT_MB_MAX}"),
        *(f"-max_len={targets.load(name).input_bytes_max}", "-len_control=0", "-print_final_stats=1"),
        # By the clock it means that the machine was busy: what is slow is measured in processor time.
        f"-report_slow_units={10 * HANGING_S}",
    ]
    begin_s = _children_cpu_s()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    cpu_s = _children_cpu_s() - begin_s
    new = sorted(set(found.iterdir()) - earlier)
    stats = dict(re.findall(r"^stat::(\w+):\s+(\d+)", done.stdout, re.MULTILINE))
    if done.returncode != 0 and not new:
        stats = {}  # It never came so far as to fuzz.
    said = json.loads(costs.read_text()) if costs.exists() else {}
    return Campaign(
        executions=int(stats.get("number_of_executed_units", 0)),
        cpu_s=cpu_s,
        edges=max(map(int, re.findall(r"cov: (\d+)", done.stdout)), default=0),
        resident_mb=int(stats.get("peak_rss_mb", 0)),
        slowest_cpu_s=said.get("slowest_cpu_s", 0.0),
        largest_bytes=said.get("largest_bytes", 0),
        found=new[0] if new else None,
        output=done.stdout,
    )


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tell(name: str, campaign: Campaign, folder: Path, seed: int) -> None:
    grown = sorted((folder / "corpus").iterdir())
    size_kb = sum(path.stat().st_size for path in grown) >> 10
    memory_mb_max = targets.load(name).memory_bytes_max >> 20
    print(
        f"{name}: {campaign.executions:,} executions (seed {seed}) in {campaign.cpu_s:.0f} s "
        f"of processor time, {campaign.executions / (campaign.cpu_s or 1):,.0f} a second\n"
        f"  {campaign.edges} edges, {len(grown)} inputs of {size_kb} KB, "
        f"slowest {campaign.slowest_cpu_s * 1000:.0f} ms of {CPU_S_MAX * 1000:.0f}, "
        f"largest {campaign.largest_bytes / 2**20:.1f} MB of {memory_mb_max}, "
        f"process {campaign.resident_mb} MB",
        flush=True,
    )
    if campaign.found is None:
        for line in _figures(measure(name, grown)):
            print(f"  {line}")
        return
    print(*_reason(campaign.output), sep="\n")
    print(f"found: {campaign.found}")
    print(f"again: {sys.executable} -m tests.fuzz.play {name} {campaign.found}", flush=True)


def _reason(output: str) -> list[str]:
    """The last lines of what was raised, or what libFuzzer says of a hang or the end of a process."""
    raised = re.search(r"=== Uncaught Python exception: ===\n(.*?)\n(?===|\n)", output, re.DOTALL)
    return (raised[1] if raised else output).splitlines()[-12:]


def _figures(figures: Figures) -> Iterator[str]:
    for module, lines in figures.modules.items():
        yield f"{module}: {lines}"
    yield f"together {figures.together}; one of these inputs takes {figures.largest_bytes >> 10} KB at most"


if __name__ == "__main__":
    sys.exit(main())
