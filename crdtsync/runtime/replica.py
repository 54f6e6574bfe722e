"""An opened register folder: store, log, identity, views and, once something is written, the key.

Opening reads a few rows, whatever the age of the shop. Nothing here knows pycrdt or the network, and the
key is read when the first entry is signed, so that `status` needs no cryptography.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from crdtsync.config import RegisterConfig
from crdtsync.errors import NoRegister
from crdtsync.ids import STATE, UPDATE
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.identity import Relay, load_relay, present_shop
from crdtsync.runtime.keyfile import DEVICE_KEY, read_key
from crdtsync.runtime.views import ViewKeeper
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.view_queries import ViewQueries
from crdtsync.storage.views import ViewTables

if TYPE_CHECKING:
    from crdtsync.model.signature import PrivateKey
    from crdtsync.runtime.writer import Writer

STORE = "register.sqlite"


class Replica:
    """One register's data in one process. Use it from the thread that opened it."""

    def __init__(self, config: RegisterConfig, clock: Clock, random_bytes: RandomBytes) -> None:
        """Open the folder ``config.data``. Raises ``NoRegister``, ``StorageError``."""
        self.config = config
        self.clock = clock
        self.random_bytes = random_bytes
        self.on_write: Callable[[], None] = lambda: None
        """Called after every commit made here: whoever syncs in this process is told by it."""
        if not (self.folder / STORE).exists():
            raise NoRegister(f"there is no register in {self.folder}")
        self.store = SqliteStore(self.folder / STORE)
        try:
            self.log, self.identity = present_shop(self.store)
            self.tables = ViewTables(self.store.database)
            self.views = ViewKeeper(self.store, self.log, self.tables)
            self.queries = ViewQueries(self.store.database, self.log.shop)
            self.views.prepare()
        except BaseException:
            self.store.close()
            raise

    def file_catalogue(self) -> None:
        """Bring the view of the products up to date: O(records that came since), unless one changed it."""
        filed = self.tables.catalogue_seq(self.log.shop)
        after, changed = filed, False
        name = b"\x00\x09catalogue"
        while True:
            batch = self.log.read(after, bytes_max=1 << 20)
            changed |= any(r[:1] in (UPDATE, STATE) and r[1:12] == name for _, r in batch.records)
            if batch.to.seq == after:
                break
            after = batch.to.seq
        if changed:
            from crdtsync.runtime.register_products import product_rows

            rows = product_rows(self)
            with self.store.transaction():
                self.tables.file_products(self.log.shop, rows, through=after, complete=True)
        elif after - filed > 256:
            with self.store.transaction():
                self.tables.file_products(self.log.shop, {}, through=after, complete=False)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.config.data

    @property
    def relay(self) -> Relay | None:
        """The present relay. Read from disk: another process may have met it."""
        return load_relay(self.log)

    @cached_property
    def key(self) -> PrivateKey:
        """The device's private key. Raises ``NoRegister``, ``StorageError``."""
        from crdtsync.model.signature import PrivateKey

        return PrivateKey.from_bytes(read_key(self.folder / DEVICE_KEY))

    @cached_property
    def writer(self) -> Writer:
        """What makes entries of the register's own chain."""
        from crdtsync.runtime.writer import Writer

        return Writer(
            self.store,
            self.log,
            self.key,
            self.clock,
            operator=self.config.operator,
            day_starts_min=self.config.day_starts_min,
            wrote=self.wrote,
        )

    def wrote(self) -> None:
        """Tell that something of this process is on disk."""
        self.on_write()

    def close(self) -> None:
        """Close the store. Idempotent; everything recorded is on disk already."""
        self.store.close()
