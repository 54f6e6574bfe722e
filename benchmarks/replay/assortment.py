"""The catalogue of the replay: the products that the store sells most, kept up by whoever sells them.

A register that sells one of them for the first time in a month puts it into the catalogue if it is not there,
and changes its price if the shelf price of the source is another one. So registers that are offline add the
same product, and change the same price, without seeing one another: in the end all must have the same
catalogue. (A sale keeps the price that the source has, whatever the catalogue says: the one that was shown.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.replay.mapping import GASOLINE
from benchmarks.replay.source import Basket
from crdtsync.errors import InvalidProduct
from crdtsync.model.ticket import Line
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.register.tickets import BasketLine, SoldLine

PRODUCTS_MAX: Final = 40


def most_sold(baskets: Iterable[Basket]) -> list[str]:
    """The SKUs on most lines; gasoline, whose price is another one every day, left out."""
    counts = Counter(
        str(line.product_id)
        for basket in baskets
        for line in basket.lines
        if not line.product_type.startswith(GASOLINE)
    )
    return sorted(sorted(counts), key=lambda sku: -counts[sku])[:PRODUCTS_MAX]


class Assortment:
    """One register's hand in the catalogue."""

    def __init__(self, register: Register, skus: Sequence[str]) -> None:
        self._register = register
        self._skus = frozenset(skus)
        self._month_of: dict[str, str] = {}
        self.changes = 0

    def sold_lines(self, lines: Sequence[Line], day: str) -> list[SoldLine]:
        """The lines as they are sold on a day: by SKU where the catalogue has the product by now."""
        return [self._sold(line, day[:7]) if line.sku in self._skus else line for line in lines]

    def _sold(self, line: Line, month: str) -> SoldLine:
        if self._month_of.get(line.sku) != month:
            self._keep_up(line)
            self._month_of[line.sku] = month
        return BasketLine(
            line.sku,
            quantity_thousandths=line.quantity_thousandths,
            unit_price_minor=line.unit_price_minor,
            discount_minor=line.discount_minor,
        )

    def _keep_up(self, line: Line) -> None:
        products = self._register.products
        product = products.find(line.sku)
        if product is None:
            try:
                products.add(
                    line.sku,
                    name=line.label,
                    price_minor=line.unit_price_minor,
                    vat_rate=line.vat_rate,
                    vat_class=line.vat_class,
                    unit=line.unit,
                )
                self.changes += 1
                return
            except InvalidProduct:
                pass  # Another register was quicker.
        if product is None or product.price_minor != line.unit_price_minor:
            products.set(line.sku, price_minor=line.unit_price_minor)
            self.changes += 1
