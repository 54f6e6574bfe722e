"""As fast as it goes: a closed loop in which a sale is under way until every client knows it."""

from __future__ import annotations

import asyncio
import time

from benchmarks.driver.light import Crowd

UNDER_WAY = 128
PER_REGISTER_MIN = 2
TIMEOUT_S = 120.0
LOOK_EVERY_S = 0.5
"""How often the driver looks whether everybody is still there."""


def under_way_of(registers: int) -> int:
    """How many sales are under way in the whole shop."""
    return max(UNDER_WAY, PER_REGISTER_MIN * registers)


async def flat_out(crowd: Crowd, sales: int, under_way: int) -> float:
    """Sell that many, the clients in turn; seconds until all clients know all. Raises ``Closed``."""
    clients, sold, done_at = crowd.clients, 0, asyncio.Event()

    def turn() -> None:
        nonlocal sold
        crowd.drain()
        done = crowd.least_progress()
        for _ in range(min(done + under_way - sold, sales - sold)):
            clients[sold % len(clients)].sell()
            sold += 1
        if done >= sales:
            done_at.set()

    crowd.each_turn = turn
    waiting = asyncio.create_task(done_at.wait())
    began_s = time.perf_counter()
    turn()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not done_at.is_set():
                crowd.check()
                await asyncio.wait({waiting}, timeout=LOOK_EVERY_S)
    finally:
        waiting.cancel()
    ended_s = time.perf_counter()
    crowd.each_turn = lambda: None
    crowd.check()
    return ended_s - began_s
