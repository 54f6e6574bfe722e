"""What it costs to have memory for a message: with the C library's settings, and as the relay sets them.

    python -m benchmarks.decisions.memory_of_messages

``read``: the message of one sale, read from a socket as asyncio does, with 256 KiB and with 64 KiB reserved
for it. ``join``: the rows of a commit made into a message, and that into what is written to the socket, for
one device. Figures of ``docs/decisions/fan-out.md``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Final

from crdtsync_server.serving.memory import keep_freed_memory

SALE: Final = b"x" * 950
REPEATS, CALLS = 20, 200


def main() -> None:
    """Print microseconds of processor time, the least of some repeats."""
    print("with the C library's settings")
    _measure()
    print("as the relay sets them" if keep_freed_memory() else "this C library has no such setting")
    _measure()


def _measure() -> None:
    ours, theirs = socket.socketpair()

    def read(reserved: int) -> float:
        spent = 0.0
        for _ in range(CALLS):
            theirs.send(SALE)
            began = time.thread_time()
            ours.recv(reserved)
            spent += time.thread_time() - began
        return spent

    for kib in (256, 64):
        print(f"  read, {kib} KiB reserved: {_least(lambda kib=kib: read(kib << 10)):.1f} us")
    for sales in (50, 100, 200):
        rows = memoryview(os.urandom(900 * sales))
        print(f"  join, {sales} sales: {_least(lambda rows=rows: _join(rows)):.1f} us")
    ours.close()
    theirs.close()


def _join(rows: memoryview) -> float:
    began = time.thread_time()
    for _ in range(CALLS):
        message = b"".join([b"head", rows[: len(rows) // 2], rows[len(rows) // 2 + 900 :], b"tail"])
        b"".join([b"frame", message])
    return time.thread_time() - began


def _least(spent: Callable[[], float]) -> float:
    return min(spent() for _ in range(REPEATS)) / CALLS * 1e6


if __name__ == "__main__":
    main()
