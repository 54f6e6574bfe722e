"""A new register joins an old shop: until today's sales and the products are there, until all is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bounds.answer import answered_s
from benchmarks.context import Bench
from benchmarks.driver.history import old_shop
from benchmarks.driver.joined import Contents, contents_of, join_once
from benchmarks.figures import FULL, Bound, Budget, Figure, Measured

USABLE_S_MAX = 0.5
COMPLETE_S_MAX = {100_000: 1.5, 1_000_000: 12.0}
WIRE_MB_MAX = {100_000: 13.0}
RELAY_MIB_MAX = {1_000_000: 100.0}


@dataclass(frozen=True, slots=True)
class Size:
    """Sales, products, and repeats of each age."""

    ages: tuple[tuple[int, int], ...]
    products: int


SIZES = {
    "full": Size(((100_000, 3), (1_000_000, 1)), 10_000),
    "quick": Size(((10_000, 1),), 2_000),
    "smallest": Size(((300, 1),), 20),
}


def run(bench: Bench) -> list[Figure]:
    """Times, bytes and memory for each age of the shop."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    figures = []
    for sales, repeats in size.ages:
        shop = old_shop(bench, sales, products=size.products)
        contents = contents_of(shop)
        joins, bounds = [], []
        for repeat in range(repeats):
            till = bench.folder / f"till-{sales}-{repeat}"
            joins.append(await join_once(shop, contents, till, bench.folder / "relay.log"))
            bounds.append(await answered_s(bench.folder, int(joins[-1]["moved_bytes"]), bench.seed))
        figures += _figures(sales, size.products, contents, joins, bounds)
    return figures


def _figures(
    sales: int,
    products: int,
    contents: Contents,
    joins: Sequence[dict[str, Any]],
    bounds: Sequence[float],
) -> list[Figure]:
    size = {"sales": sales, "products": products, "rows": contents.rows}
    bound = Bound("the same bytes from the bare relay into a file", Measured.of(bounds))
    what = f"join, {sales:,} sales"

    def measured(name: str, scale: float = 1.0) -> Measured:
        return Measured.of([one[name] * scale for one in joins])

    def budget(limits: dict[int, float]) -> Budget | None:
        return Budget(limits[sales]) if sales in limits else None

    catalogue_mb = contents.catalogue_bytes / 1e6
    filed = []
    if "filed_s" in joins[0]:
        filed = [
            Figure(
                f"{what}: filed",
                "s",
                measured("filed_s"),
                receivers=FULL,
                size=size,
                note="in the views that reports and lists are read from; beside the joining",
            )
        ]
    return [
        Figure(
            f"{what}: usable",
            "s",
            measured("usable_s"),
            bound,
            Budget(USABLE_S_MAX),
            FULL,
            size=size,
            note=f"a sale of a product of the catalogue; {measured('enrolled_s').value:.2g} s are enrolling, "
            f"today and the products are on disk after {measured('first_on_disk_s').value:.2g} s",
        ),
        Figure(
            f"{what}: complete",
            "s",
            measured("complete_s"),
            bound,
            budget(COMPLETE_S_MAX),
            FULL,
            size=size,
            note=f"on disk, chains checked; relay {measured('relay_cpu_s').value:.2g} s of a processor",
        ),
        Figure(
            f"{what}: bytes",
            "MB",
            measured("moved_bytes", 1e-6),
            None,
            budget(WIRE_MB_MAX),
            FULL,
            size=size,
            note=f"both ways; the catalogue's rows have {catalogue_mb:.2g} MB before they are packed",
        ),
        Figure(f"{what}: memory of the register", "MiB", measured("peak_mib"), receivers=FULL, size=size),
        Figure(
            f"{what}: memory of the relay",
            "MiB",
            measured("relay_peak_mib"),
            None,
            budget(RELAY_MIB_MAX),
            FULL,
            size=size,
        ),
        *filed,
    ]
