"""Shops that are a year old, or ten: made once in a run, and copied by the cases that change them."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.context import Bench
from benchmarks.driver.bulk import LOOSE_ROWS, PACK_ROWS
from benchmarks.driver.shop import BenchShop, make_shop, write_history
from crdtsync import Register
from crdtsync.ids import CATALOGUE_DOCUMENT, Item, record_digest
from crdtsync.runtime.committing.signature_checks import save_checks
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing import wine
from crdtsync_server.folder import DataFolder

DEVICES: Final = 4
FRESH: Final = 4
"""Devices that are enrolled as well and have sold nothing yet."""


def old_shop(
    bench: Bench, sales: int, *, products: int = 0, today: int = 100, devices: int = DEVICES
) -> BenchShop:
    """A shop with that many sales of so many registers, the last ``today`` of them today's, and a catalogue;
    packed, as a relay packs. Made once in a run: do not change it, see ``copied``.
    """
    place = bench.shared / f"{sales}-sales-{products}-products-{today}-today-{devices}-registers"
    told = place / "shop.pickle"
    if not told.exists():
        place.mkdir(parents=True, exist_ok=True)
        shop = make_shop(place / "relay", devices + FRESH, bench.seed)
        if products:
            _write_catalogue(shop, products, bench.seed)
        write_history(shop, shop.devices[:devices], sales, newest_day_sales=today)
        pack(shop)
        told.write_bytes(pickle.dumps(shop))
    shop = pickle.loads(told.read_bytes())
    assert isinstance(shop, BenchShop)
    return shop


def copied(shop: BenchShop, folder: Path) -> BenchShop:
    """The same shop in a folder of its own."""
    shutil.copytree(shop.folder, folder)
    return replace(shop, folder=folder)


def sell_meanwhile(shop: BenchShop, sales: int) -> None:
    """Have the fresh devices sell so many today, while nobody is connected."""
    write_history(shop, shop.devices[DEVICES:], sales, newest_day_sales=sales)
    pack(shop)


def pack(shop: BenchShop) -> None:
    """Pack all but the newest rows, and note that all signatures are checked: the relay that took this in did
    so within seconds, and has been restarted since.
    """
    store = SqliteStore(DataFolder(shop.folder).store)
    try:
        log, more = store.shop(shop.shop.id), True
        while more:
            with store.transaction():
                more = log.pack(PACK_ROWS, log.end.seq - LOOSE_ROWS)
        with store.transaction():
            save_checks(log, log.end.seq, ())
    finally:
        store.close()


def _write_catalogue(shop: BenchShop, products: int, seed: int) -> None:
    """As a register writes it that imports a file; here on its own, and then put into the relay's log."""
    with tempfile.TemporaryDirectory(prefix="crdtsync-bench-") as folder:
        with Register.init(Path(folder) / "office", name="Bureau") as office:
            catalogue = office.replica.catalogue
            now_ms = office.replica.clock.now_ms()
            made = wine.products(Random(seed), products)
            catalogue.write([catalogue.view.draft_add(product, by="u-lea", at_ms=now_ms) for product in made])
            records = [record for _, record in office.replica.log.document_records(CATALOGUE_DOCUMENT)]
    store = SqliteStore(DataFolder(shop.folder).store)
    try:
        with store.transaction():
            for record in records:
                store.shop(shop.shop.id).append(Item(record, CATALOGUE_DOCUMENT, record_digest(record)))
    finally:
        store.close()
