"""From a sale to its being visible on other registers, while the shop sells 50 a second.

The product's relay and the bare one run side by side and are asked in turn, a sale each, and a bare commit
after them: whatever else the machine does at that moment slows all three.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.bounds.commit import BareCommits
from benchmarks.context import Bench, settle
from benchmarks.driver.bare import BareClient
from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.light import Client, Crowd, LightRegister, connect_all
from benchmarks.driver.processes import Usage, bare_relay, relay_process, this_process
from benchmarks.driver.shop import BenchShop, make_shop
from benchmarks.figures import COUNTING, Bound, Budget, Figure, Measured, percentile

SALES_PER_S = 50
OBSERVERS_MAX = 4
SELLERS_MAX = 8
TIMES_THE_BOUND_MAX = 1.3
SEEN_WITHIN_S = 30.0
ROW_BYTES = 880


@dataclass(frozen=True, slots=True)
class Size:
    """Widths, and sales per repeat."""

    widths: tuple[int, ...]
    sales: int
    repeats: int


SIZES = {
    "full": Size((2, 50, 200), 400, 3),
    "quick": Size((2, 50, 200), 100, 1),
    "smallest": Size((2, 5), 5, 1),
}


@dataclass(slots=True)
class Run:
    """One repeat: milliseconds from each sale to its observers, at both relays, and of each commit."""

    seen_ms: list[float]
    bare_ms: list[float]
    commits_ms: list[float]
    loads: dict[str, float]


class Lane:
    """One shop: its clients, of whom some sell and some look at the clock."""

    def __init__(self, width: int) -> None:
        self.crowd = Crowd()
        self.sellers: Sequence[Client] = ()
        self.watching = observers_of(width)
        self.seen_ms: list[float] = []
        self.is_counting = False
        self._left = 0
        self._sold_s = 0.0
        self._all_seen = asyncio.Event()

    async def sell(self, number: int) -> None:
        """Sell one, the clients in turn, and wait until the observers have it; the others catch up after."""
        self._left = len(self.watching)
        self._all_seen.clear()
        self._sold_s = time.perf_counter()
        self.sellers[number % len(self.sellers)].sell()
        async with asyncio.timeout(SEEN_WITHIN_S):
            await self._all_seen.wait()
        self.crowd.drain()
        self.crowd.check()

    def seen(self, _: object) -> None:
        """One observer has it."""
        if not self.is_counting:
            return
        self.seen_ms.append((time.perf_counter() - self._sold_s) * 1000)
        self._left -= 1
        if not self._left:
            self._all_seen.set()


def run(bench: Bench) -> list[Figure]:
    """Median and 99th percentile at each width."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    figures = []
    for width in size.widths:
        folder = bench.place(f"width-{width}")
        shop = make_shop(folder / "relay", width, bench.seed)
        chains = sealed_sales(shop.devices, -(-size.sales // _sellers(width)))
        runs = [
            await _once(folder / f"repeat-{repeat}", shop, chains, size.sales, bench.seed * 100 + repeat)
            for repeat in range(size.repeats)
        ]
        figures += _figures(width, size.sales, len(chains[0][-1]) + 1, runs)
    return figures


async def _once(
    folder: Path, shop: BenchShop, chains: Sequence[Sequence[bytes]], sales: int, seed: int
) -> Run:
    shutil.copytree(shop.folder, folder)
    width = len(shop.devices)
    lane = Lane(width)
    async with relay_process(folder, folder / "relay.log") as relay, bare_lane(width) as bare:
        registers = [
            LightRegister(
                lane.crowd,
                shop,
                device,
                sealed,
                seen=lane.seen if device.number in lane.watching else None,
            )
            for device, sealed in zip(shop.devices, chains, strict=True)
        ]
        await connect_all(lane.crowd, registers, relay.port, expected=2 + width + width - 1)
        lane.sellers = [one for one in registers if one.number not in lane.watching][:SELLERS_MAX]
        lane.is_counting = True
        usage = Usage(relay=relay.pid(), driver=this_process())
        commits_ms = await sell_at_pace((lane, bare), sales, seed, BareCommits(folder / "bare.db"))
        loads = usage.loads()
        lane.crowd.stop_ticking()
        for register in registers:
            register.close()
    return Run(lane.seen_ms, bare.seen_ms, commits_ms, loads)


@asynccontextmanager
async def bare_lane(width: int) -> AsyncIterator[Lane]:
    """The bare relay and its clients."""
    lane = Lane(width)
    async with bare_relay() as (port, _):
        clients = [
            BareClient(
                lane.crowd,
                bytes(ROW_BYTES),
                hears_itself=False,
                seen=lane.seen if number in lane.watching else None,
            )
            for number in range(width)
        ]
        for client in clients:
            await client.connect(port)
        lane.crowd.clients = list(clients)
        lane.sellers = [one for number, one in enumerate(clients) if number not in lane.watching][
            :SELLERS_MAX
        ]
        lane.is_counting = True
        yield lane
        for client in clients:
            client.socket.close()


async def sell_at_pace(lanes: Sequence[Lane], sales: int, seed: int, commits: BareCommits) -> list[float]:
    """Sell 50 a second, in each lane; milliseconds of a bare commit after each. Closes the commits' file."""
    settle()
    next_s, rng, took = time.perf_counter(), Random(seed), []
    for number in range(sales):
        # No rhythm that anything could fall into step with; on average 50 a second.
        next_s += rng.uniform(0.5, 1.5) / SALES_PER_S
        await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
        for lane in lanes:
            await lane.sell(number)
        began_s = time.perf_counter()
        commits.commit(ROW_BYTES)
        took.append((time.perf_counter() - began_s) * 1000)
    commits.close()
    return took


def observers_of(width: int) -> set[int]:
    """Which clients have a clock: spread over the order of joining, because relays serve some first."""
    count = min(OBSERVERS_MAX, width - 1)
    return {round((width - 1) * (place + 1) / count) for place in range(count)}


def _sellers(width: int) -> int:
    """How many sell, in turn: the first of those without a clock."""
    return min(SELLERS_MAX, width - len(observers_of(width)))


def _figures(width: int, sales: int, row_bytes: int, runs: Sequence[Run]) -> list[Figure]:
    size = {"registers": width, "sales": sales, "bytes": row_bytes, "observers": len(observers_of(width))}
    loads = {part: max(one.loads[part] for one in runs) for part in runs[0].loads}
    figures = []
    for name, part, budget in (("median", 0.5, Budget(TIMES_THE_BOUND_MAX, "ratio")), ("p99", 0.99, None)):
        values = [percentile(one.seen_ms, part) for one in runs]
        commits = [percentile(one.commits_ms, part) for one in runs]
        bare = [percentile(one.bare_ms, part) for one in runs]
        bounds = [ms + commit for ms, commit in zip(bare, commits, strict=True)]
        figures.append(
            Figure(
                f"sale to visible, {width} registers, {name}",
                "ms",
                Measured.of(values),
                Bound("bare relay, and one bare commit", Measured.of(bounds)),
                budget,
                COUNTING,
                paired=tuple(value / bound for value, bound in zip(values, bounds, strict=True)),
                size=size,
                load=loads,
                note=f"at {SALES_PER_S} sales/s; bound: relay {Measured.of(bare).value:.2g} ms, commit "
                f"{Measured.of(commits).value:.2g} ms",
            )
        )
    return figures
