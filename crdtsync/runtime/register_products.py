"""Products on a register: written into the catalogue document, read from the views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pycrdt import Map

from crdtsync.errors import InvalidProduct, UnknownProduct
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.model import canonical
from crdtsync.model.catalogue import (
    ROOT,
    VAT_CLASSES,
    PriceChange,
    Product,
    check_fields,
    check_price,
    check_sku,
    read_products,
)
from crdtsync.runtime.register_documents import Document
from crdtsync.runtime.replica import Replica
from crdtsync.storage.view_queries import ProductRow
from crdtsync.storage.views import Row

DEFAULT_UNIT = "pce"


class Products:
    """The catalogue of one register. Writing loads the document; reading asks the views."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def add(self, sku: str, *, price_minor: int, vat_rate: int, **fields: Any) -> ProductRow:
        """A new product. Durable on return. Raises ``InvalidProduct``, also when the SKU is taken."""
        check_sku(sku)
        check_price(price_minor, vat_rate)
        texts = check_fields({"unit": DEFAULT_UNIT, **fields})
        if "name" not in texts:
            raise InvalidProduct(f"{sku} has no name")
        document, products = self._load()
        if sku in products:
            raise InvalidProduct(f"there is a product {sku} already", hint="change it with `product set`")
        with document.transaction() as doc:
            items = doc.get(ROOT, type=Map)
            for name, text in texts.items():
                items[f"{sku}/{name}"] = text
            self._put_price(items, sku, None, price_minor, vat_rate, 0)
        self.refresh()
        return self.get(sku)

    def set(
        self,
        sku: str,
        *,
        price_minor: int | None = None,
        vat_rate: int | None = None,
        valid_from_ms: int | None = None,
        archived: bool | None = None,
        **fields: Any,
    ) -> ProductRow:
        """Change a product; what is not named stays. Durable on return.

        Raises ``InvalidProduct``, ``UnknownProduct``.
        """
        texts = check_fields(fields)
        if archived is not None:
            texts["archived"] = canonical.encode({"v": archived}).decode()
        document, products = self._load()
        product = products.get(sku)
        if product is None:
            raise UnknownProduct(f"there is no product {sku!r}")
        now_ms = self._replica.clock.now_ms()
        heads = product.heads(now_ms)
        if price_minor is not None or vat_rate is not None:
            amount = heads[0].amount_minor if price_minor is None and heads else price_minor or 0
            rate = heads[0].vat_rate if vat_rate is None and heads else vat_rate or 0
            check_price(amount, rate)
        with document.transaction() as doc:
            items = doc.get(ROOT, type=Map)
            for name, text in texts.items():
                items[f"{sku}/{name}"] = text
            if price_minor is not None or vat_rate is not None:
                valid_ms = now_ms if valid_from_ms is None else valid_from_ms
                self._put_price(items, sku, product, amount, rate, valid_ms)
        self.refresh()
        return self.get(sku)

    def get(self, sku: str) -> ProductRow:
        """One product with its price now. Raises ``UnknownProduct``."""
        row = self.find(sku)
        if row is None:
            raise UnknownProduct(f"there is no product {sku!r}")
        return row

    def find(self, sku: str) -> ProductRow | None:
        """As ``get``; None if there is no such product."""
        self.refresh()
        return self._replica.queries.product(sku, self._replica.clock.now_ms())

    def list(self, *, archived: bool = False) -> Iterator[ProductRow]:
        """The products by SKU with their prices now; with ``archived`` also those not on sale."""
        self.refresh()
        rows = self._replica.queries.products(self._replica.clock.now_ms())
        return (row for row in rows if archived or not row.archived)

    def refresh(self) -> None:
        """Bring the view of the products up to date, if the catalogue has changed since."""
        self._replica.file_catalogue()

    def _load(self) -> tuple[Document, dict[str, Product]]:
        document = Document(self._replica, CATALOGUE_DOCUMENT)
        return document, read_products(list(document.doc.get(ROOT, type=Map).items()))

    def _put_price(
        self, items: Any, sku: str, product: Product | None, amount: int, rate: int, valid_from_ms: int
    ) -> None:
        now_ms = self._replica.clock.now_ms()
        replaces = tuple(product.changes) if product else ()
        by = self._replica.identity.device.hex()
        change = PriceChange(amount, rate, valid_from_ms, by, now_ms, replaces)
        items[f"{sku}/price/{change.id}"] = change.to_text()


def product_rows(replica: Replica) -> Mapping[str, list[Row]]:
    """The rows of the product view, from the whole catalogue document."""
    document = Document(replica, CATALOGUE_DOCUMENT)
    rows: dict[str, list[Row]] = {}
    for sku, product in read_products(list(document.doc.get(ROOT, type=Map).items())).items():
        prices = product.prices
        rate = prices[-1].change.vat_rate if prices else 2000
        body = {"unit": DEFAULT_UNIT, "vat_rate": rate, "vat_class": VAT_CLASSES[rate], **product.fields}
        facts = {
            "name": product.fields["name"],
            "archived": product.archived,
            "body": orjson.dumps(body).decode(),
        }
        rows[sku] = [("product", facts)]
        rows[sku] += [
            (
                "price",
                {
                    "from_ms": price.from_ms,
                    "amount": price.change.amount_minor,
                    "change_id": price.change.id,
                    "conflict": price.disputed,
                },
            )
            for price in prices
        ]
    return rows
