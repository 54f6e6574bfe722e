"""Chains of genuine entries, made quickly: what a register would have sealed, in bulk.

A seal made here has the form that ``model.sealed.seal`` gives, without asking first whether the body has one;
``write_history`` reads some of them back.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from crdtsync.ids import EntryFacts, Item, entry_record, ledger_document
from crdtsync.model.chain import Moment, Shop, advance, next_body, start
from crdtsync.model.closing import build_close
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.sealed import join, link, seal
from crdtsync.model.signature import PrivateKey
from crdtsync.model.ticket import build_sale
from crdtsync.testing import wine
from crdtsync.testing.till import bytes_of

PRODUCTS: Final = 500
"""In baskets. A few of them are in most."""

BASKETS_MAX: Final = 8_000
"""Different baskets of one register; a longer history takes them again, in another order."""

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


def sealed_sales(devices: Sequence[Device], each: int) -> list[list[bytes]]:
    """For each device the sealed entries of its chain: the first, then ``each`` sales of today."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return pool.starmap(_sealed_today, [(device, each) for device in devices])


def _sealed_today(device: Device, each: int) -> list[bytes]:
    return [item.record[1:] for items in _days(device, [each]) for item in items]


def write_chains(devices: Sequence[Device], shares: Sequence[Sequence[int]], folder: Path) -> list[Path]:
    """For each device a file of its entries, day by day: so many sales as its share, and the closing of each
    day but the last, which is today. ``read_days`` reads it.
    """
    paths = [folder / f"chain-{device.number}" for device in devices]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.starmap(_write_days, list(zip(devices, shares, paths, strict=True)), chunksize=1)
    return paths


def read_days(path: Path) -> Iterator[list[Item]]:
    """The entries of one device, day by day."""
    with path.open("rb") as file:
        while file.peek(1):
            yield [_item(*made) for made in pickle.load(file)]


def _write_days(device: Device, shares: Sequence[int], path: Path) -> None:
    with path.open("wb") as file:
        for items in _days(device, shares):
            made = [(item.record, item.document, astuple(item.entry)) for item in items if item.entry]
            pickle.dump(made, file, pickle.HIGHEST_PROTOCOL)


def _item(record: bytes, document: str, facts: tuple[bytes, int, bytes, bytes, str, str]) -> Item:
    entry = EntryFacts(*facts)
    return Item(record, document, entry.link, entry)


def _days(device: Device, shares: Sequence[int]) -> Iterator[list[Item]]:
    rng = Random(device.seed * 1009 + device.number)
    assortment = wine.products(Random(device.seed), PRODUCTS)
    carts = wine.carts(rng, assortment, min(BASKETS_MAX, sum(shares)))
    baskets = [build_sale(cart.lines, cart.payments) for cart in carts]
    chain = _Chain(device, _moment(len(shares) - 1))
    sold = 0
    for place, count in enumerate(shares):
        chain.moment = _moment(len(shares) - 1 - place)
        for _ in range(count):
            if sold and sold % len(baskets) == 0:
                rng.shuffle(baskets)
            chain.append("sale", baskets[sold % len(baskets)])
            sold += 1
        if place < len(shares) - 1 and count:
            chain.append("close", build_close(chain.head))
        yield chain.take()


class _Chain:
    """A register's chain in memory."""

    def __init__(self, device: Device, moment: Moment) -> None:
        nonce = bytes_of("nonce", f"{device.seed} {device.number}")
        self._key, self._device = device.key, device.device
        body = start(
            device.device, self._key.public, device.shop, series=device.series, nonce=nonce, moment=moment
        )
        first = read_entry(seal(body, self._key))
        self.moment = moment
        self.head = advance(None, first)
        self._made = [Item(entry_record(first.sealed), first.facts.document, first.link, first.facts)]

    def append(self, kind: str, payload: dict[str, Any]) -> None:
        """Seal the next entry, a second later."""
        self.moment = replace(self.moment, ts_ms=self.moment.ts_ms + 1000)
        body = next_body(self.head, kind, payload, self.moment)
        data = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        sealed = join(data, self._key.sign_text(data))
        document = ledger_document(self._device, self.moment.bd)
        facts = EntryFacts(self.head.chain, body["seq"], self.head.link, link(sealed), document, kind)
        self._made.append(Item(entry_record(sealed), document, facts.link, facts))
        self.head = advance(self.head, Entry(sealed, body, facts))

    def take(self) -> list[Item]:
        """What was sealed since the last call."""
        taken, self._made = self._made, []
        return taken


def _moment(days_ago: int) -> Moment:
    """The first minute of a day, in UTC."""
    day = datetime.now(UTC).date() - timedelta(days=days_ago)
    begins = datetime(day.year, day.month, day.day, 0, 1, tzinfo=UTC)
    return Moment(int(begins.timestamp() * 1000), 0, day.isoformat(), "u-lea")
