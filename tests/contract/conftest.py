"""The stores that every test of the log's contract runs with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.faulty_store import FaultyStore, damage_record

SHOP, LOG = b"shop-of-the-tests"[:16], b"our-own-log-id-1"


class World:
    """A disk with one store that is open on it. ``restless`` opens the store anew after every transaction."""

    def __init__(self, opener: Callable[[], Store], *, restless: bool = False) -> None:
        self._opener = opener
        self._open: list[Store] = []
        self._restless = restless
        self.store = self.another_handle()
        with self.store.transaction():
            self.store.create_shop(SHOP, LOG)

    @property
    def log(self) -> ShopLog:
        return self.store.shop(SHOP)

    def another_handle(self) -> Store:
        store = self._opener()
        self._open.append(store)
        return store

    def reopen(self) -> None:
        self.store.close()
        self.store = self.another_handle()

    @contextmanager
    def transaction(self) -> Iterator[ShopLog]:
        with self.store.transaction():
            yield self.log
        if self._restless:
            self.reopen()

    def append(self, *items) -> list[int | None]:
        with self.transaction() as log:
            return [log.append(item) for item in items]

    def damage(self, seq: int) -> None:
        """Let the bytes of an unpacked record rot on the disk."""
        damage_record(self.store, SHOP, seq)

    def close(self) -> None:
        for store in self._open:
            store.close()


@pytest.fixture(
    params=["memory", "memory that could fail", "sqlite", "sqlite, opened anew after every commit"]
)
def world(request, tmp_path) -> Iterator[World]:
    disk = MemoryDisk()
    if request.param == "memory":
        world = World(lambda: MemoryStore(disk))
    elif request.param == "memory that could fail":
        world = World(lambda: FaultyStore(MemoryStore(disk)))
    else:
        path = tmp_path / "shop.db"
        world = World(lambda: SqliteStore(path, busy_timeout_s=0.05), restless="anew" in request.param)
    yield world
    world.close()
