"""A register with years of sales on its disk: opening it, the first sale, `crdtsync status`."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bounds.python import start_python
from benchmarks.context import Bench
from benchmarks.driver import commands as crdtsync
from benchmarks.driver.joined import Pair, joined_pair
from benchmarks.driver.processes import full_register
from benchmarks.figures import Bound, Budget, Figure, Measured
from crdtsync.runtime.folder.replica import STORE

OPEN_S_MAX = 0.5
RSS_MIB_MAX = 100.0
STATUS_MS_MAX = 150.0


@dataclass(frozen=True, slots=True)
class Size:
    """Ages in sales, and repeats."""

    ages: tuple[int, ...]
    products: int
    repeats: int


SIZES = {
    "full": Size((100_000, 1_000_000), 10_000, 11),
    "quick": Size((10_000,), 2_000, 5),
    "smallest": Size((300,), 20, 1),
}


def run(bench: Bench) -> list[Figure]:
    """Each command is a process, the start of Python included."""
    size = SIZES[bench.extent]
    figures: list[Figure] = []
    for age in size.ages:
        pair = asyncio.run(joined_pair(bench, age, products=size.products)).copied(
            bench.folder / f"pair-{age}"
        )
        figures += _opening(pair, age, size.repeats)
        figures += _commands(pair.till, age, size.repeats)
    return figures


def _opening(pair: Pair, age: int, repeats: int) -> list[Figure]:
    opened = [asyncio.run(_open(pair.till)) for _ in range(repeats)]
    store_mb = sum(path.stat().st_size for path in pair.till.glob(f"{STORE}*")) / 1e6
    what, sizes = f"register with {age:,} sales", {"sales": age, "rows": int(opened[0]["rows"])}
    return [
        Figure(
            f"{what}: opens",
            "s",
            Measured.of([one["open_s"] for one in opened]),
            None,
            Budget(OPEN_S_MAX),
            size=sizes,
            note=f"`Register.open` in a fresh process; {store_mb:.3g} MB on disk",
        ),
        Figure(
            f"{what}: memory",
            "MiB",
            Measured.of([one["rss_after_sale_mib"] for one in opened]),
            None,
            Budget(RSS_MIB_MAX),
            size=sizes,
            note=f"after a sale; {statistics.median(one['rss_mib'] for one in opened):.3g} MiB before it, "
            f"{opened[0]['rss_empty_mib']:.3g} MiB before it was opened",
        ),
        Figure(
            f"{what}: first sale",
            "ms",
            Measured.of([one["first_sale_s"] * 1000 for one in opened]),
            size=sizes,
            note="modules and key loaded meanwhile",
        ),
    ]


async def _open(folder: Path) -> dict[str, float]:
    async with full_register("open", folder) as register:
        return await register.heard()


def _commands(folder: Path, age: int, repeats: int) -> list[Figure]:
    figures = []
    commands = {"status": Budget(STATUS_MS_MAX), "sales": None, "--help": None}
    for command, budget in commands.items():
        arguments = crdtsync.command(command, None if command.startswith("-") else folder)
        crdtsync.run(arguments)
        python, ours = [], []
        for _ in range(repeats):
            python.append(crdtsync.timed_ms(start_python))
            ours.append(crdtsync.timed_ms(lambda: crdtsync.run(arguments)))  # noqa: B023
        figures.append(
            Figure(
                f"`crdtsync {command}`, {age:,} sales on disk",
                "ms",
                Measured.of(ours),
                Bound("start of Python", Measured.of(python)),
                budget,
                size={"sales": age},
                note="a process, the start of Python included",
            )
        )
    return figures
