"""The processor time of a register that joins an old shop: figures of ``docs/decisions``.

    python -m benchmarks.decisions.joining [--sales 100000] [--products 10000] [--repeats 1] [--folder DIR]

The steps of the case ``join`` of `make bench`, which tells times by the clock: these mean little on a machine
that does something else as well. A folder that is given keeps the shop for the next run. With
``CRDTSYNC_BENCH_PROFILE=DIR`` relay and register write there where their time goes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from benchmarks.context import Bench
from benchmarks.driver.history import old_shop
from benchmarks.driver.joined import contents_of, join_once

TOLD = {
    "sells_cpu_s": "register, until it sells, s",
    "usable_cpu_s": "register, until usable, s",
    "complete_cpu_s": "register, until complete, s",
    "relay_cpu_s": "relay, s",
    "enrolled_s": "by the clock, until enrolled, s",
    "first_on_disk_s": "until products and today are on disk, s",
    "sells_s": "until it sells, s",
    "usable_s": "until all products can be listed, s",
    "complete_s": "until complete, s",
    "peak_mib": "register's memory, MiB",
    "relay_peak_mib": "relay's memory, MiB",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.joining")
    parser.add_argument("--sales", type=int, default=100_000)
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crdtsync-joining-") as folder:
        shared = options.folder or Path(folder) / "shared"
        asyncio.run(measure(Bench(Path(folder), shared, "full", 1), options))


async def measure(bench: Bench, options: argparse.Namespace) -> None:
    """Join so many times, and print what each took."""
    shop = old_shop(bench, options.sales, products=options.products)
    contents, joins = contents_of(shop), []
    for repeat in range(options.repeats):
        joins.append(
            await join_once(shop, contents, bench.folder / f"till-{repeat}", bench.folder / "relay.log")
        )
    print(f"join of {options.sales:,} sales and {options.products:,} products, {options.repeats} times")
    for name, words in TOLD.items():
        print(f"  {words:<32} {', '.join(f'{join[name]:.2f}' for join in joins)}")


if __name__ == "__main__":
    main()
