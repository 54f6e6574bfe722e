"""Whether the views show what the entries say.

Views carry no checksums: a damaged or altered page of them would be believed by every report. Both sides are
summed up row by row, in any order: a row counts as the hash of all that it says, named by its entry and not
by the small integers of this file. Sums over a day are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from crdtsync.storage.database import Database
from crdtsync.storage.view_tables import DETAILS, HEADS, TOTALS, Table
from crdtsync.storage.views import EntryRows, Value

_OF_TICKETS = ("line", "payment")
"""These name their entry by its seq alone."""

_LOCAL = ("shop", "seq", "chain")


class ViewCheck:
    """What the views should show of the entries that it was given. Costs memory for days, not for entries."""

    def __init__(self) -> None:
        self._rows = {table.name: (0, 0) for table in (*HEADS, *DETAILS)}
        self._sums: dict[str, dict[tuple[Value, ...], list[int]]] = {table.name: {} for table in TOTALS}
        self._tables = {table.name: table for table in (*HEADS, *DETAILS, *TOTALS)}

    def add(self, rows: EntryRows) -> None:
        """Take the rows of one more entry."""
        chain = rows.chain, rows.newest["device"]
        known: dict[str, Value] = {"n": rows.n, "link": rows.link}
        # A row with the key of another one of its entry takes its place.
        kept: dict[tuple[Value, ...], tuple[str, tuple[Value, ...]]] = {}
        for name, values in (rows.head, *rows.details):
            table = self._tables[name]
            said = {**values, **known}
            key = name, *(said.get(column) for column in table.key if column not in _LOCAL)
            kept[key] = name, (*_named(table, *chain, rows.link), *map(said.get, _columns(table)))
        for name, row in kept.values():
            count, total = self._rows[name]
            self._rows[name] = count + 1, total + hash(row)
        for name, values in rows.sums:
            table = self._tables[name]
            key = *chain, *(values[column] for column in table.key if column not in _LOCAL)
            amounts = self._sums[name].setdefault(key, [0] * len(table.sums))
            for place, column in enumerate(table.sums):
                amount = values.get(column)
                amounts[place] += amount if isinstance(amount, int) else 0

    def differing(self, shown: Shown) -> list[str]:
        """The names of the tables that show something else."""
        told = {**self._rows, **self._sums}
        return [name for name, said in told.items() if shown.tables[name] != said]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the views of a shop show of the entries up to ``seq``, summed up as ``ViewCheck`` does it."""

    seq: int
    tables: Mapping[str, object]

    @classmethod
    def read(cls, database: Database, shop: bytes) -> Self:
        """O(everything), in one read transaction. Raises ``StorageError``."""
        with database.snapshot():
            row = database.row("SELECT seq FROM view_shop WHERE shop = ?", (shop,))
            tables: dict[str, object] = {}
            for table in (*HEADS, *DETAILS):
                count = total = 0
                for found in _rows(database, shop, table):
                    count, total = count + 1, total + hash(found)
                tables[table.name] = count, total
            for table in TOTALS:
                width = 2 + sum(column not in _LOCAL for column in table.key)
                tables[table.name] = {
                    found[:width]: list(found[width:]) for found in _rows(database, shop, table)
                }
        return cls(row[0] if row else 0, tables)


def _rows(database: Database, shop: bytes, table: Table) -> Iterator[tuple[Value, ...]]:
    columns = ", ".join(f"v.{column}" for column in _columns(table))
    source, named = f"{table.sql_name} v", "c.chain, c.device, "
    if table.name in _OF_TICKETS:
        named += "t.link, "
        source += (
            " JOIN view_ticket t ON t.shop = v.shop AND t.seq = v.seq JOIN view_chain c ON c.id = t.chain"
        )
    elif table.name == "device":
        named = ""
    else:
        source += " JOIN view_chain c ON c.id = v.chain"
    sql = f"SELECT {named}{columns} FROM {source} WHERE v.shop = (SELECT id FROM view_shop WHERE shop = ?)"  # noqa: S608
    return database.each(sql, (shop,))


def _named(table: Table, chain: bytes, device: Value, link: bytes) -> tuple[Value, ...]:
    if table.name == "device":
        return ()
    return (chain, device, link) if table.name in _OF_TICKETS else (chain, device)


def _columns(table: Table) -> list[str]:
    return [column for column in table.all_columns if column not in _LOCAL]
