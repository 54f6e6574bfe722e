"""Shops made beforehand: a relay's folder, devices enrolled in it, and a history in its log.

Everything is genuine: certificates signed by the shop's owner, entries signed by their devices, in chains
without gaps. Keys, baskets and ids follow from the seed; times are those of the run, so that the last day of
a history is today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.driver.bulk import append_history
from benchmarks.driver.chains import Device, write_chains
from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.model.chain import Shop
from crdtsync.model.entry import read_entry
from crdtsync.runtime.clock import SystemClock
from crdtsync.runtime.committing.signature_checks import save_checks
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.till import bytes_of
from crdtsync_server.folder import DataFolder
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.owner import OwnerChain, owner_item

SALES_A_DAY: Final = 300
DAYS_MAX: Final = 20 * 365
"""A shop of more sales sold more a day: before 2000 no entry can be."""
"""Of a whole shop: 100,000 sales are a year."""

READ_BACK_EVERY: Final = 997


@dataclass(frozen=True, slots=True)
class BenchShop:
    """A shop on a relay: its folder, its id, and its enrolled devices."""

    folder: Path
    shop: Shop
    relay_key: bytes
    devices: tuple[Device, ...]

    def pairing_code(self, replaces: Device | None = None) -> str:
        """A code for one more register, or for one in the place of a lost one. Also while the relay runs."""
        access = Access(DataFolder.open(self.folder))
        try:
            lost = replaces.device if replaces is not None else None
            return access.issue_code(self.shop.id, "register", replaces=lost).code.format()
        finally:
            access.close()


def make_shop(folder: Path, devices: int, seed: int) -> BenchShop:
    """A relay's folder with one shop and that many enrolled registers, which have sold nothing yet."""
    return _make(folder, [devices], seed)[0]


def make_shops(folder: Path, count: int, seed: int) -> list[BenchShop]:
    """A relay's folder with that many shops of one enrolled register each."""
    return _make(folder, [1] * count, seed)


def _make(folder: Path, devices_of: Sequence[int], seed: int) -> list[BenchShop]:
    access = Access(DataFolder.create(folder), random=seeded_bytes(seed))
    store = SqliteStore(DataFolder(folder).store)
    try:
        shops = []
        for place, devices in enumerate(devices_of):
            row = access.create_shop(store, f"Cave du Banc {place}")
            shop = Shop(row.id, row.name)
            made = tuple(_device(seed, place, number, shop) for number in range(devices))
            _certify(access, store, made, shop)
            shops.append(BenchShop(folder, shop, access.relay_key.public, made))
        return shops
    finally:
        store.close()
        access.close()


def _device(seed: int, place: int, number: int, shop: Shop) -> Device:
    return Device(number, seed, bytes_of("device", f"{seed} {place} {number}"), shop)


def _certify(access: Access, store: SqliteStore, devices: Sequence[Device], shop: Shop) -> None:
    log, owner, clock = store.shop(shop.id), access.keys.owner_key(shop.id), SystemClock()
    with store.transaction():
        chain = OwnerChain.read(log)
        for device in devices:
            name = f"Caisse {device.number}"
            certificate = Certificate(
                device.device, name, "register", device.key.public, shop.id, device.series
            )
            entry = chain.next_entry("certify", build_certify(certificate), owner, clock)
            log.append(owner_item(entry))
            chain = chain.with_entry(entry)


def write_history(shop: BenchShop, devices: Sequence[Device], sales: int, *, newest_day_sales: int) -> None:
    """Put a history into the relay's log, day by day, the devices in turn; so many of them today. Its
    signatures count as checked, as they are wherever a relay took the history in.
    """
    store = SqliteStore(DataFolder(shop.folder).store)
    try:
        log, number = store.shop(shop.shop.id), 0
        plan = _plan(sales, newest_day_sales)
        paths = write_chains(devices, _shares(plan, len(devices)), shop.folder)
        for items in append_history(store, log, paths):
            for item in items:
                number += 1
                if number % READ_BACK_EVERY == 0 and read_entry(item.record[1:]).facts != item.entry:
                    raise AssertionError("a history was made of entries that are none")
            # As a relay has it that has served them: else it checks the whole past while it is measured.
            save_checks(log, log.end.seq, ())
        for path in paths:
            path.unlink()
    finally:
        store.close()


def _plan(sales: int, newest_day_sales: int) -> list[int]:
    """How many sales each day has; the last day is today."""
    past = max(0, sales - newest_day_sales)
    a_day = max(SALES_A_DAY, -(-past // DAYS_MAX))
    days, first = divmod(past, a_day)
    return [*filter(None, [first]), *[a_day] * days, min(sales, newest_day_sales)]


def _shares(plan: Sequence[int], devices: int) -> list[list[int]]:
    """Of each device and day."""
    return [[count // devices + (place < count % devices) for count in plan] for place in range(devices)]
