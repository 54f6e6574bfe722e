"""From a sale to its being visible on other registers, while the shop sells 50 a second."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from collections.abc import Sequence
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
    "full": Size((2, 50, 200), 300, 3),
    "quick": Size((2, 50, 200), 100, 1),
    "smallest": Size((2, 5), 5, 1),
}


@dataclass(slots=True)
class Run:
    """One repeat: milliseconds from each sale to each of its observers."""

    seen_ms: list[float]
    loads: dict[str, float]


class Stopwatch:
    """When each row was sold, and when it was seen by so many observers."""

    def __init__(self, observers: int) -> None:
        self._observers = observers
        self._left = 0
        self._sold_s = 0.0
        self.seen_ms: list[float] = []
        self.all_seen = asyncio.Event()

    def sell(self, client: Client) -> None:
        """Sell one; the clock starts before it is sent."""
        self._left = self._observers
        self.all_seen.clear()
        self._sold_s = time.perf_counter()
        client.sell()

    def seen(self, _: object) -> None:
        """One observer has it."""
        self.seen_ms.append((time.perf_counter() - self._sold_s) * 1000)
        self._left -= 1
        if not self._left:
            self.all_seen.set()


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
        ours, bounds, commits = [], [], []
        for repeat in range(size.repeats):
            rng = Random(bench.seed * 100 + repeat)
            commits.append(_commit_ms(folder / "bare.db", size.sales))
            bounds.append(await _bare(width, size.sales, rng))
            ours.append(await _ours(folder, shop, chains, size.sales, repeat, rng))
        figures += _figures(width, size.sales, len(chains[0][-1]) + 1, ours, bounds, commits)
    return figures


async def _ours(
    folder: Path,
    shop: BenchShop,
    chains: Sequence[Sequence[bytes]],
    sales: int,
    repeat: int,
    rng: Random,
) -> Run:
    copy = folder / f"repeat-{repeat}"
    shutil.copytree(shop.folder, copy)
    crowd, width = Crowd(), len(shop.devices)
    watching = observers_of(width)
    watch = Stopwatch(len(watching))
    is_counting = False

    def seen(records: object) -> None:
        if is_counting:
            watch.seen(records)

    async with relay_process(copy, folder / "relay.log") as relay:
        registers = [
            LightRegister(crowd, shop, device, sealed, seen=seen if device.number in watching else None)
            for device, sealed in zip(shop.devices, chains, strict=True)
        ]
        await connect_all(crowd, registers, relay.port, expected=2 + width + width - 1)
        is_counting = True
        usage = Usage(relay=relay.pid(), driver=this_process())
        await _sell(crowd, watch, [one for one in registers if one.number not in watching], sales, rng)
        loads = usage.loads()
        crowd.stop_ticking()
        for register in registers:
            register.close()
    return Run(watch.seen_ms, loads)


async def _bare(width: int, sales: int, rng: Random) -> Run:
    crowd, watching = Crowd(), observers_of(width)
    watch = Stopwatch(len(watching))
    async with bare_relay() as (port, pid):
        clients = [
            BareClient(
                crowd,
                bytes(ROW_BYTES),
                hears_itself=False,
                seen=watch.seen if number in watching else None,
            )
            for number in range(width)
        ]
        for client in clients:
            await client.connect(port)
        crowd.clients = list(clients)
        usage = Usage(relay=pid, driver=this_process())
        sellers = [client for number, client in enumerate(clients) if number not in watching]
        await _sell(crowd, watch, sellers, sales, rng)
        loads = usage.loads()
        for client in clients:
            client.socket.close()
    return Run(watch.seen_ms, loads)


async def _sell(crowd: Crowd, watch: Stopwatch, sellers: Sequence[Client], sales: int, rng: Random) -> None:
    """Sell 50 a second; between two sales the others of the crowd catch up with their counting."""
    settle()
    sellers = [*sellers][: _sellers(len(crowd.clients))]
    pace_s = 1 / SALES_PER_S
    next_s = time.perf_counter()
    for number in range(sales):
        # No rhythm that anything could fall into step with; on average 50 a second.
        next_s += pace_s * rng.uniform(0.5, 1.5)
        await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
        watch.sell(sellers[number % len(sellers)])
        async with asyncio.timeout(SEEN_WITHIN_S):
            await watch.all_seen.wait()
        crowd.drain()
        crowd.check()


def observers_of(width: int) -> set[int]:
    """Which clients have a clock: spread over the order of joining, because relays serve some first."""
    count = min(OBSERVERS_MAX, width - 1)
    return {round((width - 1) * (place + 1) / count) for place in range(count)}


def _sellers(width: int) -> int:
    """How many sell, in turn: the first of those without a clock."""
    return min(8, width - min(OBSERVERS_MAX, width - 1))


def _commit_ms(path: Path, commits: int) -> float:
    bare = BareCommits(path)
    took = []
    for _ in range(commits):
        began_s = time.perf_counter()
        bare.commit(ROW_BYTES)
        took.append((time.perf_counter() - began_s) * 1000)
    bare.close()
    return statistics.median(took)


def _figures(
    width: int, sales: int, row_bytes: int, ours: list[Run], bounds: list[Run], commits: list[float]
) -> list[Figure]:
    size = {"registers": width, "sales": sales, "bytes": row_bytes, "observers": len(observers_of(width))}
    loads = {part: max(one.loads[part] for one in ours) for part in ours[0].loads}
    figures = []
    for name, part, budget in (("median", 0.5, Budget(TIMES_THE_BOUND_MAX, "ratio")), ("p99", 0.99, None)):
        values = [percentile(one.seen_ms, part) for one in ours]
        bare = [percentile(one.seen_ms, part) + ms for one, ms in zip(bounds, commits, strict=True)]
        figures.append(
            Figure(
                f"sale to visible, {width} registers, {name}",
                "ms",
                Measured.of(values),
                Bound("bare relay, and one bare commit", Measured.of(bare)),
                budget,
                COUNTING,
                paired=tuple(value / bound for value, bound in zip(values, bare, strict=True)),
                size=size,
                load=loads,
                note=f"at {SALES_PER_S} sales/s; the commit of the bound {statistics.median(commits):.2g} ms",
            )
        )
    return figures
