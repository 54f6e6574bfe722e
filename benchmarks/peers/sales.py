"""The peers' sales: about 305 bytes of JSON, one string each in an array of the register's own.

They have what a ticket needs to be shown and counted, and nothing that would prove who wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import orjson

from benchmarks.peers.frames import update_of
from crdtsync.testing import wine

SALE_BYTES: Final = 305
MARK: Final = b'{"sale":"'
"""How a sale begins, and nothing else: so they are counted in whatever a server sends."""

PRODUCTS: Final = 500
LINES_MAX: Final = 3


def array_of(register: int) -> str:
    """The name of a register's array."""
    return f"register-{register}"


def client_of(seed: int, register: int) -> int:
    """The client id under which a register writes: 32 bits, of as many bytes as those that Yjs draws."""
    return (1 << 31) + seed % 1_000_000 * 1000 + register


def sales_of(seed: int, register: int, count: int) -> list[bytes]:
    """JSON of sales, each of ``SALE_BYTES``."""
    rng = Random(seed * 1009 + register)
    assortment = wine.products(Random(seed), PRODUCTS)
    return [
        _sale(rng, register, place, cart) for place, cart in enumerate(wine.carts(rng, assortment, count))
    ]


def updates_of(seed: int, register: int, sales: Sequence[bytes], *, per_update: int = 1) -> list[bytes]:
    """The updates by which a register appends them, so many at a time."""
    client, array = client_of(seed, register), array_of(register)
    return [
        update_of(client, array, place, sales[place : place + per_update])
        for place in range(0, len(sales), per_update)
    ]


def _sale(rng: Random, register: int, place: int, cart: wine.Cart) -> bytes:
    lines = [
        [line.sku, line.quantity_thousandths, line.unit_price_minor, line.vat_rate]
        for line in cart.lines[:LINES_MAX]
    ]
    sale = {
        "sale": f"{register}-{place}",
        "id": rng.randbytes(16).hex(),
        "ts": 1_700_000_000_000 + place * 1000,
        "by": "u-lea",
        "lines": lines,
        "ttc": cart.due_minor,
        "note": "",
    }
    missing = SALE_BYTES - len(orjson.dumps(sale))
    sale["note"] = rng.randbytes(SALE_BYTES).hex()[: max(0, missing)]
    return orjson.dumps(sale)
