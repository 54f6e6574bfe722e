"""``Store`` in memory, for simulations: the same promises, on a disk that is a few dictionaries.

Several handles may be open on one ``MemoryDisk``. What a transaction writes lies beside the state of the disk
until it commits, so that a crash is nothing but a new handle on the same disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from crdtsync.errors import StorageError, StoreBusy
from crdtsync.storage.memory_log import MemoryLog
from crdtsync.storage.memory_tables import Head, ShopTables


class MemoryDisk:
    """What outlives every process. ``before_commit`` may raise (``DiskFull``, …): then nothing is written.
    ``after_commit`` may raise too: then it is written, and whoever wrote is told that it is not.
    """

    def __init__(self) -> None:
        self.shops: dict[bytes, ShopTables] = {}
        self.before_commit: Callable[[], None] | None = None
        self.after_commit: Callable[[], None] | None = None
        self.writer: MemoryStore | None = None
        self.commits = 0
        self.boot = 0

    def cut_power(self) -> None:
        """Lose what is not committed; every open handle is dead from now on."""
        self.boot += 1
        if self.writer is not None:
            self.writer.discard()

    def damage(self, shop: bytes, seq: int) -> None:
        """Let the bytes of a record rot: reading it raises ``DamagedStore`` from now on."""
        rows = self.shops[shop].rows.committed
        rows[seq] = rows[seq]._replace(damaged=True)

    def copy(self) -> MemoryDisk:
        """What is committed, on another disk: a backup, a clone. Costs the number of rows."""
        twin = MemoryDisk()
        twin.shops = {shop: tables.copy() for shop, tables in self.shops.items() if tables.head.committed}
        return twin


class MemoryStore:
    """A handle on a disk in memory (on a new one by default). A second writer gets ``StoreBusy`` at once."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self.touched: set[bytes] = set()
        self._boot: int | None = self.disk.boot
        self._own_commits = 0
        self._logs: dict[bytes, MemoryLog] = {}

    @property
    def in_transaction(self) -> bool:
        """Whether this handle is writing."""
        return self.disk.writer is self

    def sees_pending(self) -> bool:
        """Whether a read sees the transaction under way. Raises ``StorageError`` on a dead handle."""
        disk = self.disk
        if self._boot != disk.boot:
            raise StorageError("this handle was closed, or its process is dead")
        return disk.writer is self

    def shops(self) -> list[bytes]:
        """See ``Store.shops``."""
        inside = self.sees_pending()
        return [shop for shop, tables in self.disk.shops.items() if tables.head.get("", inside) is not None]

    def shop(self, shop: bytes) -> MemoryLog:
        """See ``Store.shop``."""
        tables = self.disk.shops.get(shop)
        if tables is None or tables.head.get("", self.sees_pending()) is None:
            raise KeyError(shop.hex())
        log = self._logs.get(shop)
        if log is None:
            log = self._logs[shop] = MemoryLog(self, shop, tables)
        return log

    def create_shop(self, shop: bytes, log_id: bytes) -> MemoryLog:
        """See ``Store.create_shop``."""
        if not self.in_transaction:
            raise RuntimeError("a shop is created inside Store.transaction() only")
        tables = self.disk.shops.setdefault(shop, ShopTables())
        if tables.head.get("", True) is None:
            tables.head.put("", Head(log_id))
            self.touched.add(shop)
        return self.shop(shop)

    def transaction(self) -> AbstractContextManager[None]:
        """See ``Store.transaction``."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self.sees_pending():
            raise RuntimeError("a transaction is under way already")
        if self.disk.writer is not None:
            raise StoreBusy("another handle is writing")
        self.disk.writer = self
        try:
            yield
            self.sees_pending()
            if self.disk.before_commit is not None:
                self.disk.before_commit()
        except BaseException:
            self.discard()
            raise
        for shop in self.touched:
            for table in self.disk.shops[shop].all():
                table.commit()
        self.touched.clear()
        self.disk.writer = None
        self.disk.commits += 1
        self._own_commits += 1
        if self.disk.after_commit is not None:
            self.disk.after_commit()

    def discard(self) -> None:
        """Undo the transaction under way."""
        for shop in self.touched:
            for table in self.disk.shops[shop].all():
                table.pending.clear()
            if not self.disk.shops[shop].head.committed:
                del self.disk.shops[shop]
                self._logs.pop(shop, None)
        self.touched.clear()
        if self.disk.writer is self:
            self.disk.writer = None

    def snapshot(self) -> AbstractContextManager[None]:
        """See ``Store.snapshot``: each of one thread's reads sees what was committed last."""
        return nullcontext()

    def data_version(self) -> int:
        """See ``Store.data_version``."""
        return self.disk.commits - self._own_commits

    def close(self) -> None:
        """Close this handle. Idempotent; a transaction under way is undone."""
        if self.disk.writer is self:
            self.discard()
        self._boot = None
