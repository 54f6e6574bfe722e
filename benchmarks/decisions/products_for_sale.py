"""What it takes until the products that have just come in can be sold: figures of ``docs/decisions``.

    python -m benchmarks.decisions.products_for_sale [--products 10000] [--repeats 3] [--profile]

A register whose log has the catalogue as records of updates, as a relay sends it, and whose views hold no
product yet. In turn: all products filed, as the thread beside a register does it; all of them listed; one of
them asked for. Seconds of processor time, the least of the repeats. Whoever files has admitted the records
before, so that what the scanner found in the newest of them is known; so it is here.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.context import settle
from crdtsync import Register
from crdtsync.ids import CATALOGUE_DOCUMENT, record_digest
from crdtsync.runtime.committing.scans import scan_record
from crdtsync.testing import wine


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.products_for_sale")
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="where the time of filing goes")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="crdtsync-products-") as folder:
        place = Path(folder) / "till"
        with Register.init(place, name="Caisse 1") as till:
            catalogue, now_ms = till.replica.catalogue, till.replica.clock.now_ms()
            made = wine.products(Random(1), options.products)
            catalogue.write([catalogue.view.draft_add(product, by="u-lea", at_ms=now_ms) for product in made])
        for _ in range(options.repeats):
            once(place, options.profile, taken)
    print(f"{options.products} products; seconds of processor time")
    for name, seconds in taken.items():
        print(f"  {name:<28} {min(seconds):6.3f}")


def once(place: Path, profiled: bool, taken: dict[str, list[float]]) -> None:
    """File, list, ask, with views that hold nothing."""
    with Register.open(place) as till:
        replica = till.replica

        def admit() -> None:
            for _, record in replica.log.document_records(CATALOGUE_DOCUMENT):
                scan_record(record, record_digest(record))

        with replica.store.transaction():
            replica.tables.drop()
            replica.tables.prepare()
        settle()
        taken.setdefault("admitted (read and scanned)", []).append(cpu_s(admit))
        taken.setdefault("filed", []).append(cpu_s(replica.file_catalogue, profiled=profiled))
        taken.setdefault("listed", []).append(cpu_s(lambda: list(till.products.list())))
        sku = next(till.products.list()).sku
        taken.setdefault("one of them asked for", []).append(cpu_s(lambda: till.products.get(sku)))


def cpu_s(act: Callable[[], object], *, profiled: bool = False) -> float:
    """Of one call."""
    profiler = cProfile.Profile(time.process_time)
    began_s = time.process_time()
    if profiled:
        profiler.runcall(act)
        pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(35)
    else:
        act()
    return time.process_time() - began_s


if __name__ == "__main__":
    main()
