"""``kill -9`` in the very moment in which another register has the last of ten sales; then a newcomer counts.

The registers that know the sales do not come back: what is asked is what the server had made durable of what
it had let others show.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from benchmarks.driver.light import Crowd
from benchmarks.peers.contenders import Contender
from benchmarks.peers.server import Server, ServerFailed
from benchmarks.peers.stand import Stand

SALES = 10
APART_S = 0.005
SHOWN_S_MAX = 30.0


async def run(stand: Stand) -> None:
    """So many tries of each."""
    tries = stand.size.kills
    lost = stand.row(
        f"sales lost of {SALES * tries} that another register had, kill -9 at the last echo", "sales"
    )
    for contender in stand.contenders:
        place = stand.place("kill", contender.name)
        prepared = stand.prepare(contender, place, 3, SALES)

        async def step(one: Contender = contender, place: Path = place, made: Any = prepared) -> list[int]:
            return [await _kill_once(one, made, place / f"try-{number}") for number in range(tries)]

        if (found := await stand.attempt(contender, (lost,), step)) is not None:
            cell = lost.cell(contender.name)
            cell.add(0, sum(found))
            cell.note = f"something was lost in {sum(map(bool, found))} of {tries} tries"


async def _kill_once(contender: Contender, prepared: Any, folder: Path) -> int:
    """How many are lost."""
    shown = 0
    server: Server | None = None
    killed = asyncio.Event()

    def seen(what: Any) -> None:
        nonlocal shown
        if server is None:
            return
        shown += what if isinstance(what, int) else len(what)
        if shown >= SALES:
            server.kill()
            killed.set()

    async with contender.connected(prepared, folder, Crowd(), 2, {1: seen}) as served:
        server = served.server
        await _sell(served.registers[0], killed, server)
    return SALES - await contender.survivors(prepared, folder, SALES)


async def _sell(seller: Any, killed: asyncio.Event, server: Server) -> None:
    for _ in range(SALES):
        seller.sell()
        await asyncio.sleep(APART_S)
    try:
        async with asyncio.timeout(SHOWN_S_MAX):
            await killed.wait()
    except TimeoutError:
        raise ServerFailed(f"the other register did not have the sales within {SHOWN_S_MAX:.0f} s") from None
    await server.ended()
