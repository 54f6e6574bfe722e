"""The catalogue document of one register in memory, and how its products come into the views.

Loading it needs pycrdt and costs the whole catalogue, so that it happens once per process and only where
products are written or have changed. Selling reads the views alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pycrdt import Map, MapEvent

from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.model.catalogue import ROOT, VAT_CLASSES, Product, read_products
from crdtsync.runtime.register_documents import Document
from crdtsync.runtime.replica import Replica
from crdtsync.storage.views import Row

DEFAULT_UNIT = "pce"

PRODUCTS_PER_TRANSACTION = 200
"""They are filed in some 10 ms."""

KEYS_PER_UPDATE_MAX = 500
BYTES_PER_UPDATE_MAX = 32 << 10
"""One update must pass every replica's scanner (64 KiB, 2,048 blocks): more keys go in several."""


class Catalogue(Document):
    """The catalogue, and the SKUs that changed since the views were filed."""

    def __init__(self, replica: Replica) -> None:
        """Load it. Raises ``StorageError``; O(catalogue)."""
        self._changed_skus: set[str] = set()
        self._filed_before = replica.tables.catalogue_seq(replica.log.shop)
        super().__init__(replica, CATALOGUE_DOCUMENT)

    def products(self, skus: Iterable[str] | None = None) -> dict[str, Product]:
        """These products, as far as they exist, or all."""
        items = self.doc.get(ROOT, type=Map)
        if skus is None:
            return read_products(items.items())
        wanted = set(skus)
        keys = [key for key in items.keys() if key.partition("/")[0] in wanted]  # noqa: SIM118
        return read_products((key, items[key]) for key in keys)

    def write(self, texts: Mapping[str, str]) -> None:
        """Set keys of the map, in as many transactions as they need. Durable on return, then filed."""
        pending = list(texts.items())
        while pending:
            size = count = 0
            while count < min(len(pending), KEYS_PER_UPDATE_MAX) and size < BYTES_PER_UPDATE_MAX:
                size += len(pending[count][0].encode()) + len(pending[count][1].encode()) + 16
                count += 1
            with self.transaction() as doc:
                items = doc.get(ROOT, type=Map)
                for key, text in pending[:count]:
                    items[key] = text
            del pending[:count]
        self.file()

    def file(self) -> None:
        """Bring the views of the products up to date. Not inside a transaction. Idempotent."""
        self.refresh()
        tables, shop, through = self._replica.tables, self._replica.log.shop, self.seq
        complete = tables.catalogue_seq(shop) < self._filed_before or not self._filed_before
        changed = None if complete else set(self._changed_skus)
        products = self.products(changed)
        rows = {sku: _rows(products[sku]) if sku in products else [] for sku in changed or products}
        skus = list(rows)
        # Short transactions, so that no sale waits; the cursor moves with the last of them.
        for first in range(0, len(skus), PRODUCTS_PER_TRANSACTION):
            part = {sku: rows[sku] for sku in skus[first : first + PRODUCTS_PER_TRANSACTION]}
            with self._replica.store.transaction():
                # Another process may have filed more than this one knows; it knew what is known here.
                if tables.catalogue_seq(shop) <= through:
                    tables.file_products(shop, part)
        with self._replica.store.transaction():
            if tables.catalogue_seq(shop) <= through:
                tables.end_products(shop, through=through, only=rows.keys() if complete else None)
        self._filed_before = through
        self._changed_skus.clear()

    def _load_records(self) -> None:
        records = list(self._replica.log.document_records(self.name))
        for _, record in (pair for pair in records if pair[0] <= self._filed_before):
            self._apply(record)
        self._items_subscription = self._doc.get(ROOT, type=Map).observe(self._items_changed)
        for _, record in (pair for pair in records if pair[0] > self._filed_before):
            self._apply(record)

    def _items_changed(self, event: MapEvent) -> None:
        keys: dict[str, Any] = event.keys  # type: ignore[attr-defined]
        self._changed_skus.update(key.partition("/")[0] for key in keys)


def _rows(product: Product) -> list[Row]:
    facts: dict[str, Any] = {"unit": DEFAULT_UNIT, **product.fields}
    rows: list[Row] = [
        (
            "product",
            {
                "name": product.fields["name"],
                "archived": product.archived,
                "body": orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode(),
            },
        )
    ]
    for price in product.prices:
        rate = price.change.vat_rate
        values = {
            "from_ms": price.from_ms,
            "amount": price.change.amount_minor,
            "vat_rate": rate,
            "vat_class": product.fields.get("vat_class", VAT_CLASSES[rate]),
            "change_id": price.change.id,
            "conflict": price.disputed,
        }
        rows.append(("price", values))
    return rows
