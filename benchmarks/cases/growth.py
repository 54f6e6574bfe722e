"""What a till does all day, on a shop of ever more sales: it should cost the same after ten years."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.context import Bench
from benchmarks.driver import commands
from benchmarks.driver.joined import Pair, joined_pair
from benchmarks.driver.processes import full_register, relay_process
from benchmarks.figures import FULL, NONE, Figure, Measured, Receivers

BULK = 20
"""Sales in each process whose median is one repeat."""


@dataclass(frozen=True, slots=True)
class Size:
    """Ages in sales, products, and repeats."""

    ages: tuple[int, ...]
    products: int
    repeats: int


SIZES = {
    "long": Size((10_000_000,), 10_000, 5),
    "full": Size((1_000, 10_000, 100_000, 1_000_000), 10_000, 5),
    "quick": Size((1_000, 10_000), 2_000, 3),
    "smallest": Size((100, 300), 20, 1),
}

NAMES = ("opening", "a sale", "coming back with nothing new", "`crdtsync status`", "showing today")
"""As they are called in figures and in the plot. What an age is of is in ``size``."""


def name_of(what: str, sales: int) -> str:
    """A figure's name."""
    return f"growth, {sales:,} sales: {what}"


def run(bench: Bench) -> list[Figure]:
    """Figures of each age. No register has filed its past before."""
    size = SIZES[bench.extent]
    return [figure for sales in size.ages for figure in _of_age(bench, sales, size)]


def _of_age(bench: Bench, sales: int, size: Size) -> list[Figure]:
    original = asyncio.run(joined_pair(bench, sales, products=size.products))
    pair = original.copied(bench.folder / f"pair-{sales}")
    found = asyncio.run(_use(pair, size.repeats))
    return [
        Figure(
            name_of(what, sales),
            "ms",
            Measured.of(found[what]),
            receivers=_receivers(what),
            size={"sales": sales},
            note=_NOTES[what],
        )
        for what in NAMES
    ]


def _receivers(what: str) -> Receivers:
    return FULL if what == NAMES[2] else NONE


_NOTES = {
    NAMES[0]: "`Register.open` in a fresh process",
    NAMES[1]: f"median of {BULK}",
    NAMES[2]: "a full register, from `start_sync` until both know that they are in step; it looks every 2 ms",
    NAMES[3]: "a process, the start of Python included",
    NAMES[4]: "list and report of the running business day, all registers",
}


async def _use(pair: Pair, repeats: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    async with relay_process(pair.shop.folder, pair.shop.folder.parent / "relay.log") as relay:
        url = f"ws://127.0.0.1:{relay.port}"
        await _come_back(pair, url)
        for _ in range(repeats):
            facts = await _heard("use", pair, sales=BULK)
            found[NAMES[0]].append(facts["open_s"] * 1000)
            found[NAMES[1]].append(statistics.median(facts["sale_s"]) * 1000)
            found[NAMES[4]].append(statistics.median(facts["today_s"]) * 1000)
            await _come_back(pair, url)  # With the sales of just now.
            found[NAMES[2]].append(await _come_back(pair, url))
            found[NAMES[3]].append(await asyncio.to_thread(_status_ms, pair))
    return found


def _status_ms(pair: Pair) -> float:
    arguments = commands.command("status", pair.till)
    return commands.timed_ms(lambda: commands.run(arguments))


async def _come_back(pair: Pair, url: str) -> float:
    return float((await _heard("catch-up", pair, url=url, rows=0))["seconds"]) * 1000


async def _heard(action: str, pair: Pair, **options: object) -> dict[str, Any]:
    async with full_register(action, pair.till, **options) as register:
        return await register.heard()
