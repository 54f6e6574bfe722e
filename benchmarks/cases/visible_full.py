"""From a sale to its being seen on another register, both of them full: two stores, two disks, a relay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.bounds.commit import BareCommits
from benchmarks.cases import visible
from benchmarks.context import Bench
from benchmarks.driver.processes import Usage, full_register, relay_process
from benchmarks.driver.shop import make_shop
from benchmarks.figures import FULL, Bound, Budget, Figure, Measured, percentile

COMMITS = 3
"""The selling register's, the relay's, and the other register's."""


@dataclass(frozen=True, slots=True)
class Size:
    """Sales per repeat."""

    sales: int
    repeats: int


SIZES = {"full": Size(300, 3), "quick": Size(100, 1), "smallest": Size(5, 1)}


def run(bench: Bench) -> list[Figure]:
    """Median and 99th percentile with two registers."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    runs = [await _once(bench, repeat, size.sales) for repeat in range(size.repeats)]
    figures = []
    for name, part, budget in (
        ("median", 0.5, Budget(visible.TIMES_THE_BOUND_MAX, "ratio")),
        ("p99", 0.99, None),
    ):
        values = [percentile(one.seen_ms, part) for one in runs]
        bounds = [percentile(one.bare_ms, part) + COMMITS * percentile(one.commits_ms, part) for one in runs]
        figures.append(
            Figure(
                f"sale to visible, 2 full registers, {name}",
                "ms",
                Measured.of(values),
                Bound(f"bare relay, and {COMMITS} bare commits", Measured.of(bounds)),
                budget,
                FULL,
                paired=tuple(value / bound for value, bound in zip(values, bounds, strict=True)),
                size={"registers": 2, "sales": size.sales},
                load={part: max(one.loads[part] for one in runs) for part in runs[0].loads},
                note=f"at {visible.SALES_PER_S} sales/s; from before `sell` to `observe`, three commits",
            )
        )
    return figures


async def _once(bench: Bench, repeat: int, sales: int) -> visible.Run:
    """The bound is measured in the same seconds, by this process."""
    folder = bench.place(f"repeat-{repeat}")
    shop = make_shop(folder / "relay", 0, bench.seed)
    seed = bench.seed * 100 + repeat
    async with relay_process(shop.folder, folder / "relay.log") as relay, visible.bare_lane(2) as bare:
        common = {"url": f"ws://127.0.0.1:{relay.port}", "sales": sales, "seed": seed}
        async with full_register(
            "watch", folder / "watching", code=shop.pairing_code(), name="Caisse 2", **common
        ) as watching:
            await watching.heard()
            async with full_register(
                "sell",
                folder / "selling",
                code=shop.pairing_code(),
                name="Caisse 1",
                per_s=visible.SALES_PER_S,
                **common,
            ) as selling:
                await selling.heard()
                usage = Usage(relay=relay.pid(), selling=selling.pid, watching=watching.pid)
                selling.go_on()
                commits = BareCommits(folder / "bare.db")
                commits_ms = await visible.sell_at_pace([bare], sales, seed, commits)
                began: dict[str, int] = (await selling.heard())["began"]
                seen: dict[str, int] = (await watching.heard())["seen"]
                loads = usage.loads()
    seen_ms = [(seen[link] - began_ns) / 1e6 for link, began_ns in began.items()]
    return visible.Run(seen_ms, bare.seen_ms, commits_ms, loads)
