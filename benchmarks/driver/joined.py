"""A register that holds all of an old shop: made once in a run, with its relay, and copied by the cases."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.context import Bench
from benchmarks.driver.history import copied, old_shop
from benchmarks.driver.processes import Usage, full_register, peak_mib, relay_process
from benchmarks.driver.shop import BenchShop
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.runtime.filing.product_rows import read_content
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder

FILED_ROWS_MAX: Final = 200_000
"""Filing more than that into views takes minutes, and is waited for by nobody who measures joining."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a shop's log holds: rows, and rows of what has to come first."""

    rows: int
    catalogue_rows: int
    catalogue_bytes: int
    today: dict[str, int]
    sku: str
    """One of its products; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A relay's shop, and the folder of a register that was in step with it."""

    shop: BenchShop
    till: Path

    def copied(self, folder: Path) -> Pair:
        """Both in a folder of their own."""
        folder.mkdir(parents=True)
        shutil.copytree(self.till, folder / "till")
        return Pair(copied(self.shop, folder / "relay"), folder / "till")


async def joined_pair(bench: Bench, sales: int, *, products: int = 0) -> Pair:
    """Made once in a run: do not change it. A register in it knows the relay by an address of the past."""
    place = bench.shared / f"joined-{sales}-{products}"
    told = place / "pair.pickle"
    if not told.exists():
        shop = old_shop(bench, sales, products=products)
        place.mkdir(parents=True)
        own = copied(shop, place / "relay")
        await join_once(own, contents_of(own), place / "till", place / "relay.log")
        told.write_bytes(pickle.dumps(Pair(own, place / "till")))
    pair = pickle.loads(told.read_bytes())
    assert isinstance(pair, Pair)
    return pair


async def join_once(shop: BenchShop, contents: Contents, till: Path, log: Path) -> dict[str, Any]:
    """Join a relay that was just started; what the register tells, and what the relay used."""
    before = contents_of(shop).rows
    async with relay_process(shop.folder, log) as relay:
        usage = Usage(relay=relay.pid())
        async with full_register(
            "join",
            till,
            url=f"ws://127.0.0.1:{relay.port}",
            code=shop.pairing_code(),
            name=f"Caisse {till.name}",
            rows=before + 2,
            catalogue_rows=contents.catalogue_rows,
            sku=contents.sku,
            today=json.dumps(contents.today),
            file=int(contents.rows <= FILED_ROWS_MAX),
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
            max(read_content(log).products or [""]),
        )
    finally:
        store.close()
