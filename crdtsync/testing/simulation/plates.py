"""The disks of simulated machines: in memory, or under the real store; both can fail in the same ways.

A ``Plate`` is what outlives a process. Stores that were opened on it are dead after ``cut_power``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Literal, Protocol

import apsw

from crdtsync.errors import DiskFull, ReadOnlyStore, StorageError
from crdtsync.ids import record_digest
from crdtsync.runtime.folder.replica import ViewStore
from crdtsync.storage.database import Database
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.storage.pack import decode_pack
from crdtsync.storage.schema import SEQ_BITS, SEQ_MAX
from crdtsync.storage.scratch import ScratchDatabase
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.disk import SimulatedDisk

Trouble = Literal["", "full", "read-only"]
Struck = Callable[[], None]


def _unnoted() -> None:
    """Nobody keeps count."""


class _Once:
    """Tells each fault the first time it is felt."""

    def __init__(self) -> None:
        self._armed: dict[str, Struck] = {}

    def arm(self, kind: str, struck: Struck) -> None:
        self._armed[kind] = struck

    def strike(self, kind: str) -> None:
        self._armed.pop(kind, _unnoted)()


class Plate(Protocol):
    """One machine's disk."""

    def open(self) -> ViewStore:
        """A handle for one process, with room for views."""
        ...

    def set_trouble(self, trouble: Trouble, struck: Struck = _unnoted) -> None:
        """From now on nothing can be written (``""``: it can). ``struck`` is called, here and below, just
        before that is felt for the first time.
        """
        ...

    def fail_next_commit(self, struck: Struck = _unnoted, *, is_written: bool) -> None:
        """The next commit reports an error; with ``is_written`` it has reached the disk all the same, where
        this disk can do that.
        """
        ...

    def lose_power_soon(self, operations: int, struck: Struck = _unnoted) -> None:
        """The power goes in the midst of something: after so many writes, or commits."""
        ...

    def calm(self) -> None:
        """It has room, can be written, and nothing that was still to come of the above comes."""
        ...

    @property
    def is_off(self) -> bool:
        """Whether the power went; ``cut_power`` makes an end of the handles."""
        ...

    def damage(self, shop: bytes, seq: int) -> bool:
        """Let the bytes of one record rot; False if there is none with that number."""
        ...

    def is_rotten(self, shop: bytes) -> bool:
        """Whether the bytes of a record of that shop are not what was written."""
        ...

    def cut_power(self) -> None:
        """Lose what was not synced; handles are dead."""
        ...

    def copy(self) -> Plate:
        """What is on it, on another disk."""
        ...

    @property
    def bytes_held(self) -> int:
        """How much is on it."""
        ...

    @property
    def version(self) -> int:
        """Changes whenever something is written."""
        ...

    slack_bytes: int
    """How much may be on it besides records."""


class MemoryViewStore(MemoryStore):
    """A handle on a disk in memory, with views of its own."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk)
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """Made when it is first asked for: a process that only synchronises has no views."""
        if self._database is None:
            self._database = ScratchDatabase()
        return self._database

    def transaction(self) -> AbstractContextManager[None]:
        """See ``Store.transaction``. Views are committed after the log: they may lag, never lead."""
        return self._both() if self._database is not None else super().transaction()

    @contextmanager
    def _both(self) -> Iterator[None]:
        with self.database.whole_transaction(), super().transaction():
            yield

    def close(self) -> None:
        """See ``Store.close``."""
        super().close()
        if self._database is not None:
            self._database.close()


class MemoryPlate:
    """A disk that is a few dictionaries."""

    slack_bytes = 0

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self._trouble: Trouble = ""
        self._once = _Once()
        self._fails_once: bool | None = None
        self._commits_left: int | None = None
        self.is_off = False
        self.disk.before_commit = self._before_commit
        self.disk.after_commit = self._after_commit

    def open(self) -> MemoryViewStore:
        """See ``Plate``."""
        return MemoryViewStore(self.disk)

    def set_trouble(self, trouble: Trouble, struck: Struck = _unnoted) -> None:
        """See ``Plate``."""
        self._trouble = trouble
        self._once.arm("trouble", struck)

    def fail_next_commit(self, struck: Struck = _unnoted, *, is_written: bool) -> None:
        """See ``Plate``."""
        self._fails_once = is_written
        self._once.arm("commit", struck)

    def lose_power_soon(self, operations: int, struck: Struck = _unnoted) -> None:
        """See ``Plate``. Odd numbers: before the commit is on the disk; even ones: just after."""
        self._commits_left = operations
        self._once.arm("power", struck)

    def calm(self) -> None:
        """See ``Plate``."""
        self._trouble, self._fails_once, self._commits_left = "", None, None

    def damage(self, shop: bytes, seq: int) -> bool:
        """See ``Plate``."""
        row = self.disk.shops[shop].rows.committed.get(seq) if shop in self.disk.shops else None
        if row is None or row.record is None:
            return False
        self.disk.damage(shop, seq)
        return True

    def is_rotten(self, shop: bytes) -> bool:
        """See ``Plate``."""
        tables = self.disk.shops.get(shop)
        return tables is not None and any(row.damaged for row in tables.rows.committed.values())

    def cut_power(self) -> None:
        """See ``Plate``."""
        self._commits_left, self.is_off = None, False
        self.disk.cut_power()

    def copy(self) -> MemoryPlate:
        """See ``Plate``."""
        return MemoryPlate(self.disk.copy())

    @property
    def bytes_held(self) -> int:
        """See ``Plate``."""
        rows = (row for tables in self.disk.shops.values() for row in tables.rows.committed.values())
        return sum(len(row.record or b"") for row in rows)

    @property
    def version(self) -> int:
        """See ``Plate``."""
        return self.disk.commits

    def _before_commit(self) -> None:
        self._let_power_go()
        if self._trouble:
            self._once.strike("trouble")
        if self._trouble == "full":
            raise DiskFull("the disk is full")
        if self._trouble == "read-only":
            raise ReadOnlyStore("the disk is read-only")
        if self._fails_once is False:
            self._fails_once = None
            self._once.strike("commit")
            raise StorageError("the disk did not take it")

    def _after_commit(self) -> None:
        self._let_power_go()
        if self._fails_once is True:
            self._fails_once = None
            self._once.strike("commit")
            raise StorageError("the disk took it, and said that it did not")

    def _let_power_go(self) -> None:
        if self._commits_left is not None:
            self._commits_left -= 1
            if self._commits_left <= 0:
                self.is_off = True
                self._once.strike("power")
                self.disk.cut_power()
                raise StorageError("the power is off")


class SqlitePlate:
    """A folder with the real store in it, on a ``SimulatedDisk``: what a power cut leaves follows from the
    seed.
    """

    slack_bytes = 6 << 20
    """SQLite begins its log of writes (WAL) anew after some 4 MiB."""

    def __init__(
        self, folder: Path, chance: Random, numbers: Iterator[int], *, of: Path | None = None
    ) -> None:
        self._root = folder
        self._numbers = numbers
        self._chance = chance
        self._place = folder / f"disk-{next(self._numbers)}"
        self._place.mkdir(parents=True)
        if of is not None:
            for file in of.iterdir():
                if not file.name.endswith("-shm"):
                    shutil.copy(file, self._place / file.name)
        self._once = _Once()
        self._disk = self._new_disk()
        self._trouble: Trouble = ""
        self._open: list[SqliteStore] = []

    def open(self) -> SqliteStore:
        """See ``Plate``."""
        store = SqliteStore(self._disk.path, vfs=self._disk.vfs)
        self._open.append(store)
        return store

    def _new_disk(self) -> SimulatedDisk:
        return SimulatedDisk(self._place, seed=self._chance.getrandbits(32), felt=self._once.strike)

    def set_trouble(self, trouble: Trouble, struck: Struck = _unnoted) -> None:
        """See ``Plate``."""
        self._trouble = trouble
        self._once.arm("room", struck)
        self._apply_trouble()

    def _apply_trouble(self) -> None:
        self._disk.free_bytes = 0 if self._trouble == "full" else None
        self._disk.read_only = self._trouble == "read-only"

    def fail_next_commit(self, struck: Struck = _unnoted, *, is_written: bool) -> None:
        """See ``Plate``: here the sync fails once."""
        self._disk.fail_syncs(1)
        self._once.arm("sync", struck)

    def lose_power_soon(self, operations: int, struck: Struck = _unnoted) -> None:
        """See ``Plate``."""
        self._disk.cut_power_after(operations)
        self._once.arm("power", struck)

    def calm(self) -> None:
        """See ``Plate``."""
        self.set_trouble("")
        self._disk.fail_syncs(0)
        self._disk.cut_power_after(None)

    @property
    def is_off(self) -> bool:
        """See ``Plate``."""
        return self._disk.is_off

    def damage(self, shop: bytes, seq: int) -> bool:
        """See ``Plate``."""
        connection = apsw.Connection(str(self._disk.path), vfs=self._disk.vfs)
        try:
            found = connection.execute("SELECT no FROM shop WHERE id = ?", (shop,)).fetchone()
            if found is None:
                return False
            place = (found[0] << SEQ_BITS) + seq
            row = connection.execute("SELECT bytes FROM record WHERE pos = ?", (place,)).fetchone()
            if row is None or row[0] is None:
                return False
            rotten = bytes([row[0][0]]) + bytes([row[0][1] ^ 0x10]) + row[0][2:]
            connection.execute("UPDATE record SET bytes = ? WHERE pos = ?", (rotten, place))
            return True
        finally:
            connection.close(True)

    def is_rotten(self, shop: bytes) -> bool:
        """See ``Plate``."""
        return self._read(shop)[1]

    def rows(self, shop: bytes) -> list[bytes]:
        """The records of a shop that are on the disk as they were written: read past the product's log."""
        return self._read(shop)[0]

    def _read(self, shop: bytes) -> tuple[list[bytes], bool]:
        found: list[bytes] = []
        is_rotten = False
        if not self._disk.path.exists():
            return found, False
        with (
            self._disk.looked_at(),
            closing(apsw.Connection(str(self._disk.path), vfs=self._disk.vfs)) as connection,
        ):
            numbers: list[Any] = connection.execute("SELECT no FROM shop WHERE id = ?", (shop,)).fetchall()
            for (no,) in numbers:
                span = no << SEQ_BITS, (no << SEQ_BITS) + SEQ_MAX
                packs = "SELECT bytes FROM pack WHERE pos BETWEEN ? AND ? ORDER BY pos"
                blobs: list[Any] = connection.execute(packs, span).fetchall()
                for (blob,) in blobs:
                    found += [record for _, record in decode_pack(blob, bytes_max=1 << 30)]
                rows = "SELECT digest, bytes FROM record WHERE pos BETWEEN ? AND ? ORDER BY pos"
                loose: list[Any] = connection.execute(rows, span).fetchall()
                for digest, record in loose:
                    if record is not None and record_digest(record) == digest:
                        found.append(record)
                    elif record is not None:
                        is_rotten = True
        return found, is_rotten

    def cut_power(self) -> None:
        """See ``Plate``. What survives lies in another folder from now on."""
        before, dead = self._place, self._disk
        self._place = self._root / f"disk-{next(self._numbers)}"
        dead.survivors(self._place)
        for store in self._open:
            with suppress(StorageError, apsw.Error):
                store.close()
        self._open.clear()
        self._disk = self._new_disk()
        self._apply_trouble()
        shutil.rmtree(before)

    def copy(self) -> SqlitePlate:
        """See ``Plate``. Nothing is under way: it is taken between two events."""
        return SqlitePlate(self._root, self._chance, self._numbers, of=self._place)

    @property
    def bytes_held(self) -> int:
        """See ``Plate``."""
        return sum(file.stat().st_size for file in self._place.iterdir())

    @property
    def version(self) -> int:
        """See ``Plate``."""
        return self._disk.operations


def records_of(plate: Plate, shop: bytes) -> list[bytes]:
    """What lies on a disk as records of a shop's log, in its order; damaged ones are left out."""
    if isinstance(plate, MemoryPlate):
        tables = plate.disk.shops.get(shop)
        rows = tables.rows.committed.values() if tables is not None else ()
        return [row.record for row in rows if row.record is not None and not row.damaged]
    return plate.rows(shop) if isinstance(plate, SqlitePlate) else []
