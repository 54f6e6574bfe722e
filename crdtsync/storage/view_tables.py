"""The tables of the views: columns once, and the SQL that follows from them.

Views are derived from the log and can be dropped and made again at any time. Rows are named by the number
of their entry in the log (``seq``), chains by a small integer. Money is in minor units, quantities in
thousandths, times in Unix milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

VERSION = 13
"""Of the tables and of the projections that fill them: another one found on disk means rebuilding."""


TYPES = {
    **dict.fromkeys(("link", "ref_link", "device"), "BLOB"),
    **dict.fromkeys(("kind", "day", "operator", "mode", "number", "ref_number", "reason", "what"), "TEXT"),
    **dict.fromkeys(("level", "detail", "sku", "label", "unit", "vc", "means", "cut", "name"), "TEXT"),
    **dict.fromkeys(("role", "series", "body", "code", "vat_class", "change_id"), "TEXT"),
}
"""Types of columns; all others are integers."""


@dataclass(frozen=True)
class Table:
    """One table. ``sums`` are the columns that are added up when a row with the same key comes again."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    sums: tuple[str, ...] = ()
    indexes: tuple[tuple[str, str], ...] = ()
    """By what they find rows, and their columns. Queries name the index that they mean: without statistics
    SQLite takes the primary key, however many rows it has to look through.
    """

    @cached_property
    def all_columns(self) -> tuple[str, ...]:
        """Key first."""
        return (*self.key, *self.columns, *self.sums)

    @property
    def sql_name(self) -> str:
        """The table's name in the file."""
        return f"view_{self.name}"

    def create_sql(self) -> str:
        """Make the table and its indexes, if they are not there."""
        # With a type, or an index is not used where a column of another table is compared with it.
        columns = ", ".join(
            (
                *(f"{name} {TYPES.get(name, 'INTEGER')}" for name in (*self.key, *self.columns)),
                *(f"{name} INTEGER NOT NULL DEFAULT 0" for name in self.sums),
            )
        )
        indexes = "".join(
            f"CREATE INDEX IF NOT EXISTS {self.sql_name}_by_{name} ON {self.sql_name} {index};"
            for name, index in self.indexes
        )
        return (
            f"CREATE TABLE IF NOT EXISTS {self.sql_name} ({columns}, PRIMARY KEY ({', '.join(self.key)}))"
            f" WITHOUT ROWID;{indexes}"
        )

    @cached_property
    def into_sql(self) -> str:
        """How inserting a row begins: up to ``VALUES``. A row whose key is there is replaced, or added to."""
        names = ", ".join(self.all_columns)
        return f"INSERT {'' if self.sums else 'OR REPLACE '}INTO {self.sql_name} ({names})"

    @cached_property
    def after_sql(self) -> str:
        """How it ends: where the key is there, the sums are added to it."""
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in self.sums)
        return f"ON CONFLICT DO UPDATE SET {added}" if added else ""


_ENTRY = ("chain", "n", "link", "kind", "day", "at_ms", "tz_min", "operator", "mode")
"""What the rows that stand for an entry begin with."""

HEADS = (
    Table(
        "ticket",
        ("shop", "seq"),
        (*_ENTRY, "number", "ttc", "oos", "lines", "ref_link", "ref_number", "reason"),
        indexes=(
            ("place", "(chain, n)"),
            ("number", "(shop, number)"),
            ("day", "(shop, day)"),
            ("chain", "(chain, day, seq)"),
            ("ref", "(shop, ref_link) WHERE ref_link IS NOT NULL"),
        ),
    ),
    Table(
        "cash",
        ("shop", "seq"),
        (*_ENTRY, "what", "amount", "reason"),
        indexes=(("place", "(chain, n)"), ("day", "(shop, day)")),
    ),
    Table(
        "closing",
        ("shop", "seq"),
        (
            *_ENTRY,
            "level",
            "z",
            "first_n",
            "last_n",
            "tickets",
            "ttc",
            "refunds_ttc",
            "gt_real",
            "gt_abs",
            "cash_expected",
            "cash_counted",
            "automatic",
        ),
        indexes=(("place", "(chain, n)"), ("day", "(shop, day)")),
    ),
    Table("move", ("shop", "seq"), (*_ENTRY, "reason"), indexes=(("place", "(chain, n)"),)),
    Table(
        "event",
        ("shop", "seq"),
        (*_ENTRY, "code", "detail"),
        indexes=(
            ("place", "(chain, n)"),
            ("day", "(shop, day)"),
            ("company", "(chain, n) WHERE code = '240'"),
        ),
    ),
)
"""Every entry has one row in one of these."""

DETAILS = (
    Table(
        "line",
        ("shop", "seq", "i"),
        ("sku", "label", "qty", "unit", "pu", "disc", "ttc", "vat", "vc", "ht", "of"),
    ),
    Table("payment", ("shop", "seq", "i"), ("means", "amount")),
    Table("movement", ("shop", "sku", "chain", "n", "seq", "i"), ("delta",)),
    Table("count", ("shop", "sku", "seq", "i"), ("chain", "n", "link", "at_ms", "counted", "cut")),
    Table("device", ("shop", "device", "seq"), ("n", "link", "name", "role", "series", "revoked")),
    Table(
        "flag",
        ("shop", "seq", "code"),
        ("chain", "n", "link", "day", "detail"),
        indexes=(("day", "(shop, day)"),),
    ),
)
"""Rows that belong to an entry's row."""

TOTALS = (
    Table(
        "day",
        ("shop", "day", "chain"),
        (),
        sums=("tickets", "refunds", "ttc", "refunds_due", "oos", "discounts", "abandoned", "abandoned_due"),
    ),
    Table("day_vat", ("shop", "day", "chain", "vat", "vc"), (), sums=("ttc", "ht", "tva")),
    Table("day_payment", ("shop", "day", "chain", "means"), (), sums=("amount", "times")),
)
"""Sums over the entries of one chain and one business day."""

CATALOGUE = (
    Table("product", ("shop", "sku"), ("name", "archived", "body")),
    Table("barcode", ("shop", "code", "sku"), (), indexes=(("sku", "(shop, sku)"),)),
    Table("price", ("shop", "sku", "from_ms"), ("amount", "vat_rate", "vat_class", "change_id", "conflict")),
)
"""The catalogue as it is now. ``price`` is a timeline: the amount from ``from_ms`` on."""

ALL = {table.name: table for table in (*HEADS, *DETAILS, *TOTALS, *CATALOGUE)}

HEAD_NAMES = frozenset(table.name for table in HEADS)

BASE_SQL = """
CREATE TABLE IF NOT EXISTS view_version (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS view_shop (
    id INTEGER PRIMARY KEY, shop BLOB NOT NULL UNIQUE,
    seq INTEGER NOT NULL DEFAULT 0, catalogue_seq INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS view_chain (
    id INTEGER PRIMARY KEY, shop INTEGER NOT NULL, chain BLOB NOT NULL, device BLOB NOT NULL,
    n INTEGER NOT NULL DEFAULT 0, link BLOB, at_ms INTEGER, day TEXT, UNIQUE (shop, chain, device)
);
"""
"""Cursors, and the chains with their newest entry. A chain belongs to one device, but any other can sign an
entry that says it belongs there: what each device signed is filed apart, so that it changes nothing of
another's.
"""
