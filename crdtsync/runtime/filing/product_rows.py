"""How products come into the views: some hundred at a time, and at first without the CRDT engine.

A register that has just joined a shop files all products while somebody waits to sell them. Most often what
the catalogue holds can be read from its updates (``protocol.flat``), in a third of the time that it takes to
build the engine's document and follow its changes. Where that is not certain, the document is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from crdtsync.errors import RecordError
from crdtsync.ids import CATALOGUE_DOCUMENT, ENTRY, STATE, record_digest, split_update_record
from crdtsync.model.plain_products import product_rows
from crdtsync.model.product import SKU
from crdtsync.protocol.flat import Grouped, flat_content
from crdtsync.protocol.plain_keys import PlainKeys, split_keys
from crdtsync.runtime.committing.scans import scan_record
from crdtsync.runtime.filing.views import ViewKeeper
from crdtsync.storage.log import ShopLog
from crdtsync.storage.views import Row, ViewTables

ROOT: Final = "products"
"""The map of the catalogue, see ``model.catalogue``, which needs the engine."""

PRODUCTS_PER_TRANSACTION: Final = 1000
"""They are filed in some 15 ms, and each transaction waits for the disk."""

NEW_SHARE: Final = 0.5
"""Of the catalogue's records. Where more are new, all products are filed anew; else those that changed."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """What a shop's catalogue holds up to seq ``through`` of its log: the keys of each product by its SKU,
    or None where only the engine can say. Change nothing of it.
    """

    shop: bytes
    through: int
    products: Mapping[str, Mapping[str, Any]] | None
    _rows: dict[str, Sequence[Row]] = field(default_factory=dict)

    def rows(self, sku: str) -> Sequence[Row] | None:
        """The rows of one product for the views, kept for whoever files it. None if there is no such
        product.
        """
        rows = self._rows.get(sku)
        if rows is None and self.products is not None and (keys := self.products.get(sku)) is not None:
            rows = self._rows[sku] = product_rows(sku, keys)
        return rows

    def take_rows(self, sku: str) -> Sequence[Row]:
        """As ``rows``, of a product that is there, and nothing of them is kept."""
        assert self.products is not None
        return self._rows.pop(sku, None) or product_rows(sku, self.products[sku])


class ProductsHome(Protocol):
    """What filing products needs of the replica that has them."""

    @property
    def log(self) -> ShopLog: ...
    @property
    def tables(self) -> ViewTables: ...
    @property
    def views(self) -> ViewKeeper: ...
    def mending(self, read: Callable[[], T]) -> T:
        """Read something; damaged records that are met on the way are set apart, where that is done here."""
        ...


def file_rows(
    home: ProductsHome,
    rows: Iterable[tuple[str, Sequence[Row]]],
    put: Callable[[Mapping[str, Sequence[Row]]], None],
    *,
    through: int,
    only: Collection[str] | None,
) -> None:
    """Have ``put`` file the rows of some products in the views, which are up to date up to seq ``through``
    then. With ``only``, there are no others than these. Not inside a transaction. Idempotent.
    """
    views, tables, shop, left = home.views, home.tables, home.log.shop, iter(rows)
    # Short transactions, so that no sale waits; the cursor moves with the last of them.
    while part := dict(islice(left, PRODUCTS_PER_TRANSACTION)):
        with views.transaction():
            # Another process may have filed more than this one knows; it knew what is known here.
            if tables.catalogue_seq(shop) <= through:
                put(part)
    with views.transaction():
        if tables.catalogue_seq(shop) <= through:
            tables.end_products(shop, through=through, only=only)


def is_mostly_new(home: ProductsHome) -> bool:
    """Whether most of the catalogue is not in the views yet. Raises ``StorageError``."""
    filed = home.tables.catalogue_seq(home.log.shop)
    seqs = home.log.document_seqs(CATALOGUE_DOCUMENT)
    return sum(seq > filed for seq in seqs) > NEW_SHARE * len(seqs)


def read_content(log: ShopLog) -> Content:
    """What the catalogue holds now. Raises ``StorageError``; O(catalogue)."""
    # The end is read first: a record that arrives meanwhile is read, and filed once more later.
    through = log.end.seq
    content = flat_content(ROOT, _updates(log)) if through else None
    return Content(log.shop, through, None if content is None else _by_sku(content))


def file_content(home: ProductsHome, content: Content, give_way: Callable[[], object] = lambda: None) -> bool:
    """File all products of a catalogue without the engine, if that can be done; whether it was. Not inside a
    transaction. ``give_way`` is called before each product, between the transactions, and may take its time.
    Raises ``StorageError``; O(catalogue).
    """
    products = content.products
    if products is None:
        return False

    def made() -> Iterator[tuple[str, Sequence[Row]]]:
        for sku in sorted(products):
            give_way()
            yield sku, content.take_rows(sku)

    rows = made()
    put = partial(home.tables.file_products, home.log.shop)
    file_rows(home, rows, put, through=content.through, only=products.keys())
    return True


def _updates(log: ShopLog) -> list[bytes | PlainKeys]:
    """The updates of the catalogue that were or would be admitted, compacted states first: later updates
    build on these, wherever they lie in the log.
    """
    states, updates = list[bytes | PlainKeys](), list[bytes | PlainKeys]()
    for _, record in log.document_records(CATALOGUE_DOCUMENT):
        if record[:1] == ENTRY:
            continue
        try:
            scan = scan_record(record, record_digest(record))
        except RecordError:
            continue
        update = split_update_record(record)[1]
        # What the scanner has looked at to the last byte need not be looked at again.
        found = split_keys(update, ROOT) if scan.is_plain else update
        (states if record[:1] == STATE else updates).append(found)
    return states + updates


def _by_sku(content: Grouped) -> dict[str, dict[str, Any]]:
    """The keys of each product, as ``model.catalogue`` takes them."""
    products: dict[str, dict[str, Any]] = {}
    for sku, keys in content.items():
        keys.pop("", None)  # Of a key that ends with its stroke.
        if sku is not None and keys and SKU.fullmatch(sku):
            products[sku] = keys
    return products
