"""A store that fails when it is told to, over any other.

::

    store = FaultyStore(SqliteStore(path))
    store.fail("full")
    with pytest.raises(DiskFull):
        ...                                 # sell, sync, whatever is tested
    store.mend()

Until it is told to fail it is the store that it wraps. For power cuts and torn writes below SQLite, see
``crdtsync.testing.disk``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Literal, cast

import apsw

from crdtsync.config import RegisterConfig
from crdtsync.errors import DiskFull, ReadOnlyStore, StorageError, StoreBusy, UsageError
from crdtsync.runtime.clock import Clock, RandomBytes, system_random
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.register import Register
from crdtsync.storage.database import Database
from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.memory import MemoryStore
from crdtsync.storage.schema import SEQ_BITS
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import ManualClock

StoreFault = Literal["busy", "full", "read-only", "not written", "written"]
"""How a transaction ends:

* ``busy``: it does not begin, because another process writes (``StoreBusy``);
* ``full``, ``read-only``: nothing of it is written (``DiskFull``, ``ReadOnlyStore``);
* ``not written``: the commit reports an error, and nothing is on the disk (``StorageError``);
* ``written``: the commit reports an error, and all of it *is* on the disk (``StorageError``). Whoever wrote
  has to look before saying that it failed.
"""

_ERRORS: Final[dict[StoreFault, Callable[[], StorageError]]] = {
    "busy": lambda: StoreBusy("another process is writing, the test says"),
    "full": lambda: DiskFull("the disk is full, the test says"),
    "read-only": lambda: ReadOnlyStore("the disk is read-only, the test says"),
    "not written": lambda: StorageError("the disk did not take it, the test says"),
    "written": lambda: StorageError("the disk took it and said that it did not, the test says"),
}


class FaultyStore:
    """A ``Store`` whose transactions end in a fault while one is set; reading always works.

    It belongs to one thread, as the store that it wraps. ``failed`` counts the faults that happened.
    """

    def __init__(self, store: Store) -> None:
        self.wrapped = store
        self.failed = 0
        self._fault: StoreFault | None = None
        self._passes = 0
        self._times: int | None = None

    def fail(self, fault: StoreFault, *, after: int = 0, times: int | None = None) -> None:
        """From now on, after so many transactions that pass, let so many end in a fault (None: all)."""
        self._fault, self._passes, self._times = fault, after, times

    def mend(self) -> None:
        """Let everything pass from now on."""
        self._fault = None

    def damage(self, shop: bytes, seq: int) -> None:
        """Let the bytes of one unpacked record rot: reading it raises ``DamagedStore``.

        Raises ``UsageError`` if there is none with that number, or if the store is of a sort that this
        cannot be done to (it can to ``MemoryStore`` and to ``SqliteStore``).
        """
        damage_record(self.wrapped, shop, seq)

    @property
    def database(self) -> Database:
        """The tables beside the logs, where the wrapped store has room for them, as a register's has."""
        return cast(SqliteStore, self.wrapped).database

    # -- Store -----------------------------------------------------------------------------------------------

    def shops(self) -> list[bytes]:
        """See ``Store.shops``."""
        return self.wrapped.shops()

    def shop(self, shop: bytes) -> ShopLog:
        """See ``Store.shop``."""
        return self.wrapped.shop(shop)

    def create_shop(self, shop: bytes, log_id: bytes) -> ShopLog:
        """See ``Store.create_shop``."""
        return self.wrapped.create_shop(shop, log_id)

    def transaction(self) -> AbstractContextManager[None]:
        """See ``Store.transaction``; ends as ``fail`` says."""
        return self._transaction()

    def snapshot(self) -> AbstractContextManager[None]:
        """See ``Store.snapshot``."""
        return self.wrapped.snapshot()

    def data_version(self) -> int:
        """See ``Store.data_version``."""
        return self.wrapped.data_version()

    def close(self) -> None:
        """See ``Store.close``."""
        self.wrapped.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        fault = self._due()
        if fault == "busy":
            raise self._error(fault)
        with self.wrapped.transaction():
            yield
            if fault is not None and fault != "written":
                raise self._error(fault)
        if fault == "written":
            raise self._error(fault)

    def _due(self) -> StoreFault | None:
        if self._fault is None:
            return None
        if self._passes:
            self._passes -= 1
            return None
        if self._times is not None:
            if not self._times:
                return None
            self._times -= 1
        return self._fault

    def _error(self, fault: StoreFault) -> StorageError:
        self.failed += 1
        return _ERRORS[fault]()


def damage_record(store: Store, shop: bytes, seq: int) -> None:
    """Let the bytes of one unpacked record rot, as a disk does it: unnoticed until it is read. Raises
    ``UsageError``, see ``FaultyStore.damage``.
    """
    if isinstance(store, FaultyStore):
        return damage_record(store.wrapped, shop, seq)
    if isinstance(store, MemoryStore):
        tables = store.disk.shops.get(shop)
        row = tables.rows.committed.get(seq) if tables is not None else None
        if row is None or row.record is None:
            raise UsageError(f"there is no record {seq} whose bytes could rot")
        return store.disk.damage(shop, seq)
    if not isinstance(store, SqliteStore):
        raise UsageError(f"nobody here knows where a {type(store).__name__} has its bytes")
    # Another connection, as the disk is no part of the process: nothing that this one remembers may hide it.
    connection = apsw.Connection(str(store.path))
    try:
        connection.set_busy_timeout(5000)
        connection.execute(
            "UPDATE record SET bytes = CAST('?' || substr(bytes, 2) AS BLOB) WHERE bytes IS NOT NULL"
            " AND pos = ((SELECT no FROM shop WHERE id = ?) << ?) + ?",
            (shop, SEQ_BITS, seq),
        )
        if not connection.changes():
            raise UsageError(f"there is no record {seq} whose bytes could rot")
    finally:
        connection.close()
    return None


def open_faulty(
    folder: Path, *, clock: Clock | None = None, random_bytes: RandomBytes = system_random
) -> tuple[Register, FaultyStore]:
    """Open the register in a folder on a store that can be told to fail. It sells as any other does; what
    synchronises beside it (``start_sync``) opens the folder anew, and meets no fault. Raises as
    ``Register.open``.
    """
    opened: list[FaultyStore] = []

    def open_store(path: Path) -> FaultyStore:
        opened.append(FaultyStore(SqliteStore(path, create=False)))
        return opened[0]

    register = Register(Replica(RegisterConfig(folder), clock or ManualClock(), random_bytes, open_store))
    return register, opened[0]
