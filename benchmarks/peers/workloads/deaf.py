"""Registers that join and never read again, while others sell: what that costs the server's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.driver.flat_out import flat_out
from benchmarks.driver.light import Crowd
from benchmarks.driver.processes import MIB, peak_mib
from benchmarks.peers.contenders import Contender
from benchmarks.peers.stand import Stand

SELLERS = 4
UNDER_WAY = 128


async def run(stand: Stand) -> None:
    """The same sales twice: nobody deaf, and so many deaf."""
    readers, mib = stand.size.deaf_readers, stand.size.deaf_mib
    grown = stand.row(
        f"server memory for {readers} readers that never read, {mib} MiB of sales",
        "MiB",
        note="peak with them less peak without; peers get their sales in updates of 100",
    )
    for contender in stand.contenders:
        place = stand.place("deaf", contender.name)
        at_once = contender.per_update
        each = -(-mib * MIB // (contender.sale_bytes * at_once * SELLERS))
        prepared = stand.prepare(contender, place, SELLERS, each, at_once=at_once, silent=readers)
        times = each * SELLERS

        async def step(
            one: Contender = contender, place: Path = place, made: Any = prepared, times: int = times
        ) -> tuple[float, float]:
            without = await _peak_mib(one, made, place / "without", times, 0)
            return without, await _peak_mib(one, made, place / "with", times, readers)

        if (found := await stand.attempt(contender, (grown,), step)) is not None:
            without, with_deaf = found
            cell = grown.cell(contender.name)
            cell.add(0, max(0.0, with_deaf - without))
            cell.note = f"{with_deaf:.0f} MiB with them, {without:.0f} MiB without"


async def _peak_mib(contender: Contender, prepared: Any, folder: Path, times: int, deaf: int) -> float:
    crowd = Crowd()
    async with contender.connected(prepared, folder, crowd, SELLERS + deaf, {}) as served:
        for register in served.registers[SELLERS:]:
            register.socket.pause()
        crowd.clients = list(served.registers[:SELLERS])
        await flat_out(crowd, times, min(UNDER_WAY, times))
        return peak_mib(served.server.pid)
