"""Sales per second, all registers receiving all, and what that costs the relay."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context import Bench, settle
from benchmarks.driver.bare import BareClient
from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.flat_out import flat_out, under_way_of
from benchmarks.driver.light import Crowd, LightRegister, connect_all
from benchmarks.driver.processes import Usage, bare_relay, metrics, peak_mib, relay_process, this_process
from benchmarks.driver.shop import BenchShop, make_shop
from benchmarks.figures import COUNTING, Bound, Budget, Figure, Measured

MERGE_MS = 2.0
BEST_PEER = {2: 12_500, 10: 11_400, 50: 8_200, 200: 5_100}
"""Sales per second of the quickest peer at each width, not durable and not verified, of 305 bytes: see
``docs/how-to/measure.md``.
"""

CPU_S_PER_1000_MAX = 0.05 + 0.082
"""0.05 s and what verifying a signature per sale costs, where no two sales of a register came together."""


@dataclass(frozen=True, slots=True)
class Size:
    """Sales per repeat at each width."""

    sales: dict[int, int]
    repeats: int


SIZES = {
    "full": Size({2: 20_000, 10: 20_000, 50: 15_000, 200: 8_000}, 3),
    "quick": Size({2: 6_000, 10: 6_000, 50: 4_000, 200: 2_000}, 1),
    "smallest": Size({2: 40, 5: 40}, 1),
}


@dataclass(slots=True)
class Run:
    """One repeat: of ours, or of the bound."""

    rate: float
    cpu_s_per_1000: float
    peak_mib: float
    loads: dict[str, float]
    commits: float = 0.0
    commit_ms: float = 0.0
    committing: float = 0.0


def run(bench: Bench) -> list[Figure]:
    """Rates at each width, and the relay's processor time."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    figures = []
    for registers, sales in size.sales.items():
        folder = bench.place(f"width-{registers}")
        shop = make_shop(folder / "relay", registers, bench.seed)
        chains = sealed_sales(shop.devices, -(-sales // registers))
        row_bytes = len(chains[0][-1]) + 1
        ours, bounds = [], []
        for repeat in range(size.repeats):
            bounds.append(await _bare(registers, sales, row_bytes))
            ours.append(await _ours(folder, shop, chains, sales, repeat))
        figures += _figures(registers, sales, row_bytes, ours, bounds)
    return figures


async def _ours(
    folder: Path, shop: BenchShop, chains: Sequence[Sequence[bytes]], sales: int, repeat: int
) -> Run:
    """A copy of the relay's folder each time: every repeat begins with a shop that has sold nothing."""
    copy = folder / f"repeat-{repeat}"
    shutil.copytree(shop.folder, copy)
    crowd = Crowd()
    async with relay_process(copy, folder / "relay.log") as relay:
        registers = [
            LightRegister(crowd, shop, device, sealed)
            for device, sealed in zip(shop.devices, chains, strict=True)
        ]
        width = len(registers)
        # The owner, the relay's certificate, one certificate and one first entry of each of the others.
        await connect_all(crowd, registers, relay.port, expected=2 + width + width - 1)
        before = await metrics(relay.port)
        settle()
        usage = Usage(relay=relay.pid(), driver=this_process())
        seconds = await flat_out(crowd, sales, under_way_of(width))
        loads, cpu_s = usage.loads(), usage.cpu_s("relay")
        after = await metrics(relay.port)
        crowd.stop_ticking()
        for register in registers:
            register.close()
        commits = after["commits_total"] - before["commits_total"]
        commit_s = after["commit_seconds_sum"] - before["commit_seconds_sum"]
        return Run(
            sales / seconds,
            cpu_s / sales * 1000,
            peak_mib(relay.pid()),
            loads,
            commits,
            commit_s / max(1, commits) * 1000,
            commit_s / seconds,
        )


async def _bare(width: int, sales: int, row_bytes: int) -> Run:
    crowd = Crowd()
    async with bare_relay(merge_ms=MERGE_MS) as (port, pid):
        clients = [BareClient(crowd, bytes(row_bytes), hears_itself=True) for _ in range(width)]
        for client in clients:
            await client.connect(port)
        crowd.clients = list(clients)
        settle()
        usage = Usage(relay=pid, driver=this_process())
        seconds = await flat_out(crowd, sales, under_way_of(width))
        loads, cpu_s = usage.loads(), usage.cpu_s("relay")
        for client in clients:
            client.socket.close()
        return Run(sales / seconds, cpu_s / sales * 1000, peak_mib(pid), loads)


def _figures(registers: int, sales: int, row_bytes: int, ours: list[Run], bounds: list[Run]) -> list[Figure]:
    size = {"registers": registers, "sales": sales, "bytes": row_bytes, "under way": under_way_of(registers)}
    loads = {part: max(one.loads[part] for one in ours) for part in ours[0].loads}
    bound = f"bare relay that merges {MERGE_MS:g} ms"
    per_commit = Measured.of([sales / max(1.0, one.commits) for one in ours])
    best = BEST_PEER.get(registers)
    return [
        Figure(
            f"sales/s, {registers} registers",
            "/s",
            Measured.of([one.rate for one in ours]),
            Bound(bound, Measured.of([one.rate for one in bounds])),
            Budget(best, at_least=True) if best else None,
            COUNTING,
            paired=tuple(one.rate / other.rate for one, other in zip(ours, bounds, strict=True)),
            size=size,
            load=loads,
            note=f"{per_commit.value:.3g} sales a commit of {ours[0].commit_ms:.3g} ms with verifying; the "
            f"committer is busy {max(one.committing for one in ours):.0%} of the time; relay at most "
            f"{max(one.peak_mib for one in ours):.0f} MiB; driver of the bound "
            f"{max(one.loads['driver'] for one in bounds):.2f}",
        ),
        Figure(
            f"relay CPU per 1,000 sales, {registers} registers",
            "s",
            Measured.of([one.cpu_s_per_1000 for one in ours]),
            Bound(bound, Measured.of([one.cpu_s_per_1000 for one in bounds])),
            Budget(CPU_S_PER_1000_MAX),
            COUNTING,
            size=size,
            load=loads,
        ),
    ]
