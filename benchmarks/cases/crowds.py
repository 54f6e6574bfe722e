"""Connections that do nothing, readers that never read, and a message that is far too large."""

from __future__ import annotations

import asyncio
import resource
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context import Bench
from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.flat_out import flat_out, under_way_of
from benchmarks.driver.light import Crowd, LightRegister, connect_all
from benchmarks.driver.processes import MIB, bare_relay, peak_mib, relay_process, rss_mib
from benchmarks.driver.shop import BenchShop, make_shop, make_shops
from benchmarks.driver.socket import LightSocket
from benchmarks.figures import COUNTING, Bound, Budget, Figure, Measured
from benchmarks.replay.relay import RelayProcess
from crdtsync.runtime.syncing.address import SYNC_PATH

IDLE_KIB_MAX = 25.0
DEAF_MIB_MAX = 1.0
HUGE_BYTES = 64 << 20
SMALL_BYTES = 10
SELLERS = 4
FILES_BESIDE = 256


@dataclass(frozen=True, slots=True)
class Size:
    """Idle connections, each in a shop of its own; deaf readers, and sales that they do not hear."""

    idle: int
    deaf: int
    sales: int


SIZES = {
    "full": Size(500, 20, 36_000),
    "quick": Size(100, 20, 6_000),
    "smallest": Size(5, 2, 40),
}


def run(bench: Bench) -> list[Figure]:
    """Memory of the relay."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    _allow_open_files(2 * size.idle + FILES_BESIDE)
    return [
        await _idle(bench, size.idle),
        *await _deaf(bench, size),
        await _huge(bench),
    ]


async def _idle(bench: Bench, count: int) -> Figure:
    shops = make_shops(bench.folder / "idle", count, bench.seed)
    crowd = Crowd()
    async with relay_process(shops[0].folder, bench.folder / "relay.log") as relay:
        sealed = sealed_sales([shop.devices[0] for shop in shops], 0)
        registers = [
            LightRegister(crowd, shop, shop.devices[0], own) for shop, own in zip(shops, sealed, strict=True)
        ]
        # The first connection pays for what all of them share.
        await connect_all(crowd, registers[:1], relay.port, expected=3)
        before = rss_mib(relay.pid())
        for register in registers[1:]:
            await register.connect(relay.port)
        crowd.clients = list(registers)
        await crowd.until(lambda: all(one.received >= 3 and one.session.is_in_step for one in registers))
        after = rss_mib(relay.pid())
        crowd.stop_ticking()
        for register in registers:
            register.close()
    bare_kib = await _bare_kib(count)
    return Figure(
        "relay memory per idle connection",
        "KiB",
        Measured.of([(after - before) * 1024 / (count - 1)]),
        Bound("bare relay", Measured.of([bare_kib])),
        Budget(IDLE_KIB_MAX),
        COUNTING,
        size={"connections": count, "shops": count},
        note="each in a shop of its own, signed in and in step",
    )


async def _bare_kib(count: int) -> float:
    async with bare_relay() as (port, pid):
        sockets = [await LightSocket.open(port, "/", lambda _: None)]
        before = rss_mib(pid)
        sockets += [await LightSocket.open(port, "/", lambda _: None) for _ in range(count - 1)]
        after = rss_mib(pid)
        for socket in sockets:
            socket.close()
    return (after - before) * 1024 / (count - 1)


async def _deaf(bench: Bench, size: Size) -> list[Figure]:
    """The same sales twice: nobody deaf, and so many who joined and never read again."""
    shop = make_shop(bench.folder / "deaf", SELLERS + size.deaf, bench.seed)
    sealed = sealed_sales(shop.devices[:SELLERS], -(-size.sales // SELLERS))
    sealed += sealed_sales(shop.devices[SELLERS:], 0)
    without = await _peak_mib(bench, shop, sealed, size.sales, deaf=0)
    with_deaf = await _peak_mib(bench, shop, sealed, size.sales, deaf=size.deaf)
    sold_mib = size.sales * len(sealed[0][-1]) / MIB
    return [
        Figure(
            "relay memory per reader that never reads",
            "MiB",
            Measured.of([max(0.0, with_deaf - without) / size.deaf]),
            None,
            Budget(DEAF_MIB_MAX),
            COUNTING,
            size={"readers": size.deaf, "sales": size.sales},
            note=f"peak while {sold_mib:.0f} MiB of sales go by: {with_deaf:.0f} MiB with them, "
            f"{without:.0f} MiB without",
        )
    ]


async def _peak_mib(
    bench: Bench, shop: BenchShop, sealed: Sequence[Sequence[bytes]], sales: int, *, deaf: int
) -> float:
    crowd = Crowd()
    async with _copy_served(bench, shop, f"deaf-{deaf}") as relay:
        registers = [
            LightRegister(crowd, shop, device, own) for device, own in zip(shop.devices, sealed, strict=True)
        ][: SELLERS + deaf]
        count = len(registers)
        await connect_all(crowd, registers, relay.port, expected=2 + len(shop.devices) + count - 1)
        for one in registers[SELLERS:]:
            one.socket.pause()
        crowd.clients = list(registers[:SELLERS])
        await flat_out(crowd, sales, under_way_of(SELLERS))
        peak = peak_mib(relay.pid())
        crowd.stop_ticking()
        for register in registers:
            register.close()
    return peak


async def _huge(bench: Bench) -> Figure:
    """One message of 64 MiB, from somebody who has not even said who it is. Before it comes one of some
    bytes, as to any relay: what its first connection of all takes is no matter of a message's size.
    """
    shop = make_shop(bench.folder / "huge", 0, bench.seed)
    async with relay_process(shop.folder, bench.folder / "relay.log") as relay:
        unused = rss_mib(relay.pid())
        await _turned_away(relay, bytes(SMALL_BYTES))
        before = rss_mib(relay.pid())
        refusal = await _turned_away(relay, bytes(HUGE_BYTES))
        grown = max(0.0, peak_mib(relay.pid()) - before)
    return Figure(
        "a message of 64 MiB: memory of the relay",
        "MiB",
        Measured.of([grown]),
        None,
        Budget(DEAF_MIB_MAX),
        size={"bytes": HUGE_BYTES},
        note=f"refused: {refusal}; one of {SMALL_BYTES} bytes before it, the relay's first, took "
        f"{max(0.0, before - unused):.2g} MiB",
    )


async def _turned_away(relay: RelayProcess, data: bytes) -> str:
    """Send that instead of a hello; what the relay says when it hangs up."""
    ended = asyncio.Event()
    socket = await LightSocket.open(relay.port, SYNC_PATH, lambda _: None)
    socket.on_end = ended.set
    socket.send(data)
    async with asyncio.timeout(60):
        await ended.wait()
    return socket.closed


@asynccontextmanager
async def _copy_served(bench: Bench, shop: BenchShop, name: str) -> AsyncIterator[RelayProcess]:
    folder: Path = bench.folder / name
    shutil.copytree(shop.folder, folder)
    async with relay_process(folder, bench.folder / "relay.log") as relay:
        yield relay


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
