"""So many bytes from a relay that has them in memory, into a file, with fsync."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from random import Random

from benchmarks.driver.processes import bare_relay
from benchmarks.driver.socket import LightSocket


async def answered_s(folder: Path, size: int, seed: int) -> float:
    """Seconds from opening the socket until they are on the disk."""
    answer = folder / "answer"
    answer.write_bytes(Random(seed).randbytes(size))
    async with bare_relay(answer=answer) as (port, _):
        received, all_there = 0, asyncio.Event()
        frames: list[bytes] = []

        def take(frame: bytes) -> None:
            nonlocal received
            frames.append(frame)
            received += len(frame)
            if received >= size:
                all_there.set()

        began_s = time.perf_counter()
        socket = await LightSocket.open(port, "/", take)
        await all_there.wait()
        with (folder / "received").open("wb") as file:
            file.writelines(frames)
            file.flush()
            os.fsync(file.fileno())
        seconds = time.perf_counter() - began_s
        socket.close()
    return seconds
