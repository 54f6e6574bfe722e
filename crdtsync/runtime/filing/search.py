"""Finding products as somebody types: by any words of a product, without accents and in whatever case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crdtsync.model.product_columns import plain
from crdtsync.storage.view_queries import ProductRow

SEARCHED_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class Found:
    """The SKUs of one page of what was found, and how many there are in all."""

    skus: tuple[str, ...]
    total: int


class ProductIndex:
    """The words of all products of one shop, in memory: 10,000 are looked through in some milliseconds."""

    def __init__(self) -> None:
        self._words: list[tuple[str, str, bool, bool]] | None = None
        self._known: dict[tuple[str, str, str], tuple[str, str]] = {}

    @property
    def is_known(self) -> bool:
        """Whether ``learn`` was called since the products changed."""
        return self._words is not None

    def forget(self) -> None:
        """The products have changed."""
        self._words = None

    def learn(self, rows: Iterable[ProductRow]) -> None:
        """Take all products, archived ones too. Those that did not change cost next to nothing."""
        known = self._known
        self._known = {}
        found = []
        for row in rows:
            key = (row.sku, row.name, row.body)
            plain_name, words = self._known[key] = known.get(key) or _plain(row)
            found.append((plain_name, row.sku, words, bool(row.archived), bool(row.disputed)))
        found.sort()
        self._words = [(words, sku, archived, disputed) for _, sku, words, archived, disputed in found]

    def find(
        self, text: str, *, archived: bool = False, disputed: bool = False, first: int = 0, rows_max: int = 50
    ) -> Found:
        """The products that have all the words, by name."""
        wanted = plain(text[:SEARCHED_CHARACTERS_MAX]).split()
        skus = [
            sku
            for words, sku, is_archived, is_disputed in self._words or ()
            if is_archived == archived
            and (is_disputed or not disputed)
            and all(word in words for word in wanted)
        ]
        return Found(tuple(skus[first : first + rows_max]), len(skus))

    @property
    def disputed(self) -> int:
        """How many products on sale have a price that two people changed without seeing one another."""
        return sum(is_disputed and not archived for _, _, archived, is_disputed in self._words or ())


def _plain(row: ProductRow) -> tuple[str, str]:
    """The name by which a product is sorted, and all its words."""
    return plain(row.name), plain(f"{row.sku} {row.name} {_values(row.body)}")


def _values(body: str) -> str:
    return " ".join(part for part in body.replace('"', " ").replace(",", " ").split() if part)
