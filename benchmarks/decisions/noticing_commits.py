"""How soon one process notices what another commits, and what that costs while nothing happens.

    python -m benchmarks.decisions.noticing_commits

One process commits sales one by one, with pauses of 50 to 90 ms; another one looks. The time from the end of
a commit to its being noticed is taken from the clock that all processes share. Figures of
``docs/decisions/noticing-commits.md``.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from crdtsync.ids import Item, record_digest, update_record
from crdtsync.runtime.committing import watch as commit_watch
from crdtsync.runtime.committing.watch import CommitWatch
from crdtsync.storage.sqlite import SqliteStore

SHOP = bytes(16)
SALES = 150
IDLE_S = 8.0


def main() -> None:
    """Measure and print."""
    print("how                              noticed after (ms): median  90 %   slowest   idle: % of a core")
    for name, prepare in WAYS.items():
        waited_ms = sorted(asyncio.run(noticed(prepare)))
        share = asyncio.run(idle(prepare))
        ninth = waited_ms[int(len(waited_ms) * 0.9)]
        print(
            f"{name:<44}{statistics.median(waited_ms):>15.2f}{ninth:>7.2f}{waited_ms[-1]:>10.2f}{share:>16.2f}"
        )


def told(file: Path) -> Path | None:
    """Told by the system."""
    return file


def polling(every_s: float, busy_s: float) -> Callable[[Path], Path | None]:
    """Looking so often, and so often after something was found."""

    def prepare(_: Path) -> None:
        commit_watch.POLL_EVERY_S, commit_watch.POLL_BUSY_S = every_s, busy_s  # type: ignore[misc]

    return prepare


WAYS: dict[str, Callable[[Path], Path | None]] = {
    "told by inotify": told,
    "looking every 2 ms": polling(0.002, 0.002),
    "looking every 20 ms (before)": polling(0.020, 0.020),
    "every 25 ms, every 4 ms after a commit": polling(0.025, 0.004),
}


async def noticed(prepare: Callable[[Path], Path | None]) -> list[float]:
    """Milliseconds from the end of each commit to its being noticed."""
    with tempfile.TemporaryDirectory() as folder:
        file = new_store(Path(folder))
        reader = SqliteStore(file)
        seen: list[tuple[int, float]] = []
        version = [reader.data_version()]

        def look() -> bool:
            if (now := reader.data_version()) == version[0]:
                return False
            version[0] = now
            seen.append((reader.shop(SHOP).end.seq, time.monotonic()))
            return True

        watch = CommitWatch(prepare(file), look)
        watch.start()
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=sell, args=(file, there))
        process.start()
        committed: list[float] = await asyncio.to_thread(here.recv)
        process.join()
        watch.stop()
        reader.close()
    found = {}
    for seq, at_s in seen:
        for number in range(seq, 0, -1):
            if number in found:
                break
            found[number] = at_s
    return [max(0.0, found[n] - at_s) * 1000 for n, at_s in enumerate(committed, 1) if n in found]


async def idle(prepare: Callable[[Path], Path | None]) -> float:
    """Percent of a core while nothing happens."""
    with tempfile.TemporaryDirectory() as folder:
        file = new_store(Path(folder))
        reader = SqliteStore(file)
        version = reader.data_version()
        watch = CommitWatch(prepare(file), lambda: reader.data_version() != version)
        watch.start()
        began_s, spent_s = time.monotonic(), time.process_time()
        await asyncio.sleep(IDLE_S)
        share = (time.process_time() - spent_s) / (time.monotonic() - began_s)
        watch.stop()
        reader.close()
    return 100 * share


def new_store(folder: Path) -> Path:
    """A store with one empty shop."""
    file = folder / "register.sqlite"
    store = SqliteStore(file)
    with store.transaction():
        store.create_shop(SHOP, bytes(16))
    store.close()
    return file


def sell(file: Path, answer: Connection) -> None:
    """The other process: commit sales, and tell when each commit had ended."""
    chance = random.Random(1)
    store = SqliteStore(file)
    log = store.shop(SHOP)
    committed = []
    for number in range(SALES):
        time.sleep(chance.uniform(0.05, 0.09))
        record = update_record("x/sales", b"%d" % number + bytes(900))
        with store.transaction():
            log.append(Item(record, "x/sales", record_digest(record)))
        committed.append(time.monotonic())
    store.close()
    answer.send(committed)


if __name__ == "__main__":
    main()
