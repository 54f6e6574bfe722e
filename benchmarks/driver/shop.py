"""Shops made beforehand: a relay's folder, devices enrolled in it, and sales that are signed already.

Everything is genuine: certificates signed by the shop's owner, entries signed by their devices, in chains
without gaps. Keys, baskets and ids follow from the seed; times are those of the run, so that the last day of
a history is today.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

from crdtsync.ids import Item, entry_record
from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.model.chain import Moment, Shop, advance, next_body, start
from crdtsync.model.closing import build_close
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.product import Product
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.model.ticket import build_sale
from crdtsync.runtime.clock import SystemClock
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing import wine
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.till import bytes_of
from crdtsync_server.access import Access
from crdtsync_server.folder import DataFolder
from crdtsync_server.owner import OwnerChain, owner_item

PRODUCTS: Final = 500
"""In baskets. A few of them are in most."""

SALES_A_DAY: Final = 300
"""Of a whole shop: 100,000 sales are a year."""

PER_TRANSACTION: Final = 4096
PROCESSES: Final = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Device:
    """A register that is enrolled in the shop, by number."""

    number: int
    seed: int
    device: bytes
    shop: Shop

    @property
    def key(self) -> PrivateKey:
        """Its signing key."""
        return PrivateKey.from_seed(f"{self.seed} register {self.number}".encode())

    @property
    def series(self) -> str:
        """Of its ticket numbers."""
        return f"B{self.number}"


@dataclass(frozen=True, slots=True)
class BenchShop:
    """A shop on a relay: its folder, its id, and its enrolled devices."""

    folder: Path
    shop: Shop
    relay_key: bytes
    devices: tuple[Device, ...]

    def pairing_code(self) -> str:
        """A code for one more register. Also while the relay runs."""
        access = Access(DataFolder.open(self.folder))
        try:
            return access.issue_code(self.shop.id, "register").code.format()
        finally:
            access.close()


def make_shop(folder: Path, devices: int, seed: int) -> BenchShop:
    """A relay's folder with one shop and that many enrolled registers, which have sold nothing yet."""
    access = Access(DataFolder.create(folder), random=seeded_bytes(seed))
    store = SqliteStore(DataFolder(folder).store)
    try:
        row = access.create_shop(store, f"Cave du Banc {seed}")
        shop = Shop(row.id, row.name)
        made = tuple(
            Device(number, seed, bytes_of("device", f"{seed} {number}"), shop) for number in range(devices)
        )
        log, owner = store.shop(shop.id), access.keys.owner_key(shop.id)
        clock = SystemClock()
        with store.transaction():
            chain = OwnerChain.read(log)
            for device in made:
                certificate = Certificate(
                    device.device,
                    f"Caisse {device.number}",
                    "register",
                    device.key.public,
                    shop.id,
                    device.series,
                )
                entry = chain.next_entry("certify", build_certify(certificate), owner, clock)
                log.append(owner_item(entry))
                chain = chain.with_entry(entry)
        return BenchShop(folder, shop, access.relay_key.public, made)
    finally:
        store.close()
        access.close()


def sealed_sales(devices: Sequence[Device], each: int) -> list[list[bytes]]:
    """For each device the sealed entries of its chain: the first, then ``each`` sales of today."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return pool.starmap(_chain_of_today, [(device, each) for device in devices])


def _chain_of_today(device: Device, each: int) -> list[bytes]:
    carts = wine.carts(Random(device.seed * 1009 + device.number), _assortment(device.seed), each)
    chain = _Chain(device, _today(0))
    for cart in carts:
        chain.append("sale", build_sale(cart.lines, cart.payments))
    return chain.sealed


def write_history(shop: BenchShop, sales: int, *, newest_day_sales: int = 100) -> None:
    """Put a history into the relay's log, day by day, the devices in turn; so many of them today."""
    days = max(1, -(-(sales - newest_day_sales) // SALES_A_DAY))
    store = SqliteStore(DataFolder(shop.folder).store)
    try:
        log = store.shop(shop.shop.id)
        entries = _history(shop.devices, sales, days, newest_day_sales)
        while chunk := list(islice(entries, PER_TRANSACTION)):
            with store.transaction():
                for sealed in chunk:
                    entry = read_entry(sealed)
                    log.append(Item(entry_record(sealed), entry.facts.document, entry.link, entry.facts))
    finally:
        store.close()


def _history(devices: Sequence[Device], sales: int, days: int, newest_day_sales: int) -> Iterator[bytes]:
    """Sealed entries in the order in which they would have come in."""
    plan = [SALES_A_DAY] * (days - 1) + [
        sales - newest_day_sales - SALES_A_DAY * (days - 1),
        newest_day_sales,
    ]
    shares = [[_share(count, place, len(devices)) for count in plan] for place in range(len(devices))]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        chains = [
            iter(days_of) for days_of in pool.starmap(_chain_of_days, list(zip(devices, shares, strict=True)))
        ]
    for _ in plan:
        of_day = [next(chain) for chain in chains]
        for place in range(max(map(len, of_day))):
            yield from (entries[place] for entries in of_day if place < len(entries))


def _chain_of_days(device: Device, shares: Sequence[int]) -> list[list[bytes]]:
    """A device's sealed entries, day by day: sales and, at the end of all days but the last, the closing."""
    rng, assortment = Random(device.seed * 1009 + device.number), _assortment(device.seed)
    chain = _Chain(device, _today(len(shares) - 1))
    days = []
    for place, count in enumerate(shares):
        chain.moment = _today(len(shares) - 1 - place)
        for cart in wine.carts(rng, assortment, count):
            chain.append("sale", build_sale(cart.lines, cart.payments))
        if place < len(shares) - 1 and count:
            chain.append("close", build_close(chain.head))
        days.append(chain.take())
    return days


class _Chain:
    """A register's chain in memory."""

    def __init__(self, device: Device, moment: Moment) -> None:
        nonce = bytes_of("nonce", f"{device.seed} {device.number}")
        key = device.key
        body = start(device.device, key.public, device.shop, series=device.series, nonce=nonce, moment=moment)
        self.moment = moment
        self.sealed: list[bytes] = []
        self._key = key
        first = self._seal(body)
        self.head = advance(None, first)

    def append(self, kind: str, payload: dict[str, Any]) -> None:
        """Seal the next entry, a second later."""
        self.moment = replace(self.moment, ts_ms=self.moment.ts_ms + 1000)
        self.head = advance(self.head, self._seal(next_body(self.head, kind, payload, self.moment)))

    def take(self) -> list[bytes]:
        """What was sealed since the last call."""
        taken, self.sealed = self.sealed, []
        return taken

    def _seal(self, body: dict[str, Any]) -> Entry:
        sealed = seal(body, self._key)
        self.sealed.append(sealed)
        return read_entry(sealed)


def _share(count: int, place: int, of: int) -> int:
    return count // of + (place < count % of)


def _assortment(seed: int) -> list[Product]:
    return wine.products(Random(seed), PRODUCTS)


def _today(days_ago: int) -> Moment:
    """Eight in the morning of a day, in UTC; a history so long that it begins long ago begins long ago."""
    day = datetime.now(UTC).date() - timedelta(days=days_ago)
    eight = datetime(day.year, day.month, day.day, 0, 1, tzinfo=UTC)
    return Moment(int(eight.timestamp() * 1000), 0, day.isoformat(), "u-lea")
