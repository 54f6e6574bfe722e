"""What a disk in memory holds of one shop: tables with a layer for the transaction under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from crdtsync.ids import ZERO_HASH
from crdtsync.storage.log import Acknowledged, Apart, Cursor, DocumentRow, PackRow, Refusal, Run

K = TypeVar("K")
V = TypeVar("V")

OriginKey = tuple[bytes | None, int]
"""The log that a record came from (None: it was made here), and how often that origin was voided before."""


class Table(Generic[K, V]):
    """Values by key. They are immutable, so that copying the dictionary copies the table."""

    __slots__ = ("committed", "pending")

    def __init__(self) -> None:
        self.committed: dict[K, V] = {}
        self.pending: dict[K, V | None] = {}

    def get(self, key: K, inside: bool) -> V | None:
        """The value as seen from ``inside`` the transaction under way, or from without."""
        if inside and key in self.pending:
            return self.pending[key]
        return self.committed.get(key)

    def put(self, key: K, value: V | None) -> None:
        """Set or, with None, remove a value in the transaction under way."""
        self.pending[key] = value

    def items(self, inside: bool) -> Iterator[tuple[K, V]]:
        """Everything, oldest first."""
        if not inside or not self.pending:
            yield from self.committed.items()
            return
        for key, value in self.committed.items():
            seen = self.pending.get(key, value)
            if seen is not None:
                yield key, seen
        for key, new in self.pending.items():
            if new is not None and key not in self.committed:
                yield key, new

    def commit(self) -> None:
        """Let the disk have what the transaction wrote."""
        for key, value in self.pending.items():
            if value is None:
                self.committed.pop(key, None)
            else:
                self.committed[key] = value
        self.pending = {}


class Head(NamedTuple):
    """The end of a log, and its name. ``packed`` is the last seq that lies in a pack."""

    log_id: bytes
    seq: int = 0
    h: bytes = ZERO_HASH
    packed: int = 0


class MemoryRow(NamedTuple):
    """One row of a log; ``record`` is None where its bytes are gone. Reading a damaged one raises."""

    record: bytes | None
    document: str
    digest: bytes
    chain: bytes | None
    n: int
    prev: bytes
    origin: OriginKey
    origin_seq: int
    h: bytes
    damaged: bool = False


@dataclass(slots=True)
class ShopTables:
    """The tables of one shop."""

    head: Table[str, Head] = field(default_factory=Table)
    rows: Table[int, MemoryRow] = field(default_factory=Table)
    numbers: Table[tuple[bytes, int], tuple[int, ...]] = field(default_factory=Table)
    updates: Table[bytes, int] = field(default_factory=Table)
    runs: Table[bytes, tuple[Run, ...]] = field(default_factory=Table)
    documents: Table[str, DocumentRow] = field(default_factory=Table)
    voids: Table[bytes, int] = field(default_factory=Table)
    cursors: Table[bytes, Cursor] = field(default_factory=Table)
    acknowledged: Table[bytes, tuple[bytes, Acknowledged]] = field(default_factory=Table)
    given: Table[bytes, Mapping[int, Refusal]] = field(default_factory=Table)
    received: Table[bytes, Mapping[int, Refusal]] = field(default_factory=Table)
    apart: Table[bytes, Apart] = field(default_factory=Table)
    state: Table[str, bytes] = field(default_factory=Table)
    requests: Table[str, tuple[bytes, int]] = field(default_factory=Table)
    packs: Table[int, PackRow] = field(default_factory=Table)

    def all(self) -> tuple[Table[object, object], ...]:
        """Every table."""
        return tuple(getattr(self, name) for name in self.__slots__)

    def copy(self) -> ShopTables:
        """The committed state once more."""
        twin = ShopTables()
        for name in self.__slots__:
            getattr(twin, name).committed = dict(getattr(self, name).committed)
        return twin
