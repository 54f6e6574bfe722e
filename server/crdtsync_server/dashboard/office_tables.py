"""The tables of the views as the back office has them: with the indexes by which sales are found, and the sum
of each product's movements kept as they are filed. Registers file without either, and so sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crdtsync.storage.view_sales import INDEXES_SQL
from crdtsync.storage.views import Value, ViewTables

_STOCK_SQL: Final = """
CREATE TABLE view_stock (
    shop INTEGER NOT NULL, sku TEXT NOT NULL, moved INTEGER NOT NULL, PRIMARY KEY (shop, sku)
) WITHOUT ROWID;
INSERT INTO view_stock SELECT shop, sku, sum(delta) FROM view_movement GROUP BY shop, sku;
"""


class OfficeTables(ViewTables):
    """See ``ViewTables``. Inside a transaction, what writes."""

    def prepare(self) -> None:
        """See ``ViewTables.prepare``."""
        super().prepare()
        self.complete()

    def complete(self) -> None:
        """Make what a file of an earlier version lacks. O(movements) once, and nothing after that."""
        self._database.write(INDEXES_SQL)
        if not self._one("SELECT count(*) FROM sqlite_master WHERE name = 'view_stock'"):
            self._database.write(_STOCK_SQL)

    def _insert(self, name: str, rows: Sequence[tuple[Value, ...]]) -> None:
        """Only rows that were not filed before come here: each movement is added once."""
        super()._insert(name, rows)
        if name != "movement":
            return
        sums: dict[tuple[Value, Value], int] = {}
        for shop, sku, _chain, _n, _seq, _i, delta in rows:
            assert isinstance(delta, int)
            sums[shop, sku] = sums.get((shop, sku), 0) + delta
        self._database.write_many(
            "INSERT INTO view_stock VALUES (?, ?, ?)"
            " ON CONFLICT (shop, sku) DO UPDATE SET moved = moved + excluded.moved",
            [(shop, sku, moved) for (shop, sku), moved in sums.items()],
        )
