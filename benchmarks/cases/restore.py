"""A lost register is replaced: until its successor sells, until all is there, and what a cut line costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bounds.answer import answered_s
from benchmarks.context import Bench
from benchmarks.driver.history import copied, old_shop
from benchmarks.driver.joined import Contents, contents_of
from benchmarks.driver.restored import restore_once
from benchmarks.figures import FULL, Bound, Budget, Figure, Measured
from crdtsync.protocol.limits import FRAME_BYTES_MAX

SELLS_S_MAX = 1.0
COMPLETE_S_MAX = 3.0
AGAIN_KIB_MAX = FRAME_BYTES_MAX / 1024


@dataclass(frozen=True, slots=True)
class Size:
    """Entries of the lost register, products, repeats, and cuts on the way."""

    entries: int
    products: int
    repeats: int
    cuts: int


SIZES = {
    "full": Size(200_000, 10_000, 3, 20),
    "quick": Size(10_000, 2_000, 1, 10),
    "smallest": Size(300, 20, 1, 2),
}


def run(bench: Bench) -> list[Figure]:
    """Times of a line that holds, and bytes of one that does not."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    shop = old_shop(bench, size.entries, products=size.products, devices=1)
    contents = contents_of(shop)
    restored, bounds, again = [], [], []
    for repeat in range(size.repeats):
        place = bench.place(f"repeat-{repeat}")
        log = bench.folder / "relay.log"
        whole = await restore_once(copied(shop, place / "relay"), contents, place / "till", log)
        restored.append(whole)
        bounds.append(await answered_s(bench.folder, int(whole["moved_bytes"]), bench.seed))
        cut = await restore_once(
            copied(shop, place / "relay-cut"),
            contents,
            place / "till-cut",
            log,
            cuts=size.cuts,
            # Each life of the line carries a little more than its share, so that none is left for the last.
            every_bytes=whole["down_bytes"] // (size.cuts + 1),
        )
        again.append((cut["down_bytes"] - whole["down_bytes"]) / 1024 / cut["cuts"])
        restored[-1]["cuts"] = cut["cuts"]
    return _figures(size, contents, restored, bounds, again)


def _figures(
    size: Size,
    contents: Contents,
    restored: Sequence[dict[str, Any]],
    bounds: Sequence[float],
    again: Sequence[float],
) -> list[Figure]:
    facts = {"entries": size.entries, "products": size.products, "rows": contents.rows}
    bound = Bound("the same bytes from the bare relay into a file", Measured.of(bounds))
    what = f"restore, {size.entries:,} entries"

    def measured(name: str) -> Measured:
        return Measured.of([one[name] for one in restored])

    return [
        Figure(
            f"{what}: sells",
            "s",
            measured("sells_s"),
            bound,
            Budget(SELLS_S_MAX),
            FULL,
            size=facts,
            note="from `join` to the sale of a product that is scanned;"
            f" {measured('enrolled_s').value:.2g} s are enrolling",
        ),
        Figure(
            f"{what}: all products listed",
            "s",
            measured("usable_s"),
            bound,
            receivers=FULL,
            size=facts,
            note="they are filed beside that sale",
        ),
        Figure(
            f"{what}: complete",
            "s",
            measured("complete_s"),
            bound,
            Budget(COMPLETE_S_MAX),
            FULL,
            size=facts,
            note="on disk, chains checked",
        ),
        Figure(
            f"{what}: sent again, per cut",
            "KiB",
            Measured.of(again),
            None,
            Budget(AGAIN_KIB_MAX),
            FULL,
            size={**facts, "cuts": int(restored[-1]["cuts"])},
            note="all that one that holds does not carry: hellos, what was cut short, and that small packs "
            "compress less; the budget is one frame",
        ),
    ]
