"""The rows of a relay's databases, put together to the pieces of a backup."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgpack

from crdtsync.storage.database import Database

RELAY, ACCESS, OFFICE = "relay.sqlite", "access.sqlite", "office.sqlite"

PIECE_ROWS: Final = 128
"""How many rows a piece has, on average."""

PIECE_BYTES: Final = 1 << 20
"""A piece ends here at the latest: a pack is one row of a hundred kilobytes."""


def tables_of(database: Database) -> dict[str, tuple[list[str], list[str]]]:
    """By table, its columns, and those that its rows are ordered by."""
    names = database.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    found = {}
    for (name,) in sorted(names):
        columns = database.rows("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (name,))
        key = [column for column, place in sorted(columns, key=lambda row: row[1]) if place]
        found[name] = ([column for column, _ in columns], key or ["rowid"])
    return found


def pieces_of(
    database: Database, table: str, columns: list[str], key: list[str]
) -> Iterator[tuple[bytes, int]]:
    """The pieces of a table, each with the number of its rows."""
    sql = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(key)}"  # noqa: S608
    return pieces(database.each(sql), [columns.index(column) for column in key if column in columns])


def pieces(rows: Iterator[tuple[Any, ...]], key: list[int]) -> Iterator[tuple[bytes, int]]:
    """Rows put together, with their number. Where a piece ends follows from the keys of its rows."""
    packed: list[bytes] = []
    size = 0
    for row in rows:
        packed.append(msgpack.packb(row))
        size += len(packed[-1])
        mark = zlib.crc32(msgpack.packb([row[place] for place in key] if key else row))
        if size >= PIECE_BYTES or mark % PIECE_ROWS == 0:
            yield b"".join(packed), len(packed)
            packed, size = [], 0
    if packed:
        yield b"".join(packed), len(packed)
