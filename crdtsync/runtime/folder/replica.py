"""An opened register folder: store, log, identity, views and, once something is written, the key.

Opening reads a few rows, whatever the age of the shop. Nothing here knows pycrdt or the network, and the
key is read when the first entry is signed, so that `status` needs no cryptography.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from crdtsync.config import RegisterConfig
from crdtsync.errors import (
    CrdtsyncError,
    DamagedStore,
    DiskFull,
    NoRegister,
    NotAStore,
    ReadOnlyStore,
    StorageError,
    StoreBusy,
    UsageError,
)
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.filing.once import Filing
from crdtsync.runtime.filing.views import ViewKeeper
from crdtsync.runtime.folder.identity import HEAD, Relay, load_relay, nobodys_store, present_shop
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, private_key, take_next_key
from crdtsync.runtime.folder.whose import REGISTER_STORE, is_there, store_of_register
from crdtsync.storage.database import Database
from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.view_queries import ViewQueries
from crdtsync.storage.views import ViewTables

if TYPE_CHECKING:
    from crdtsync.model.chain import ChainHead
    from crdtsync.model.signature import PrivateKey
    from crdtsync.runtime.committing.writer import Writer
    from crdtsync.runtime.filing.catalogue import Catalogue
    from crdtsync.runtime.filing.unfiled import ProductLookup

T = TypeVar("T")

STORE = REGISTER_STORE

FILED_EVERY = 16
"""Whoever only sells files the views after so many entries (2 ms), so that reading them stays quick
and no sale waits for many.
"""

STATEMENTS_KEPT = 400
"""So that the statements that file views outlast the sales in between: four statements each, and to compile
those that file takes a third of the time of filing.
"""

FILED_BYTES_MAX = 32 * 1024
"""So much at a time (twice as much as so many sales), however far the views lag."""

LAG_ROWS_MAX = 2_000
"""So many rows are filed in less than a second: whoever reads the views waits for that."""

_FILING: WeakValueDictionary[Path, Filing] = WeakValueDictionary()
"""By folder, for as long as somebody in this process has it open."""


PRODUCTS_FIRST_S = 3.0
"""How long a pack of the past waits for products that are being filed: 20,000 take so long."""


def let_products_be_filed(replica: Replica, log: ShopLog) -> None:
    """Wait until the thread beside ``replica`` has filed the products that are in ``log``, another handle of
    its log, but not for ever. In CPython one thread computes at a time, and what somebody waits for goes
    first. Products of which some are still on their way are not waited for. Raises ``StorageError``.
    """
    from crdtsync.runtime.syncing.progress import is_first_left

    row = log.document(CATALOGUE_DOCUMENT)
    if row is not None and not replica.files_views and not is_first_left(log, load_relay(log)):
        replica.filing.wait_until_filed(row.last_seq, PRODUCTS_FIRST_S)


class ViewStore(Store, Protocol):
    """A store that has room for views beside its logs."""

    @property
    def database(self) -> Database: ...


def _present_store(path: Path) -> SqliteStore:
    """A store that is there. None is made: where it is gone a moment later, another one is on its way
    (`salvage`), and the journal of an empty one would be taken for that one's.
    """
    there = store_of_register(path.parent)
    try:
        return SqliteStore(there, create=False, statements_kept=STATEMENTS_KEPT)
    except NotAStore:
        if not is_there(there):
            raise StoreBusy(f"{there} was replaced as it was opened", hint="try again") from None
        if there.stat().st_size:
            raise
        raise nobodys_store() from None


class Replica:
    """One register's data in one process. Use it from the thread that opened it."""

    def __init__(
        self,
        config: RegisterConfig,
        clock: Clock,
        random_bytes: RandomBytes,
        open_store: Callable[[Path], ViewStore] = _present_store,
        read_key: Callable[[Path], PrivateKey] = private_key,
    ) -> None:
        """Open the folder ``config.data``, or what ``open_store`` and ``read_key`` make of it. Raises
        ``NoRegister``, ``StorageError``.
        """
        self.config = config
        self.clock = clock
        self.random_bytes = random_bytes
        self._written = 0
        self.filing = _FILING.setdefault(self.folder.absolute(), Filing())
        self.files_views = True
        """Whether it falls to whoever writes here to file views now and then: to nobody, where a ``Filer``
        of this process does it.
        """
        self.lag_rows_max = LAG_ROWS_MAX
        self.awaits_first: Callable[[], bool] = lambda: False
        """Whether whoever synchronises in this process sees products or sales of today on their way here."""
        self.on_write: Callable[[], None] = lambda: None
        """Called after every commit made here: whoever syncs in this process is told by it."""
        self._open_store, self._read_key = open_store, read_key
        self.store = open_store(self.folder / STORE)
        try:
            self.log, self.identity = present_shop(self.store)
            self.tables = ViewTables(self.store.database)
            self.views = ViewKeeper(self.store, self.log, self.tables, self.mend)
            self.queries = ViewQueries(self.store.database, self.log.shop)
            self.mend_head()
            self._mend_chain_head()
            self.views.prepare()
        except BaseException:
            self.store.close()
            raise

    def mend(self, damage: DamagedStore) -> bool:
        """Set a damaged record apart: the rest works, and whoever sent it is asked again. That it happened
        stands in the register's own chain. False if that did not help.
        """
        from crdtsync.model.jet import INTEGRITY_DEFECT, build_jet

        if damage.seq is None:
            return False
        with self.store.transaction():
            if not self.log.set_damaged_apart(damage.seq, self.clock.now_ms()):
                return False
        if self.identity.role != "display":
            with suppress(StorageError, NoRegister):
                self.writer.write("jet", build_jet(INTEGRITY_DEFECT, {"record": damage.seq}))
        return True

    def mend_beside(self, damage: DamagedStore) -> bool:
        """As ``mend``, from any thread: with a store of its own. Never raises."""
        try:
            beside = Replica(self.config, self.clock, self.random_bytes, self._open_store, self._read_key)
            with closing(beside):
                return beside.mend(damage)
        except CrdtsyncError:
            return False

    def mending(self, read: Callable[[], T]) -> T:
        """Read something; damaged records that are met on the way are set apart. Raises ``StorageError``."""
        while True:
            try:
                return read()
            except DamagedStore as damage:
                with suppress(ReadOnlyStore, StoreBusy, DiskFull):
                    if self.mend(damage):
                        continue
                raise

    def mend_head(self) -> None:
        """Set apart the damaged records that keep the log from being opened at all, or from being opened
        again when another process has written.
        """
        while True:
            try:
                self.log.end  # noqa: B018
                return
            except DamagedStore as damage:
                if not self.mend(damage):
                    raise

    def _mend_chain_head(self) -> None:
        """Where the end of the register's own chain cannot be read, make it again from the entries: without
        it nothing can be sold. Left as it is where these have holes.
        """
        if self.identity.role == "display":
            return
        while self._is_chain_head_damaged():
            from crdtsync.runtime.belonging.copies import begin_own_chain, own_ends

            end, head = self.log.end, self._rebuilt_head()
            if head is None:
                return
            with self.store.transaction():
                # Another process may have made it again meanwhile, and sold: that must not be undone.
                if self.log.end == end and self._is_chain_head_damaged():
                    self.log.set_state(HEAD, head.to_bytes())
                    if len(own_ends(self.log, self.identity.device)) > 1:
                        # It was copied: nobody can tell which of these chains another machine writes, also
                        # where all but one were left. The one that left them may have been the other machine.
                        begin_own_chain(self.log, self.identity, self.key, self.clock, self.random_bytes)

    def _is_chain_head_damaged(self) -> bool:
        from crdtsync.runtime.committing.head import read_head

        try:
            read_head(self.log)
        except DamagedStore:
            return True
        except NoRegister:  # It has left the shop; what it recorded can be looked at.
            return False
        return False

    def _rebuilt_head(self) -> ChainHead | None:
        from crdtsync.model.chain import rebuild
        from crdtsync.model.entry import read_entry
        from crdtsync.runtime.belonging.copies import own_ends

        for run in own_ends(self.log, self.identity.device):
            entries = [read_entry(sealed) for _, sealed in self.log.chain_entries(run.chain, 1, run.hi)]
            # Of a fork each entry is there twice: nobody can tell on which branch this register was.
            return rebuild(entries) if len(entries) == run.hi else None
        return None

    @contextmanager
    def day_views(self, day: str) -> Iterator[ViewQueries]:
        """Views that show all of one business day, in no more time than that day takes: where those on disk
        are far behind, it is filed in memory. Raises ``StorageError``.
        """
        if not self.views_lag_far():
            self.views.catch_up()
            yield self.queries
            return
        from crdtsync.runtime.filing.day_views import DayViews

        with closing(self.mending(lambda: DayViews(self.log, day))) as views:
            yield views.queries

    def views_lag_far(self) -> bool:
        """Whether filing what is not in the views yet takes longer than anybody waits. The oldest rows, with
        the names of devices, are filed all the same.
        """
        if self.views.lag() <= self.lag_rows_max:
            return False
        self.views.catch_up_a_little()
        return True

    def file_catalogue(self) -> None:
        """Bring the view of the products up to date. Costs nothing unless the catalogue has changed, and
        then the whole catalogue once per process. Not inside a transaction.
        """
        self.mend_head()
        if self._is_catalogue_behind():
            with self.filing.lock:
                if self._is_catalogue_behind():  # Else another thread has done it meanwhile.
                    self._file_products()
                    self.filing.has_filed(self.tables.catalogue_seq(self.log.shop))

    def _file_products(self) -> None:
        if "catalogue" not in vars(self):
            from crdtsync.runtime.filing.product_rows import file_content

            content = self.filing.content(self)
            if content is not None and file_content(self, content, self.filing.give_way):
                self.filing.forget()
                return
        self.catalogue.file()
        self.filing.forget()

    def products_now(self) -> ProductLookup:
        """Where products are found as the log has them: in the views, which are brought up to date
        first. Where a thread beside this one is about to file a whole catalogue, that is not waited for.
        Raises ``StorageError``.
        """
        self.mend_head()
        if self._is_catalogue_behind() and not self.files_views and "catalogue" not in vars(self):
            from crdtsync.runtime.filing.unfiled import Unfiled

            content = self.filing.content(self)
            if content is not None and content.products is not None:
                return Unfiled(content, self.filing)
        self.file_catalogue()
        return self.queries

    @property
    def products_are_coming(self) -> bool:
        """Whether products of the shop are still on their way to this register, as far as anybody here knows:
        what is not among those that are here may be among these. Raises ``StorageError``.
        """
        from crdtsync.runtime.syncing.progress import is_first_left

        return self.awaits_first() or is_first_left(self.log, self.relay)

    def _is_catalogue_behind(self) -> bool:
        row = self.log.document(CATALOGUE_DOCUMENT)
        if row is None:
            return False
        filed_seq = self.tables.catalogue_seq(self.log.shop)
        self.filing.has_filed(filed_seq)
        return row.last_seq > filed_seq

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue document. O(catalogue) when first asked for."""
        from crdtsync.runtime.filing.catalogue import Catalogue

        return Catalogue(self)

    @property
    def author(self) -> str:
        """This device, as what it writes names it."""
        return self.identity.device.hex()

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
        """The device's private key. Raises ``NoRegister``, ``StorageError``.

        Also for the key of another device: nobody would admit what was signed with it.
        """
        take_next_key(self.folder, self.identity.public_key)
        key = self._read_key(self.folder / DEVICE_KEY)
        if key.public != self.identity.public_key:
            raise DamagedStore(
                f"{self.folder / DEVICE_KEY} is the key of another device than {self.identity.device_name!r}",
                hint="put this register's own key file back; nothing was recorded",
            )
        return key

    @cached_property
    def writer(self) -> Writer:
        """What makes entries of the register's own chain. Raises ``UsageError`` for a display."""
        self.refuse_display()
        from crdtsync.runtime.belonging.copies import begin_own_chain, is_contested
        from crdtsync.runtime.committing.writer import Writer

        def leave(head: ChainHead) -> ChainHead | None:
            if not is_contested(self.log, head):
                return None
            return begin_own_chain(self.log, self.identity, self.key, self.clock, self.random_bytes)

        return Writer(
            self.store,
            self.log,
            self.key,
            self.clock,
            device=self.identity.device,
            operator=self.config.operator,
            day_starts_min=self.config.day_starts_min,
            wrote=self.wrote,
            mend=self.mend,
            leave=leave,
        )

    def refuse_display(self) -> None:
        """Raise ``UsageError`` where this device is a display: nobody would admit what it records."""
        if self.identity.role == "display":
            raise UsageError(
                f"{self.identity.device_name!r} is enrolled to look on: it records nothing",
                hint="enrol a register or a back office in a folder of its own",
            )

    def wrote(self) -> None:
        """Something of this process is on disk: tell it, and now and then bring the views up to date."""
        self.on_write()
        self._written += 1
        if self.files_views and self._written % FILED_EVERY == 0:
            self.views.catch_up_a_little(FILED_BYTES_MAX)

    def close(self) -> None:
        """Close the store. Idempotent; everything recorded is on disk already."""
        self.store.close()
