"""Products that have come and are not in the views yet: looked up one at a time.

A register that has just joined a shop has ten thousand products to file, half a second of computing, in a
thread beside the one that sells. Whoever scans a bottle meanwhile does not wait for that: what the catalogue
holds is read from its updates by whoever needs it first, a product is made of its keys when it is asked for,
and the thread files what was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from crdtsync.model.listing import BARCODE, product_rows
from crdtsync.storage.view_queries import ProductRow


class ProductLookup(Protocol):
    """Where single products are found: the views, or what is not in them yet."""

    def product(self, sku: str, at_ms: int) -> ProductRow | None:
        """One product with its price at that time."""
        ...

    def products_with(self, barcode: str, at_ms: int) -> list[ProductRow]:
        """The products on sale that bear a barcode: several where vintages share one."""
        ...


class Unfiled:
    """Finds products in what the catalogue holds, as ``ViewQueries`` finds them in the views."""

    def __init__(self, products: Mapping[str, Mapping[str, Any]]) -> None:
        """``products``: the keys of each by its SKU, as ``Content`` has them."""
        self._products = products

    def product(self, sku: str, at_ms: int) -> ProductRow | None:
        """See ``ProductLookup``."""
        keys = self._products.get(sku)
        if keys is None:
            return None
        (_, facts), *others = product_rows(sku, keys)
        prices = [row for name, row in others if name == "price" and row["from_ms"] <= at_ms]  # type: ignore[operator]
        price: Mapping[str, Any] = prices[-1] if prices else {}
        return ProductRow(
            sku,
            str(facts["name"]),
            bool(facts["archived"]),
            str(facts["body"]),
            price.get("amount"),
            price.get("vat_rate"),
            price.get("vat_class"),
            bool(price.get("conflict", False)),
        )

    def products_with(self, barcode: str, at_ms: int) -> list[ProductRow]:
        """See ``ProductLookup``. Looks through all products: a millisecond for 10,000."""
        name = BARCODE + barcode
        bearing: Sequence[str] = [sku for sku, keys in self._products.items() if keys.get(name) is True]
        found = [row for sku in sorted(bearing) if (row := self.product(sku, at_ms)) is not None]
        return [row for row in found if not row.archived]
