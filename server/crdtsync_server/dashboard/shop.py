"""One shop as its back office sees it: views in a file of their own, filed from the relay's log, and the
catalogue, written as a device of the shop.

The file of the views is no part of any commit of the relay: what is written there is derived, may lag, and
is made again when it is missing, damaged, or of another log. What is changed in the catalogue is written into
the relay's log like what any device sends, and syncing carries it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from crdtsync.errors import DamagedStore, NotAStore, StoreTooNew
from crdtsync.ids import CATALOGUE_DOCUMENT, Position
from crdtsync.model.product import RULES
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.writer import Payload, Session, Written
from crdtsync.runtime.filing.catalogue import Catalogue
from crdtsync.runtime.filing.completeness import CompleteTo, complete_to
from crdtsync.runtime.filing.day_views import DayViews
from crdtsync.runtime.filing.search import ProductIndex
from crdtsync.runtime.filing.views import ViewKeeper
from crdtsync.runtime.folder.replica import LAG_ROWS_MAX
from crdtsync.runtime.register.products import Products
from crdtsync.storage.log import Store
from crdtsync.storage.view_queries import ProductRow, ViewQueries
from crdtsync.storage.views import Row
from crdtsync_server.dashboard.database import VIEWS_APPLICATION_ID, OfficeDatabase, remove_views, views_path
from crdtsync_server.dashboard.history import Difference, Differences, differences_of
from crdtsync_server.dashboard.office_tables import OfficeTables
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.devices import DeviceState, Seen, device_states
from crdtsync_server.shops.office_chain import OfficeChain, enrol_office

if TYPE_CHECKING:
    from crdtsync_server.dashboard.alerts import Alerts
    from crdtsync_server.dashboard.stock import OfficeStock


T = TypeVar("T")

DAYS_IN_MEMORY_MAX: Final = 4
"""Of a large shop each takes some megabytes."""


class OfficeShop:
    """The views and the catalogue of one shop. Belongs to the thread of ``Office``."""

    def __init__(
        self,
        store: Store,
        shop: bytes,
        folder: Path,
        access: Access,
        clock: Clock,
        random_bytes: RandomBytes,
        wrote: Callable[[], None] = lambda: None,
    ) -> None:
        """Raises ``KeyError`` for a shop that the relay does not have, ``StorageError``."""
        self.store, self.clock, self.random_bytes = store, clock, random_bytes
        self.log = store.shop(shop)
        self.access = access
        self._wrote = wrote
        self.folder = folder
        self._path = views_path(folder, shop)
        self._open()
        self.products = Products(self)
        self.index = ProductIndex()
        self._seen = Seen()
        self._states: list[DeviceState] | None = None
        self._is_one_look = False
        self._days: dict[str, DayViews] = {}
        self._days_end: Position | None = None
        self.on_products: Callable[[Differences, set[bytes | None]], None] = lambda changed, logs: None
        """Told of the products that were filed with a difference, after each time, and of the logs that they
        came from (None: this one).
        """

    def _open(self) -> None:
        try:
            self._open_views()
        except (DamagedStore, NotAStore, StoreTooNew):
            # Derived, every row of it: whatever is wrong with the file, it is made again.
            remove_views(self._path)
            self._open_views()

    def _open_views(self) -> None:
        self._views_database = OfficeDatabase(self._path, VIEWS_APPLICATION_ID)
        try:
            self.tables = OfficeTables(self._views_database)
            self.views = ViewKeeper(self._views_database, self.log, self.tables, self.mend)
            self.queries = ViewQueries(self._views_database, self.log.shop)
            self.views.prepare()
            if self.views.lag() < 0:
                self.views.rebuild()
            with self.views.transaction():
                self.tables.complete()
        except BaseException:
            self._views_database.close()
            raise

    def make_again(self) -> None:
        """Throw the views away and begin anew. Raises ``StorageError``."""
        self._forget_days()
        self._views_database.close()
        remove_views(self._path)
        self.__dict__.pop("catalogue", None)
        self._open_views()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._forget_days()
        self._views_database.close()

    # -- the views follow the log --------------------------------------------------------------------------

    def file_some(self, is_enough: Callable[[], bool]) -> bool:
        """File what came since: the products first, then entries, some hundred in a transaction, until
        ``is_enough`` says so; whether all is filed. Raises ``StorageError``.
        """
        self.file_catalogue()
        self.views.catch_up(go_on=lambda: not is_enough())
        return self.views.lag() == 0

    @property
    def lags_far(self) -> bool:
        """Whether filing what is not in the views yet takes longer than anybody waits."""
        return self.views.lag() > LAG_ROWS_MAX

    @contextmanager
    def day_views(self, day: str, *, as_filed: bool = False) -> Iterator[ViewQueries]:
        """Views that show all of one business day, also while years of the past are still to be filed. With
        ``as_filed``, the newest rows may be missing.
        """
        if not self.lags_far:
            self._forget_days()
            if not as_filed:
                self.views.catch_up()
            yield self.queries
            return
        yield self._day_in_memory(day).queries

    def _day_in_memory(self, day: str) -> DayViews:
        """A day while the past is being filed: read once, and again when the log has grown."""
        end = self.log.end
        if end != self._days_end or (len(self._days) >= DAYS_IN_MEMORY_MAX and day not in self._days):
            self._forget_days()
            self._days_end = end
        if day not in self._days:
            self._days[day] = DayViews(self.log, day)
        return self._days[day]

    def _forget_days(self) -> None:
        while self._days:
            self._days.popitem()[1].close()

    def mend(self, damage: DamagedStore) -> bool:
        """Leave a damaged record of the log to the relay, which sets it apart and fetches it again: the views
        pass over it.
        """
        return False

    def device_states(self) -> list[DeviceState]:
        """See ``devices.device_states``; O(devices) where nothing has come in since the last look, and once
        for all who ask ``at_one_look``.
        """
        states = self._states
        if states is None:
            states = device_states(self.log, is_served=True, seen=self._seen)
            if self._is_one_look:
                self._states = states
        return states

    @contextmanager
    def at_one_look(self) -> Iterator[None]:
        """While the block runs, the states of the devices are asked for once: for whoever paints many pages
        of one moment.
        """
        self._is_one_look = True
        try:
            yield
        finally:
            self._is_one_look, self._states = False, None

    def complete_to(self) -> dict[bytes, CompleteTo]:
        """See ``completeness.complete_to``."""
        return complete_to(self.log, self._seen.complete)

    @cached_property
    def alerts(self) -> Alerts:
        """What somebody should know now."""
        from crdtsync_server.dashboard.alerts import Alerts  # It knows this class.

        return Alerts(self)

    @cached_property
    def stock(self) -> OfficeStock:
        """What is there of each product."""
        from crdtsync_server.dashboard.stock import OfficeStock  # It knows this class.

        return OfficeStock(self)

    # -- what the catalogue and the products need ------------------------------------------------------------

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue in memory. O(catalogue) when first asked for."""
        return _OfficeCatalogue(self)

    def file_catalogue(self) -> None:
        """Bring the view of the products up to date, if the catalogue has changed."""
        row = self.log.document(CATALOGUE_DOCUMENT)
        if row is not None and row.last_seq > self.tables.catalogue_seq(self.log.shop):
            self.catalogue.file()

    def products_now(self) -> ViewQueries:
        """Where single products are found as the log has them."""
        self.file_catalogue()
        return self.queries

    @property
    def products_are_coming(self) -> bool:
        """Never: what registers make is here when it is here, and nothing older is on its way."""
        return False

    @cached_property
    def device(self) -> bytes:
        """The device as which the back office writes here; enrolled the first time. Raises ``SetupError``,
        ``AccessDenied``, ``StorageError``.
        """
        return enrol_office(self.access, self.store, self.log.shop).device

    @property
    def author(self) -> str:
        """The device of the back office, as what it writes names it."""
        return self.device.hex()

    def refuse_display(self) -> None:
        """Look whether this back office may still write. Raises ``AccessDenied``, ``SetupError``."""
        self.__dict__.pop("device", None)
        self.device  # noqa: B018

    def mend_head(self) -> None:
        """Nothing: the relay mends its log."""

    def mending(self, read: Callable[[], T]) -> T:
        """What ``read`` gives; it raises ``DamagedStore`` until the relay has mended its log."""
        return read()

    def wrote(self) -> None:
        """Something of the back office is in the relay's log, on disk."""
        self._wrote()

    @cached_property
    def chain(self) -> OfficeChain:
        """The entries that the back office makes. Nothing is written before the first."""
        return OfficeChain(self.access, self.store, self.log.shop, self.clock, self.random_bytes)

    def record(
        self,
        kind: str,
        payload: Payload | Callable[[Session], Payload],
        *,
        by: str,
        request_id: str | None = None,
    ) -> Written:
        """Make an entry in the chain of the back office: a delivery, a loss, a count, a copy. Durable in the
        relay's log on return; registers get it, and the views show it. As ``OfficeChain.record``.
        """
        written = self.chain.record(kind, payload, by=by, request_id=request_id)
        self._wrote()
        if not self.lags_far:
            self.views.catch_up()
        return written


class _OfficeCatalogue(Catalogue):
    """A catalogue that tells what changed in each product as it is filed."""

    def __init__(self, shop: OfficeShop) -> None:
        self._office = shop
        super().__init__(shop)

    def file(self) -> None:
        """See ``Catalogue.file``."""
        self._differences: dict[str, Sequence[Difference]] = {}
        filed = self._tables.catalogue_seq(self._replica.log.shop)
        self._is_new = filed == 0
        super().file()
        self._office.index.forget()
        if self._differences and not self._is_new:
            self._office.on_products(self._differences, self._logs(filed))

    def _logs(self, after: int) -> set[bytes | None]:
        """The logs that brought what came into the catalogue after a seq; None: it was made here."""
        log = self._replica.log
        origins = {
            log.origin_of(seq) for seq, _ in log.document_records(self.name) if after < seq <= self.seq
        }
        return {None if origin is None else origin.log_id for origin in origins}

    def file_products(self, products: Mapping[str, Sequence[Row]]) -> None:
        """See ``Catalogue.file_products``."""
        if not self._is_new:
            now_ms = self._office.clock.now_ms()
            for sku, rows in products.items():
                found = differences_of(self._office.queries.product(sku, now_ms), rows)
                if found or any(name == "price" for name, _ in rows):
                    self._differences[sku] = found
        super().file_products(products)


def fields_of(row: ProductRow) -> dict[str, Any]:
    """Every field of a product's row in the views; None where it has none."""
    return {**dict.fromkeys(RULES), **orjson.loads(row.body), "sku": row.sku, "archived": bool(row.archived)}
