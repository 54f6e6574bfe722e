"""A newcomer joins an old shop whose server was just started again."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.context import Bench, settle
from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.flat_out import flat_out
from benchmarks.driver.history import DEVICES, old_shop
from benchmarks.driver.joined import contents_of, join_once
from benchmarks.driver.light import Crowd, LightRegister
from benchmarks.driver.processes import peak_mib
from benchmarks.driver.shop import BenchShop
from benchmarks.peers.comparison import Row
from benchmarks.peers.contenders import Contender, Ours, Theirs, relay
from benchmarks.peers.server import ServerFailed
from benchmarks.peers.stand import Stand, interruptible

PRODUCTS = 100
REGISTERS = 4
PER_UPDATE = 500
UNDER_WAY = 8
RECEIVED_S_MAX = 120.0


async def run(stand: Stand) -> None:
    """Everybody's history is made first; then each repeat starts a server again and joins it."""
    what = f"join, {stand.size.history:,} sales, server restarted"
    rows = [
        stand.row(
            f"{what}: all received",
            "s",
            note="peers: applied to a document in memory; ours: unpacked and counted; nothing is kept",
        ),
        stand.row(
            f"{what}: all kept",
            "s",
            note="ours: a full register, from the pairing code on, all on its disk, chains checked; "
            "peers: as above, in memory only",
        ),
        stand.row(
            f"{what}: first sale possible",
            "s",
            note="ours: today's sales and the products are on disk and one is sold, the past comes after; "
            "peers: as above",
        ),
        stand.row(f"{what}: received", "MB"),
        stand.row(f"{what}: server's peak memory", "MiB"),
    ]
    ready: dict[str, Any] = {}
    for contender in stand.contenders:
        made = await stand.attempt(contender, rows, lambda one=contender: _made(stand, one))  # type: ignore[misc]
        if made is not None:
            ready[contender.name] = made
    for repeat in range(stand.size.repeats):
        for contender in stand.in_turn(repeat):
            if contender.name in ready:
                await _once(stand, contender, ready[contender.name], rows, repeat)


async def _made(stand: Stand, contender: Contender) -> Any:
    place = stand.place("join", contender.name)
    if isinstance(contender, Ours):
        bench = Bench(place, stand.place("join", "shared"), "full", stand.seed)
        with interruptible():
            return old_shop(bench, stand.size.history, products=PRODUCTS)
    each = stand.size.history // (REGISTERS * PER_UPDATE)
    prepared = stand.prepare(contender, place, REGISTERS, each, at_once=PER_UPDATE)
    crowd = Crowd()
    async with contender.connected(prepared, place / "data", crowd, REGISTERS, {}) as served:
        await flat_out(crowd, each * REGISTERS, UNDER_WAY)
        await served.server.until_idle()
        await served.server.stop()
    return each * REGISTERS * PER_UPDATE


async def _once(stand: Stand, contender: Contender, made: Any, rows: list[Row], repeat: int) -> None:
    async def step() -> tuple[float, ...]:
        if isinstance(contender, Ours):
            return await _join_ours(made, stand.place("join", contender.name), repeat)
        assert isinstance(contender, Theirs)
        return await _join_theirs(contender, stand.place("join", contender.name) / "data", made)

    if (found := await stand.attempt(contender, rows, step)) is not None:
        for row, value in zip(rows, found, strict=True):
            row.cell(contender.name).add(repeat, value)


async def _join_ours(shop: BenchShop, folder: Path, repeat: int) -> tuple[float, ...]:
    """A client that counts, and then a full register; the relay started again for each."""
    device = shop.devices[DEVICES + repeat]
    crowd = Crowd()
    newcomer = LightRegister(crowd, shop, device, sealed_sales([device], 0)[0])
    rows = contents_of(shop).rows
    loop = asyncio.get_running_loop()
    async with relay(shop.folder) as server:
        settle()
        crowd.clients = [newcomer]
        crowd.start_ticking()
        try:
            began_s = loop.time()
            await newcomer.connect(server.port)
            await crowd.until(lambda: newcomer.received >= rows, timeout_s=RECEIVED_S_MAX)
            received_s = loop.time() - began_s
            received_bytes, peak = newcomer.socket.bytes_received, peak_mib(server.pid)
        finally:
            crowd.stop_ticking()
            newcomer.close()
        await server.stop()
    facts = await join_once(shop, contents_of(shop), folder / f"till-{repeat}", folder / "relay.log")
    return (
        received_s,
        facts["complete_s"],
        facts["usable_s"],
        received_bytes / 1e6,
        max(peak, facts["relay_peak_mib"]),
    )


async def _join_theirs(contender: Theirs, data: Path, sales: int) -> tuple[float, ...]:
    async with contender.serve(data) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "benchmarks.peers.joining"),
            *(contender.name, str(server.port), str(REGISTERS), str(sales)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise ServerFailed(f"the newcomer ended with {process.returncode}")
        facts = json.loads(out)
        peak = peak_mib(server.pid)
        await server.stop()
    if facts["sales"] < sales:
        raise ServerFailed(f"only {facts['sales']:,} of {sales:,} sales were there after the restart")
    return facts["seconds"], facts["seconds"], facts["seconds"], facts["bytes"] / 1e6, peak
