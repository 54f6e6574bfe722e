"""What a budget cannot go below, as the product works: the sum of the steps that nothing can spare.

    python -m benchmarks.decisions.floors [--repeats 5]

Each step alone, in one process, with nothing around it; µs of processor time for each sale, the least of the
repeats; of signatures also the median of those that come after a pause, as where 50 are sold a second. Beside
each sum stands the budget of ``docs/how-to/measure.md``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.bounds.commit import BareCommits
from benchmarks.decisions.pack_of_the_past import PEER, Past
from crdtsync.ids import Origin
from crdtsync.model.admission import judge_run
from crdtsync.model.sealed import split
from crdtsync.model.signature import verify
from crdtsync.storage.pack import encode_pack
from crdtsync.testing.records import MadeUpChain
from crdtsync.testing.till import TERRINE, WINE, MemoryOwner

SALES = 2000
PAUSE_S, AFTER_PAUSES = 0.02, 150
COMMITS = 200
ROW_BYTES = 880


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.floors")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    steps = _of_entries(repeats) | _of_the_log(repeats)
    print("µs of processor time for each sale, the least of", repeats)
    for name, us in steps.items():
        print(f"  {name:<28} {us:6.1f}")
    taken_in = steps["unpack"] + steps["judge, in a run"]
    as_pack, singly = taken_in + steps["append as a pack"], taken_in + steps["append singly"]
    least = {
        "catch-up of 10,000, row by row: 0.2 s": singly * 10_000,
        "the same, if packs were kept: 0.2 s": as_pack * 10_000,
        "join of 100,000, complete: 1.5 s": as_pack * 100_000,
        "restore of 200,000, complete: 3 s": as_pack * 200_000,
        "join of 1,000,000, complete: 12 s": as_pack * 1_000_000,
        "1,000 sales at the relay: 0.132 s": (steps["verify"] + steps["append singly"]) * 1000,
        "a sale: twice a bare commit": steps["bare commit"] + steps["sign"],
    }
    print("and what comes of them, s (budget)")
    for name, us in least.items():
        print(f"  {name:<40} {us / 1e6:9.6f}" if us < 1000 else f"  {name:<40} {us / 1e6:6.3f}")


def _of_entries(repeats: int) -> dict[str, float]:
    owner = MemoryOwner()
    till = owner.enrol("Caisse 1")
    for _ in range(SALES):
        till.sell(WINE, TERRINE)
    sealed = [entry.sealed for entry in till.entries[-SALES:]]
    links = [entry.link for entry in till.entries[-SALES:]]
    parts = [split(data) for data in sealed]
    public, directory = till.key.public, owner.directory
    return {
        "sign": _least_us(lambda: [till.key.sign(body) for body, _ in parts], SALES, repeats),
        "verify": _least_us(lambda: [verify(public, *part) for part in parts], SALES, repeats),
        "judge, in a run": _least_us(lambda: judge_run(sealed, directory, links), SALES, repeats),
        "sign, after a pause": _after_pauses_us(lambda: till.key.sign(parts[0][0])),
        "verify, after a pause": _after_pauses_us(lambda: verify(public, *parts[0])),
    }


def _of_the_log(repeats: int) -> dict[str, float]:
    made = MadeUpChain(1).entries(SALES)
    items = [replace(item, origin=Origin(PEER, seq)) for seq, item in enumerate(made, start=1)]
    blob = encode_pack([(seq, item.record) for seq, item in enumerate(items, start=1)])
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="crdtsync-floors-") as folder:
        for repeat in range(repeats):
            past = Past(Path(folder) / str(repeat))
            ways: dict[str, Callable[[], object]] = {
                "unpack": lambda past=past: past.unpack(blob),
                "append singly": lambda past=past: past.append_singly(items),
                "append as a pack": lambda past=past: past.append_pack(blob, items),
            }
            for name, do in ways.items():
                taken.setdefault(name, []).append(_least_us(do, SALES, 1))
            past.close()
        bare = BareCommits(Path(folder) / "bare.db")
        commit = _least_us(lambda: [bare.commit(ROW_BYTES) for _ in range(COMMITS)], COMMITS, repeats)
        bare.close()
    return {name: min(each) for name, each in taken.items()} | {"bare commit": commit}


def _least_us(do: Callable[[], object], count: int, repeats: int) -> float:
    """Of one of ``count`` that each call does."""
    taken = []
    for _ in range(repeats):
        began_s = time.process_time()
        do()
        taken.append(time.process_time() - began_s)
    return min(taken) / count * 1e6


def _after_pauses_us(do: Callable[[], object]) -> float:
    taken = []
    for _ in range(AFTER_PAUSES):
        time.sleep(PAUSE_S)
        began_s = time.process_time()
        do()
        taken.append(time.process_time() - began_s)
    return statistics.median(taken) * 1e6


if __name__ == "__main__":
    main()
