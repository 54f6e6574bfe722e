"""Products that have come and are not in the views yet: looked up, and listed.

A register that has just joined a shop has ten thousand products to file, a third of a second of computing,
in a thread beside the one that sells. Whoever scans a bottle meanwhile, or looks through all of them, does
not wait for that: what the catalogue holds is read from its updates by whoever needs it first, a product is
made of its keys when it is asked for, and the thread files what was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from crdtsync.model.listing import BARCODE
from crdtsync.storage.view_queries import ProductRow
from crdtsync.storage.views import Row

if TYPE_CHECKING:
    from crdtsync.runtime.filing.once import Filing
    from crdtsync.runtime.filing.product_rows import Content


class ProductLookup(Protocol):
    """Where products are found: the views, or what is not in them yet."""

    def product(self, sku: str, at_ms: int) -> ProductRow | None:
        """One product with its price at that time."""
        ...

    def products_with(self, barcode: str, at_ms: int) -> list[ProductRow]:
        """The products on sale that bear a barcode: several where vintages share one."""
        ...

    def products(self, at_ms: int) -> Iterator[ProductRow]:
        """All products, archived ones too, by SKU."""
        ...


class Unfiled:
    """Finds products in what the catalogue holds, as ``ViewQueries`` finds them in the views."""

    def __init__(self, content: Content, filing: Filing) -> None:
        """``content``: of which the products are known. ``filing``: who files it meanwhile."""
        assert content.products is not None
        self._content, self._products, self._filing = content, content.products, filing

    def product(self, sku: str, at_ms: int) -> ProductRow | None:
        """See ``ProductLookup``."""
        rows = self._content.rows(sku)
        return None if rows is None else _as_shown(sku, rows, at_ms)

    def products_with(self, barcode: str, at_ms: int) -> list[ProductRow]:
        """See ``ProductLookup``. Looks through all products: a millisecond for 10,000."""
        name = BARCODE + barcode
        bearing: Sequence[str] = [sku for sku, keys in self._products.items() if keys.get(name) is True]
        found = [row for sku in sorted(bearing) if (row := self.product(sku, at_ms)) is not None]
        return [row for row in found if not row.archived]

    def products(self, at_ms: int) -> Iterator[ProductRow]:
        """See ``ProductLookup``. The thread that files gives way to whoever looks through all of them."""
        with self._filing.looking():
            found = [self.product(sku, at_ms) for sku in sorted(self._products)]
        return (row for row in found if row is not None)


def _as_shown(sku: str, rows: Sequence[Row], at_ms: int) -> ProductRow:
    """A product of the views from the rows that are to be filed there."""
    facts, price = rows[0][1], _NO_PRICE
    for name, row in rows:  # Prices in the order in which they begin to hold.
        if name == "price" and row["from_ms"] <= at_ms:  # type: ignore[operator]
            price = row
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


_NO_PRICE: Mapping[str, Any] = {}
