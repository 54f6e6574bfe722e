"""After hours without a connection: 10,000 sales come to a register, and 10,000 go from one to the relay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bounds.answer import answered_s
from benchmarks.context import Bench
from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.history import FRESH, sell_meanwhile
from benchmarks.driver.joined import Pair, contents_of, joined_pair
from benchmarks.driver.light import Crowd, LightRegister
from benchmarks.driver.processes import Usage, full_register, relay_process
from benchmarks.figures import COUNTING, FULL, Bound, Budget, Figure, Measured, Receivers
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder

MS_MAX = 200.0
MB_MAX = 1.4


@dataclass(frozen=True, slots=True)
class Size:
    """How old the shop is, how many sales are new, and repeats."""

    age: int
    sales: int
    repeats: int


SIZES = {"full": Size(100_000, 10_000, 3), "quick": Size(10_000, 2_000, 1), "smallest": Size(300, 20, 1)}


def run(bench: Bench) -> list[Figure]:
    """Time, bytes and the relay's processor time, both ways; and a return with nothing new."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    pair = await joined_pair(bench, size.age)
    idle, caught_up, pushed, bounds = [], [], [], []
    for repeat in range(size.repeats):
        place = bench.folder / f"repeat-{repeat}"
        idle.append(await _catch_up(bench, pair.copied(place / "idle"), 0))
        caught_up.append(await _catch_up(bench, pair.copied(place / "catch-up"), size.sales))
        bounds.append(await answered_s(bench.folder, int(caught_up[-1]["moved_bytes"]), bench.seed))
        pushed.append(await _push(bench, pair.copied(place / "push"), size.sales))
    bound = Bound("the same bytes from the bare relay into a file", _in_ms(bounds))
    return [
        Figure(
            f"return of a full register, {size.age:,} sales on disk",
            "ms",
            _in_ms([one["seconds"] for one in idle]),
            receivers=FULL,
            size={"sales": size.age},
            note="opened already; until it knows that nothing is to be done",
        ),
        *_figures("catch-up", size, caught_up, bound, FULL),
        *_figures("push", size, pushed, bound, COUNTING),
    ]


async def _catch_up(bench: Bench, pair: Pair, sales: int) -> dict[str, Any]:
    if sales:
        sell_meanwhile(pair.shop, sales)
    rows = contents_of(pair.shop).rows
    async with relay_process(pair.shop.folder, bench.folder / "relay.log") as relay:
        usage = Usage(relay=relay.pid())
        async with full_register(
            "catch-up", pair.till, url=f"ws://127.0.0.1:{relay.port}", rows=rows
        ) as register:
            return await register.heard() | {"relay_cpu_s": usage.cpu_s("relay")}


async def _push(bench: Bench, pair: Pair, sales: int) -> dict[str, Any]:
    """From the connection until another register, connected already, has received all of it."""
    store = SqliteStore(DataFolder(pair.shop.folder).store)
    log = store.shop(pair.shop.shop.id)
    end, log_id = log.end, log.log_id
    store.close()
    device = pair.shop.devices[-FRESH]
    crowd = Crowd()
    async with relay_process(pair.shop.folder, bench.folder / "relay.log") as relay:
        observer = LightRegister(
            crowd, pair.shop, device, sealed_sales([device], 0)[0], cursor=end, cursor_log=log_id
        )
        crowd.clients = [observer]
        await observer.connect(relay.port)
        await crowd.until(lambda: observer.session.is_in_step)
        observer.begin()
        crowd.start_ticking()
        async with full_register(
            "push",
            pair.till,
            url=f"ws://127.0.0.1:{relay.port}",
            sales=sales,
            seed=bench.seed + 1,
        ) as register:
            await register.heard()
            usage = Usage(relay=relay.pid())
            register.go_on()
            await crowd.until(lambda: observer.progress >= sales)
            seen_ns = time.monotonic_ns()
            facts = await register.heard()
            cpu_s = usage.cpu_s("relay")
        crowd.stop_ticking()
        observer.close()
    acknowledged_s, seconds = facts["seconds"], (seen_ns - facts["began_ns"]) / 1e9
    return facts | {
        "seconds": max(seconds, acknowledged_s),
        "acknowledged_s": acknowledged_s,
        "relay_cpu_s": cpu_s,
    }


def _figures(
    name: str, size: Size, runs: Sequence[dict[str, Any]], bound: Bound, receivers: Receivers
) -> list[Figure]:
    sizes = {"sales": size.sales, "on disk": size.age}
    what = f"{name} of {size.sales:,} sales"
    cpu_s = Measured.of([one["relay_cpu_s"] for one in runs]).value
    return [
        Figure(
            f"{what}: time",
            "ms",
            _in_ms([one["seconds"] for one in runs]),
            bound,
            Budget(MS_MAX) if size.sales == 10_000 else None,
            receivers,
            size=sizes,
            note=f"all stored, {cpu_s:.2g} s of a processor at the relay"
            + (", acknowledged, and received by another" if name == "push" else ""),
        ),
        Figure(
            f"{what}: bytes",
            "MB",
            Measured.of([one["moved_bytes"] / 1e6 for one in runs]),
            None,
            Budget(MB_MAX) if size.sales == 10_000 else None,
            receivers,
            size=sizes,
            note="both ways, of the register that was away",
        ),
    ]


def _in_ms(seconds: Sequence[float]) -> Measured:
    return Measured.of([one * 1000 for one in seconds])
