"""What a tag costs on a frame, and the keys of a connection: figures of the decision on frames without TLS.

    python -m benchmarks.decisions.tags

Processor time of this process, the best of five runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from crdtsync.protocol.binding import Line, public_key

RUNS, REPEATS = 5, 2_000


def main() -> None:
    """Measure and print."""
    there, back = Line(b"\x01" * 32, connecting=True), Line(b"\x02" * 32, connecting=False)
    peer = public_key(b"\x01" * 32)
    keys_us = best_us(lambda: Line(b"\x02" * 32, connecting=False).bind(peer, b"hellos"), 200)
    print(f"keys of a connection, one end: {keys_us:.0f} µs")
    there.bind(public_key(b"\x02" * 32), b"hellos")
    back.bind(peer, b"hellos")
    for size in (120, 1_000, 16_000, 128_000, 1_000_000):
        frame = bytes(size)
        tagged_us = best_us(lambda frame=frame: there.tagged([frame]), REPEATS * 1000 // (size + 1000) + 20)
        print(f"a frame of {size:,} bytes: {tagged_us:.1f} µs at each end")


def best_us(work: Callable[[], object], repeats: int) -> float:
    """Processor time of one call, in microseconds."""
    found = []
    for _ in range(RUNS):
        began_s = time.process_time()
        for _ in range(repeats):
            work()
        found.append((time.process_time() - began_s) / repeats)
    return min(found) * 1e6


if __name__ == "__main__":
    main()
