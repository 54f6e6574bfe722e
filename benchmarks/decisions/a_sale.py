"""What computing a sale takes, beside a bare commit of as many bytes: figures of ``docs/decisions``.

    python -m benchmarks.decisions.a_sale [--turns 12] [--sales 100] [--folder DIR] [--profile]

The carts of the case ``sale`` of `make bench`, sold by a register that nobody synchronises; sales and bare
commits take turns, and sales of the same carts by the SKUs of a catalogue, as people sell. Processor time of
the process, the kernel's included; the median of the turns, and the least of them. With ``--profile`` the
functions by time instead.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.bounds.commit import BareCommits
from benchmarks.context import settle
from crdtsync import Register
from crdtsync.runtime.register.tickets import BasketLine
from crdtsync.testing import wine

PRODUCTS = 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.a_sale")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--sales", type=int, default=100, help="sales, and bare commits, in each turn")
    parser.add_argument(
        "--folder", type=Path, help="where the register is made; a temporary folder by default"
    )
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    rng = Random(1)
    products = wine.products(rng, PRODUCTS)
    # Made beforehand: a cart takes a sixth of what a sale does.
    carts = iter(list(wine.carts(rng, products, (2 * options.turns + 1) * options.sales)))
    with (
        tempfile.TemporaryDirectory(prefix="crdtsync-sale-", dir=options.folder) as folder,
        Register.init(Path(folder) / "till", name="Caisse 1") as till,
    ):
        till.open_day(10_000)
        catalogue, now_ms = till.replica.catalogue, till.replica.clock.now_ms()
        catalogue.write([catalogue.view.draft_add(product, by="u-lea", at_ms=now_ms) for product in products])
        till.replica.file_catalogue()

        def sell() -> None:
            cart = next(carts)
            till.sell(cart.lines, cart.payments)

        def sell_by_sku() -> None:
            lines = [BasketLine(line.sku, line.quantity_thousandths) for line in next(carts).lines]
            till.sell(lines, ["card"])

        before = till.end.seq
        for _ in range(options.sales):
            sell()
        size = till.replica.log.read(before, bytes_max=1 << 30).records_bytes // options.sales
        settle()
        if options.profile:
            profile(sell, (options.turns) * options.sales)
            return
        bare = BareCommits(Path(folder) / "bare.db")
        taken: dict[str, list[float]] = {"a sale": [], "a sale by SKU": [], "a bare commit": []}
        for _ in range(options.turns):
            taken["a bare commit"].append(cpu_us(lambda: bare.commit(size), options.sales))
            taken["a sale"].append(cpu_us(sell, options.sales))
            taken["a sale by SKU"].append(cpu_us(sell_by_sku, options.sales))
        bare.close()
    print(f"{options.turns} turns of {options.sales} of each, {size} bytes; µs of processor time")
    for name, each in taken.items():
        print(f"  {name:<16} {statistics.median(each):7.1f}  least {min(each):7.1f}")


def cpu_us(act: Callable[[], None], times: int) -> float:
    """Of one, on average."""
    began_s = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - began_s) / times * 1e6


def profile(act: Callable[[], None], times: int) -> None:
    """Print where the time goes. Small functions look dearer than they are."""
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    for _ in range(times):
        act()
    profiler.disable()
    stats = pstats.Stats(profiler).strip_dirs()
    stats.sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
