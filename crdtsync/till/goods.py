"""The products as the till finds them: by a code, by words, by their kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from crdtsync.runtime.filing.search import ProductIndex
from crdtsync.runtime.register.register import Register
from crdtsync.storage.view_queries import ProductRow
from crdtsync.till.baskets import ALCOHOL_ABV

if TYPE_CHECKING:
    from crdtsync.runtime.filing.unfiled import ProductLookup

SHOWN_MAX: Final = 24


@dataclass(frozen=True, slots=True)
class Goods:
    """One product as it is shown to whoever sells it. ``detail``: vintage and size, as far as the name does
    not say them.
    """

    sku: str
    name: str
    vintage: str
    volume_ml: int | None
    producer: str
    colour: str
    price_minor: int | None
    vat_rate: int | None
    vat_class: str | None
    unit: str
    is_alcohol: bool
    archived: bool

    @property
    def can_be_sold(self) -> bool:
        """Whether it has a price and is on sale."""
        return not self.archived and None not in (self.price_minor, self.vat_rate, self.vat_class)

    @property
    def label(self) -> str:
        """What stands on the ticket."""
        return f"{self.name} {self.vintage}" if self.vintage and self.vintage not in self.name else self.name

    @classmethod
    def of(cls, row: ProductRow) -> Goods:
        """From the views."""
        body: dict[str, Any] = orjson.loads(row.body)
        vintage = body.get("vintage")
        return cls(
            sku=row.sku,
            name=row.name,
            vintage="" if vintage is None else str(vintage),
            volume_ml=body.get("volume_ml"),
            producer=body.get("producer") or "",
            colour=body.get("colour") or "",
            price_minor=row.price_minor,
            vat_rate=row.vat_rate,
            vat_class=row.vat_class,
            unit=body.get("unit", "pce"),
            is_alcohol=(body.get("abv") or 0) > ALCOHOL_ABV or bool(body.get("colour")),
            archived=bool(row.archived),
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """One screen of products, and how many there are."""

    goods: tuple[Goods, ...]
    total: int


class Storeroom:
    """All products of the shop. Words are looked up in memory; what is shown is read from the views, so that
    prices are those of this moment.
    """

    def __init__(self, register: Register) -> None:
        self._register = register
        self._index = ProductIndex()
        self._seq = -1
        self.categories: tuple[str, ...] = ()
        self._of_category: dict[str, list[str]] = {}

    @property
    def mark(self) -> int:
        """Changes with the products."""
        replica = self._register.replica
        return replica.tables.catalogue_seq(replica.log.shop)

    def search(self, text: str, *, category: str = "", first: int = 0) -> Shown:
        """The products on sale that have all the words, or are of that kind; by name."""
        self.learn()
        if text:
            found = self._index.find(text, first=first, rows_max=SHOWN_MAX)
            return Shown(tuple(self._get(found.skus)), found.total)
        skus = self._of_category.get(category, []) if category else self._all
        return Shown(tuple(self._get(skus[first : first + SHOWN_MAX])), len(skus))

    def with_code(self, code: str, digits: str) -> list[Goods]:
        """The products that a code names: one by its SKU (in small letters too), or all that bear
        the barcode. One that was made a moment ago, or has just come, is found too.
        """
        replica = self._register.replica
        named = self._named(replica.queries, code)
        if named or not digits:
            return named or self._named(replica.products_now(), code)
        # Of several vintages one may be filed and another not yet.
        products = replica.products_now()
        return self._named(products, code) or self._bearing(products, digits)

    def _named(self, products: ProductLookup, code: str) -> list[Goods]:
        now_ms = self._register.replica.clock.now_ms()
        for sku in dict.fromkeys((code, code.upper())) if code else ():
            row = products.product(sku, now_ms)
            if row is not None and not row.archived:
                return [Goods.of(row)]
        return []

    def _bearing(self, products: ProductLookup, digits: str) -> list[Goods]:
        rows = products.products_with(digits, self._register.replica.clock.now_ms())
        return sorted((Goods.of(row) for row in rows), key=lambda one: (one.vintage, one.name))

    def may_be_another(self, goods: Goods, code: str) -> bool:
        """Whether a barcode under which that product alone is known may stand on others too: products of the
        shop are still on their way to this register, and their vintages with them.
        """
        return goods.sku not in (code, code.upper()) and self._register.products.are_coming

    @property
    def are_coming(self) -> bool:
        """Whether products of the shop are still on their way to this register, or here and not filed
        yet: what is not found may be among them.
        """
        replica = self._register.replica
        return self._register.products.are_coming or replica.products_now() is not replica.queries

    def get(self, sku: str) -> Goods | None:
        """One product, as it is now."""
        replica = self._register.replica
        row = replica.queries.product(sku, replica.clock.now_ms())
        return None if row is None else Goods.of(row)

    def chosen(self, sku: str) -> Goods | None:
        """One product that was shown: as ``get``, also where it has just come and is not filed yet."""
        replica = self._register.replica
        found = self.get(sku)
        if found is not None:
            return found
        row = replica.products_now().product(sku, replica.clock.now_ms())
        return None if row is None else Goods.of(row)

    def _get(self, skus: list[str] | tuple[str, ...]) -> list[Goods]:
        return [one for sku in skus if (one := self.get(sku)) is not None]

    @property
    def is_known(self) -> bool:
        """Whether ``learn`` has read them once."""
        return self._seq >= 0

    def learn(self) -> None:
        """Read the products if they have changed: half a second for 10,000 of them, the first time."""
        seq = self.mark
        if seq == self._seq:
            return
        replica = self._register.replica
        rows = [row for row in replica.queries.products(replica.clock.now_ms()) if not row.archived]
        rows.sort(key=lambda row: row.name.casefold())
        self._index.learn(rows)
        of_category: dict[str, list[str]] = {}
        for row in rows:
            category = (orjson.loads(row.body).get("category") or "").partition("/")[0]
            if category:
                of_category.setdefault(category, []).append(row.sku)
        self._of_category = of_category
        self.categories = tuple(sorted(of_category, key=lambda name: (-len(of_category[name]), name))[:12])
        self._all = [row.sku for row in rows]
        self._seq = seq
