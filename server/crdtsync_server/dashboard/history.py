"""What became of a product: who changed what, and when.

Prices tell it themselves, for ever: a change of the price is in the catalogue with its author and its time.
Of the other fields the catalogue holds the present value alone. So the back office notes what each filing
changed, with the device that it came from or the person who did it here. That journal is the relay's own
memory: it begins with the back office, and says nothing of what came in while the views were being made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from crdtsync.model.price import PriceChange
from crdtsync.storage.database import Database
from crdtsync.storage.view_queries import ProductRow
from crdtsync.storage.views import Row

SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that has another value now; None where it has none."""

    field: str
    old: Any
    new: Any


Differences = Mapping[str, Sequence[Difference]]
"""By SKU; none where only a price changed."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that became of a product. ``account`` is the name of who did it in the back office,
    ``device`` the device where it was done otherwise; both may be unknown. ``price`` is a change of it.
    """

    at_ms: int
    account: str | None
    device: bytes | None
    differences: tuple[Difference, ...] = ()
    price: PriceChange | None = None


def differences_of(old: ProductRow | None, rows: Sequence[Row]) -> tuple[Difference, ...]:
    """What the new rows of a product say otherwise than the old one; prices left out."""
    before = {} if old is None else _fields(old.body, bool(old.archived))
    after: dict[str, Any] = {}
    for name, values in rows:
        if name == "product":
            after = _fields(str(values["body"]), bool(values["archived"]))
    names = sorted(before.keys() | after.keys())
    return tuple(
        Difference(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


class Journal:
    """What was noted of the products of all shops. For one thread."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def note(
        self,
        shop: bytes,
        changed: Differences,
        *,
        at_ms: int,
        device: bytes | None,
        account: str | None,
        price_changes: Iterable[str] = (),
    ) -> None:
        """Note what one filing changed. ``price_changes`` are the names of those that ``account`` made."""
        with self._db.whole_transaction():
            for sku, differences in changed.items():
                if not differences:
                    continue
                told = orjson.dumps([[one.field, one.old, one.new] for one in differences]).decode()
                self._db.write(
                    "INSERT INTO product_change SELECT ?, ?, coalesce(max(no), 0) + 1, ?, ?, ?, ?"
                    " FROM product_change WHERE shop = ? AND sku = ?",
                    (shop, sku, at_ms, device, account, told, shop, sku),
                )
            if account is not None:
                rows = [(shop, change, account) for change in price_changes]
                self._db.write_many("INSERT OR IGNORE INTO price_author VALUES (?, ?, ?)", rows)

    def of(self, shop: bytes, sku: str, prices: Iterable[PriceChange]) -> list[Happening]:
        """What became of a product, the newest first."""
        noted = self._db.rows(
            "SELECT at_ms, account, device, differences FROM product_change WHERE shop = ? AND sku = ?"
            " ORDER BY no DESC LIMIT ?",
            (shop, sku, SHOWN_MAX),
        )
        found = [
            Happening(at_ms, account, device, tuple(Difference(*one) for one in orjson.loads(told)))
            for at_ms, account, device, told in noted
        ]
        for change in prices:
            row = self._db.row(
                "SELECT account FROM price_author WHERE shop = ? AND change = ?", (shop, change.id)
            )
            account = None if row is None else row[0]
            found.append(Happening(change.at_ms, account, _device(change.by), price=change))
        return sorted(found, key=lambda one: one.at_ms, reverse=True)[:SHOWN_MAX]


def _fields(body: str, archived: bool) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(body)
    return {name: value for name, value in fields.items() if value not in (None, [])} | {"archived": archived}


def author_of(change: PriceChange) -> bytes | None:
    """The device that made a change of a price, as far as it says one."""
    return _device(change.by)


def _device(by: str) -> bytes | None:
    try:
        return bytes.fromhex(by)
    except ValueError:
        return None  # Whoever wrote the change said something else.
