"""The catalogue document of one register in memory, and how its products come into the views.

Loading it needs pycrdt and costs the whole catalogue, so that it happens once per process and only where
products are written or have changed. Selling reads the views alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pycrdt import Map

from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.model import catalogue as model
from crdtsync.model.catalogue import ROOT, Entries
from crdtsync.model.listing import listing_rows
from crdtsync.runtime.filing.product_rows import file_rows
from crdtsync.runtime.filing.views import ViewKeeper
from crdtsync.runtime.register.documents import Document, DocumentHome
from crdtsync.storage.views import Row, ViewTables

KEYS_PER_UPDATE_MAX = 500
BYTES_PER_UPDATE_MAX = 32 << 10
"""One update must pass every replica's scanner (64 KiB, 2,048 blocks): more keys go in several."""


class CatalogueHome(DocumentHome, Protocol):
    """What a catalogue needs of the replica that has it."""

    @property
    def tables(self) -> ViewTables: ...
    @property
    def views(self) -> ViewKeeper: ...


class Catalogue(Document):
    """The catalogue, and the SKUs that changed since the views were filed."""

    view: model.Catalogue
    """The products. Take it anew after an error, as ``doc``."""

    def __init__(self, replica: CatalogueHome) -> None:
        """Load it. Raises ``StorageError``; O(catalogue)."""
        self._home, self._tables = replica, replica.tables
        self._changed_skus: set[str] = set()
        self._filed_before = replica.tables.catalogue_seq(replica.log.shop)
        super().__init__(replica, CATALOGUE_DOCUMENT)

    def write(self, drafts: Iterable[Entries]) -> None:
        """Write drafts of different products, in as many transactions as they need: each product is in one.
        Durable on return, then filed.
        """
        batch: Entries = {}
        size = 0
        for entries in drafts:
            more = sum(len(key) + len(str(value).encode()) + 16 for key, value in entries.items())
            if batch and (
                len(batch) + len(entries) > KEYS_PER_UPDATE_MAX or size + more > BYTES_PER_UPDATE_MAX
            ):
                self._write(batch)
                batch, size = {}, 0
            batch |= entries
            size += more
        if batch:
            self._write(batch)
        self.file()

    def _write(self, entries: Entries) -> None:
        with self.transaction() as doc:
            items = doc.get(ROOT, type=Map)
            for key, value in entries.items():
                items[key] = value

    def file(self) -> None:
        """Bring the views of the products up to date. Not inside a transaction. Idempotent."""
        self.refresh()
        tables, shop, through = self._tables, self._replica.log.shop, self.seq
        complete = tables.catalogue_seq(shop) < self._filed_before or not self._filed_before
        self._changed_skus |= self.view.take_changed()
        skus = self.view.skus() if complete else sorted(self._changed_skus)
        rows = {sku: self._rows(sku) for sku in skus}
        file_rows(
            self._home,
            rows.items(),
            self.file_products,
            through=through,
            only=rows.keys() if complete else None,
        )
        self._filed_before = through
        self._changed_skus.clear()

    def file_products(self, products: Mapping[str, Sequence[Row]]) -> None:
        """Put the rows of some products into the views, inside a transaction. For whoever compares."""
        self._tables.file_products(self._replica.log.shop, products)

    def _rows(self, sku: str) -> list[Row]:
        if sku not in self.view:
            return []
        listing = self.view.listing(sku)
        codes: list[Row] = [("barcode", {"code": code}) for code in listing.product.barcodes]
        return [*listing_rows(listing), *codes]

    def _load_records(self) -> None:
        # Following each change costs half of what reading the whole map afterwards does.
        self.view = model.Catalogue(self._doc)
        records = list(self._replica.log.document_records(self.name))
        for _, record in (pair for pair in records if pair[0] <= self._filed_before):
            self._apply(record)
        self.view.take_changed()
        for _, record in (pair for pair in records if pair[0] > self._filed_before):
            self._apply(record)
