"""The views on disk: tables that follow the log, in the file of the log.

A projection (a function of the model, passed in by the runtime) turns each entry into rows; here they are
filed. Filing is idempotent per entry and does not depend on the order in which entries come, so that the
tables always equal a fold over the set of entries below the cursor.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from crdtsync.storage.database import Database
from crdtsync.storage.view_tables import ALL, BASE_SQL, HEAD_NAMES, VERSION

Value = int | str | bytes | None
Row = tuple[str, Mapping[str, Value]]
"""A table's name, without ``view_``, and values by column."""


class EntryRows(Protocol):
    """What a projection makes of one entry.

    ``head`` is the row that stands for the entry, ``details`` belong to it, ``sums`` are added to the
    totals of its chain and day, ``newest`` is what the chain's row shows if no later entry is known; its
    ``device`` is who signed the entry.
    """

    @property
    def chain(self) -> bytes: ...
    @property
    def n(self) -> int: ...
    @property
    def link(self) -> bytes: ...
    @property
    def head(self) -> Row: ...
    @property
    def details(self) -> Sequence[Row]: ...
    @property
    def sums(self) -> Sequence[Row]: ...
    @property
    def newest(self) -> Mapping[str, Value]: ...


class _Batch:
    """Rows of many entries, gathered by table."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[Value, ...]]] = {}
        self.sums: dict[str, dict[tuple[Value, ...], list[int]]] = {}
        self.newest: dict[int, EntryRows] = {}

    def add(self, rows: EntryRows, **known: Value) -> None:
        """Take the rows of one entry; ``known`` are columns that all of them have."""
        for name, values in (rows.head, *rows.details):
            self.rows.setdefault(name, []).append(_values(name, values, known))
        for name, values in rows.sums:
            table = ALL[name]
            amounts = self.sums.setdefault(name, {}).setdefault(
                tuple(known[column] if column in known else values[column] for column in table.key),
                [0] * len(table.sums),
            )
            for place, column in enumerate(table.sums):
                if amount := values.get(column):
                    amounts[place] += _integer(amount)
        chain = _integer(known["chain"])
        newest = self.newest.get(chain)
        if newest is None or (newest.n, newest.link) < (rows.n, rows.link):
            self.newest[chain] = rows


class ViewTables:
    """The views of all shops in one store file. Writing methods are called inside a transaction of that
    store; reading ones see what is committed. Not for more than one thread.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chains: dict[tuple[int, bytes, Value], int] = {}

    # -- the tables -----------------------------------------------------------------------------------

    def is_current(self) -> bool:
        """Whether the tables are there, in the shape that this version makes."""
        found = self._one("SELECT count(*) FROM sqlite_master WHERE name = 'view_version'")
        return bool(found) and self._one("SELECT version FROM view_version") == VERSION

    def prepare(self) -> None:
        """Make the tables where they are missing or of another version, to be filled again from the log."""
        if not self.is_current():
            self.drop()
            self._database.write(BASE_SQL + "".join(table.create_sql() for table in ALL.values()))
            self._database.write("INSERT INTO view_version VALUES (?)", (VERSION,))

    def drop(self) -> None:
        """Drop every view. Nothing is lost: the log is not touched."""
        found = self._database.rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'view_*'"
        )
        for (name,) in found:
            self._database.write(f'DROP TABLE "{name}"')

    # -- cursors --------------------------------------------------------------------------------------

    def seq(self, shop: bytes) -> int:
        """The log's seq up to which entries are filed."""
        return self._one("SELECT seq FROM view_shop WHERE shop = ?", shop) or 0

    def catalogue_seq(self, shop: bytes) -> int:
        """The log's seq up to which the products are filed."""
        return self._one("SELECT catalogue_seq FROM view_shop WHERE shop = ?", shop) or 0

    # -- filing, inside a transaction --------------------------------------------------------------------

    def file_entries(self, shop: bytes, entries: Iterable[tuple[int, EntryRows]], *, through: int) -> None:
        """File the rows of different entries with their seq, and move the cursor to seq ``through``."""
        self._chains.clear()  # Chains named in a transaction that was rolled back are not there any more.
        number = self._shop(shop)
        batch = _Batch()
        numbered = [
            (seq, self._chain(number, rows.chain, rows.newest["device"]), rows) for seq, rows in entries
        ]
        filed = self._filed(numbered)
        for seq, chain, rows in numbered:
            if (chain, rows.link) not in filed:
                batch.add(rows, shop=number, seq=seq, chain=chain, n=rows.n, link=rows.link)
        for name, values in batch.rows.items():
            self._insert(name, values)
        for name, totals in batch.sums.items():
            self._insert(name, [(*key, *amounts) for key, amounts in totals.items()])
        for chain, newest in batch.newest.items():
            self._show_newest(chain, newest)
        self._database.write("UPDATE view_shop SET seq = ? WHERE id = ?", (through, number))

    def file_products(self, shop: bytes, products: Mapping[str, Sequence[Row]]) -> None:
        """Replace the rows of these products; of one without rows nothing is left."""
        number = self._shop(shop)
        self._drop_products(number, products)
        gathered: dict[str, list[tuple[Value, ...]]] = {}
        for sku, rows in products.items():
            known: dict[str, Value] = {"shop": number, "sku": sku}
            for name, values in rows:
                gathered.setdefault(name, []).append(_values(name, values, known))
        for name, inserted in gathered.items():
            self._insert(name, inserted)

    def end_products(self, shop: bytes, *, through: int, only: Collection[str] | None) -> None:
        """All products are filed up to seq ``through``. With ``only``, there are no others than these."""
        number = self._shop(shop)
        if only is not None:
            found = self._database.rows("SELECT sku FROM view_product WHERE shop = ?", (number,))
            self._drop_products(number, [sku for (sku,) in found if sku not in only])
        self._database.write("UPDATE view_shop SET catalogue_seq = ? WHERE id = ?", (through, number))

    def _drop_products(self, shop: int, skus: Iterable[str]) -> None:
        there = self._database.rows(
            "SELECT sku FROM view_product WHERE shop = ? AND sku IN (SELECT value FROM json_each(?))",
            (shop, json.dumps(list(skus))),
        )
        if not there:  # Of a new register's ten thousand none is.
            return
        listed = json.dumps([sku for (sku,) in there])
        for table in ("view_product", "view_price", "view_barcode"):
            self._database.write(
                f"DELETE FROM {table} WHERE shop = ? AND sku IN (SELECT value FROM json_each(?))",  # noqa: S608
                (shop, listed),
            )

    def _filed(self, entries: Sequence[tuple[int, int, EntryRows]]) -> set[tuple[int, bytes]]:
        """Chain and link of those among these entries that are filed already, and of some others.

        An entry that was set apart and fetched again comes with another seq, but is one entry.
        """
        numbers: dict[tuple[str, int], list[int]] = {}
        for _, chain, rows in entries:
            numbers.setdefault((rows.head[0], chain), []).append(rows.n)
        filed: set[tuple[int, bytes]] = set()
        for (name, chain), held in numbers.items():
            assert name in HEAD_NAMES, name
            links = self._database.rows(
                f"SELECT link FROM view_{name} INDEXED BY view_{name}_by_place"  # noqa: S608
                " WHERE chain = ? AND n IN (SELECT value FROM json_each(?))",
                (chain, json.dumps(held)),
            )
            filed |= {(chain, link) for (link,) in links}
        return filed

    def _insert(self, name: str, rows: Sequence[tuple[Value, ...]]) -> None:
        table = ALL[name]
        self._database.insert_many(table.into_sql, rows, table.after_sql)

    def _show_newest(self, chain: int, rows: EntryRows) -> None:
        values = {**rows.newest, "n": rows.n, "link": rows.link}
        columns = ", ".join(f"{name} = ?" for name in values)
        self._database.write(
            f"UPDATE view_chain SET {columns} WHERE id = ? AND (n, coalesce(link, x'')) < (?, ?)",  # noqa: S608
            (*values.values(), chain, rows.n, rows.link),
        )

    # -- small integers for shops and chains --------------------------------------------------------------

    def _shop(self, shop: bytes) -> int:
        self._database.write("INSERT OR IGNORE INTO view_shop (shop) VALUES (?)", (shop,))
        return _integer(self._one("SELECT id FROM view_shop WHERE shop = ?", shop))

    def _chain(self, shop: int, chain: bytes, device: Value) -> int:
        key = shop, chain, device
        if key not in self._chains:
            self._database.write(
                "INSERT OR IGNORE INTO view_chain (shop, chain, device) VALUES (?, ?, ?)", key
            )
            self._chains[key] = _integer(
                self._one("SELECT id FROM view_chain WHERE shop = ? AND chain = ? AND device = ?", *key)
            )
        return self._chains[key]

    def _one(self, sql: str, *values: Value) -> int | None:
        row = self._database.row(sql, values)
        return None if row is None else row[0]


def _values(name: str, values: Mapping[str, Value], known: Mapping[str, Value]) -> tuple[Value, ...]:
    """A row as the table's statement takes it."""
    return tuple(map({**values, **known}.get, ALL[name].all_columns))


def _integer(value: Value) -> int:
    if value is None:
        return 0
    assert isinstance(value, int), value
    return value
