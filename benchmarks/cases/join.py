"""A new register joins an old shop: until today's sales and the products are there, until all is there."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.context import Bench
from benchmarks.driver.history import old_shop
from benchmarks.driver.processes import Usage, bare_relay, full_register, peak_mib, relay_process
from benchmarks.driver.shop import BenchShop
from benchmarks.driver.socket import LightSocket
from benchmarks.figures import FULL, Bound, Budget, Figure, Measured
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder

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


@dataclass(frozen=True, slots=True)
class Contents:
    """What a shop's log holds: rows, and rows of what has to come first."""

    rows: int
    catalogue_rows: int
    catalogue_bytes: int
    today: dict[str, int]


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
            joins.append(await join_once(bench, shop, contents, till))
            bounds.append(await _bound_s(bench.folder, int(joins[-1]["moved_bytes"]), bench.seed))
        figures += _figures(sales, size.products, contents, joins, bounds)
    return figures


async def join_once(bench: Bench, shop: BenchShop, contents: Contents, folder: Path) -> dict[str, Any]:
    """Join a relay that was just started; what the register tells, and what the relay used."""
    before = contents_of(shop).rows
    async with relay_process(shop.folder, bench.folder / "relay.log") as relay:
        usage = Usage(relay=relay.pid())
        async with full_register(
            "join",
            folder,
            url=f"ws://127.0.0.1:{relay.port}",
            code=shop.pairing_code(),
            name=f"Caisse {folder.name}",
            rows=before + 2,
            catalogue_rows=contents.catalogue_rows,
            today=json.dumps(contents.today),
        ) as register:
            facts = await register.heard()
        return facts | {
            "relay_peak_mib": peak_mib(relay.pid()),
            "relay_cpu_s": usage.cpu_s("relay"),
        }


def contents_of(shop: BenchShop) -> Contents:
    """Read the relay's log."""
    store = SqliteStore(DataFolder(shop.folder).store)
    try:
        log = store.shop(shop.shop.id)
        documents = {row.name: row for row in log.documents()}
        newest = max(name.rsplit("/", 1)[1] for name in documents if name.startswith("ledger/"))
        catalogue = documents.get(CATALOGUE_DOCUMENT)
        return Contents(
            log.end.seq,
            catalogue.records if catalogue else 0,
            catalogue.records_bytes if catalogue else 0,
            {name: row.records for name, row in documents.items() if name.endswith(newest)},
        )
    finally:
        store.close()


async def _bound_s(folder: Path, size: int, seed: int) -> float:
    """As many bytes from a relay that has them in memory, into a file, with fsync."""
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
    ]
