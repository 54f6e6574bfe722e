"""The back office beside the relay: one thread that files views, answers pages, and tells them of changes.

It is never waited for. A commit of the relay only leaves word that there is something new; a page waits for
its answer, and filing lets pages go first. While more and more comes in, filing rests twelve times as long as
it works, so that the interpreter is the relay's nearly all the time; when it is quiet, it does not pause.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Final, Protocol, TypeVar

from crdtsync.errors import CrdtsyncError, DamagedStore, UnknownShop
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.writer import Payload, Written
from crdtsync.runtime.syncing.tail import Growth
from crdtsync.storage.log import Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.dashboard.accounts import Accounts
from crdtsync_server.dashboard.database import OfficeDatabase
from crdtsync_server.dashboard.history import Differences, Journal
from crdtsync_server.dashboard.invoices import Invoices
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.folder import DataFolder
from crdtsync_server.serving.logs import get_logger
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.devices import device_of_log
from crdtsync_server.shops.wishes import Wish, write_wish

T = TypeVar("T")

GATHER_S: Final = 0.2
"""Pages of a shop are told of changes no more often than this."""

REST_FACTOR: Final = 12.0
REST_S_MAX: Final = 5.0
"""Filing a whole catalogue takes seconds: who waits for the sales behind it does not wait for minutes."""

LOOK_EVERY_S: Final = 2.0
"""How often what does not come by a commit (when a register was last heard of) is told to open pages."""

TELL_LATE_S: Final = 1.0
"""While more and more comes in, pages are told of what there is no more often than this."""

RETRY_S: Final = 5.0


class Listeners(Protocol):
    """Pages that are open, as the office tells them of changes. Called on the office's thread."""

    def shops(self) -> set[bytes]:
        """The shops of which somebody looks at a live page."""
        ...

    def tell(self, shop: OfficeShop, *, by_commit: bool) -> None:
        """Something may have changed: compute once what the open pages show, and hand it to them."""
        ...


class Office:
    """The thread, and what it has. ``start`` and ``stop`` belong to the event loop."""

    def __init__(
        self,
        folder: DataFolder,
        clock: Clock,
        random: RandomBytes,
        *,
        open_store: Callable[[], Store] | None = None,
        failed: Callable[[CrdtsyncError], None] = lambda error: None,
        wrote: Callable[[], None] = lambda: None,
        wished: Callable[[bytes, bytes], None] = lambda shop, device: None,
    ) -> None:
        """``failed`` is told on the event loop of what cannot be read of the relay's store, ``wrote`` of what
        the back office wrote there, ``wished`` of a shop and a device that somebody wants to synchronise.
        """
        self.folder, self.clock, self.random = folder, clock, random
        self._open_store = open_store or (lambda: SqliteStore(folder.store))
        self._failed, self._told_wrote, self._wished = failed, wrote, wished
        self.listeners: Listeners | None = None
        self._signal = threading.Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._due_s: dict[bytes, float] = {}
        self._rest_s: dict[bytes, float] = {}
        self._told_s: dict[bytes, float] = {}
        self._news: set[bytes] = set()
        self._devices: dict[bytes, bytes] = {}
        self._seen: dict[bytes, int] = {}
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._looked_s = 0.0
        self._shops: dict[bytes, OfficeShop] = {}
        self._acting_since_ms = 0
        self.acting: str | None = None
        """The name of whoever's work is being done, for the journal."""

    # -- from the event loop -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to file the shops that somebody has an account in."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="back-office", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End after what is being done now. What is not filed then is filed next time."""
        with self._signal:
            self._stopping = True
            self._signal.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def came(self, growth: Growth) -> None:
        """A commit brought something into a shop. Returns at once."""
        self.look_at(growth.shop)

    def met(self, log_id: bytes, device: bytes) -> None:
        """A device has connected, whose log has that id."""
        self._devices[log_id] = device

    def look_at(self, shop: bytes) -> None:
        """There may be something new in a shop. From any thread; returns at once."""
        with self._signal:
            self._news.add(shop)
            self._due_s.setdefault(shop, self._rest_s.get(shop, 0.0))
            self._signal.notify()

    def look_for_others(self, newest: Mapping[bytes, int]) -> None:
        """What other processes wrote; ``newest`` is the number of the newest row by shop."""
        for shop, seq in newest.items():
            if self._seen.get(shop) != seq and shop in self._shops:
                self.look_at(shop)
        self._seen = dict(newest)

    async def ask(self, shop: bytes, question: Callable[[OfficeShop], T], *, by: str | None = None) -> T:
        """The answer of the office's thread, before whatever it has to file. ``by``: who changes something.

        Raises ``UnknownShop``, and what ``question`` raises.
        """
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                office = self.shop(shop)
                if by is not None:
                    # What came from elsewhere is filed before, so that it is not taken for this person's.
                    office.file_catalogue()
                    self.acting, self._acting_since_ms = by, self.clock.now_ms()
                future.set_result(question(office))
            except BaseException as error:  # Whoever asked is told.
                if isinstance(error, DamagedStore) and error.seq is not None:
                    self._trouble(shop, error)  # The relay has it mended: the next visit is shown the rest.
                future.set_exception(error)
            finally:
                self.acting = None

        with self._signal:
            if self._stopping:
                raise UnknownShop("the relay stops")
            self._jobs.append(job)
            self._signal.notify()
        return await asyncio.wrap_future(future)

    async def record(
        self, shop: bytes, kind: str, payload: Payload, *, by: str, request_id: str | None = None
    ) -> Written:
        """Make an entry in the chain of a shop's back office: ``move`` (``model.movement.build_move``),
        ``count`` (``build_count``, with the ``cut`` of ``OfficeChain.cut``) or ``print``. ``by``: a pseudonym
        of who does it. It is on the relay's disk on return, signed and numbered; the same ``request_id``
        gives the same entry. Raises as ``OfficeChain.record``, and ``UnknownShop``.
        """
        written = await self.ask(
            shop, lambda one: one.record(kind, payload, by=by, request_id=request_id), by=by
        )
        self.look_at(shop)
        return written

    async def wish(self, shop: bytes, device: bytes, *, by: str) -> None:
        """Have a device of a shop asked to synchronise, now or when it comes: durable on return. ``by``: the
        name of whoever wishes it. Raises ``UnknownShop``, ``StorageError``.
        """

        def write(one: OfficeShop) -> None:
            wish = Wish(self.random(16), by, self.clock.now_ms())
            with one.store.transaction():
                write_wish(one.log, device, wish)

        await self.ask(shop, write)
        self._wished(shop, device)

    # -- on the thread ---------------------------------------------------------------------------------------

    def shop(self, shop: bytes) -> OfficeShop:
        """A shop, opened the first time. Raises ``UnknownShop``, ``StorageError``."""
        if shop not in self._shops:
            try:
                opened = OfficeShop(
                    self.store,
                    shop,
                    self.folder.office_views,
                    self.access,
                    self.clock,
                    self.random,
                    self._wrote,
                )
            except KeyError:
                raise UnknownShop("this relay has no such shop") from None
            opened.on_products = partial(self._note_products, opened)
            self._shops[shop] = opened
        return self._shops[shop]

    def _run(self) -> None:
        try:
            self.store, self.access = self._open_store(), Access(self.folder, clock=self.clock)
            self.database = OfficeDatabase(self.folder.office)
            self.journal = Journal(self.database)
            self.invoices = Invoices(self.database)
            self.accounts = Accounts(self.database, clock=self.clock, random=self.random)
        except CrdtsyncError as error:
            get_logger().error("back_office_closed", reason=str(error))
            with self._signal:
                self._stopping = True
            return
        for known in self.accounts.shops():
            self.look_at(known)
        try:
            while (work := self._next()) is not None:
                self._do(work)
        finally:
            self._close()

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # The boundary of the thread: it goes on with everything else.
            get_logger().exception("back_office_failed", reason=repr(error))

    def _close(self) -> None:
        for job in self._jobs:
            job()
        for shop in self._shops.values():
            shop.close()
        self.database.close()
        self.access.close()
        self.store.close()

    def _next(self) -> Callable[[], None] | None:
        """What is to be done now: a page's question, a shop to file, a look around; None at the end."""
        with self._signal:
            while not self._stopping:
                if self._jobs:
                    return self._jobs.popleft()
                now_s = time.monotonic()
                shop = min(self._due_s, key=self._due_s.__getitem__, default=None)
                wait_s = self._looked_s + LOOK_EVERY_S - now_s
                if shop is not None:
                    wait_s = min(wait_s, self._due_s[shop] - now_s)
                    if self._due_s[shop] <= now_s:
                        del self._due_s[shop]
                        self._news.discard(shop)
                        return partial(self._file, shop)
                if wait_s <= 0:
                    return self._look
                self._signal.wait(wait_s)
        return None

    def _file(self, shop: bytes) -> None:
        started_s = time.monotonic()
        is_done = False
        if shop not in self._shops and shop not in self.accounts.shops():
            return  # Nobody looks at it.
        try:
            office = self.shop(shop)
            is_done = office.file_some(lambda: bool(self._jobs or self._news or self._stopping))
            with self._signal:
                is_quiet = shop not in self._news
            is_late = started_s - self._told_s.get(shop, 0.0) >= TELL_LATE_S
            if (is_done and is_quiet) or (is_late and not office.lags_far):
                self._told_s[shop] = started_s
                self._tell(office, by_commit=True)
            rest_s = 0.0
        except UnknownShop:
            return
        except CrdtsyncError as error:
            self._trouble(shop, error)
            rest_s = RETRY_S
        now_s = time.monotonic()
        with self._signal:
            if shop in self._news:
                rest_s = max(rest_s, min(REST_S_MAX, REST_FACTOR * (now_s - started_s)))
            self._rest_s[shop] = max(
                now_s + rest_s, self._told_s.get(shop, 0.0) + GATHER_S if is_done else 0.0
            )
            if not is_done or shop in self._due_s:
                self._due_s[shop] = self._rest_s[shop]

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        for shop in self.listeners.shops() if self.listeners is not None else ():
            try:
                # While years are still being filed, a day costs too much to be looked at all the time.
                if not self.shop(shop).lags_far:
                    self._tell(self.shop(shop), by_commit=False)
            except CrdtsyncError as error:
                self._trouble(shop, error)

    def _tell(self, shop: OfficeShop, *, by_commit: bool) -> None:
        if self.listeners is not None:
            self.listeners.tell(shop, by_commit=by_commit)

    def _trouble(self, shop: bytes, error: CrdtsyncError) -> None:
        get_logger().warning("back_office_lags", shop=shop, reason=str(error))
        if isinstance(error, DamagedStore) and error.seq is None and shop in self._shops:
            self._shops[shop].make_again()
        elif isinstance(error, DamagedStore):
            self._on_loop(lambda: self._failed(error))

    def _note_products(self, shop: OfficeShop, changed: Differences, logs: set[bytes | None]) -> None:
        """What a filing changed, into the journal: with who did it here, or the device that it came from."""
        device, made = None, None
        if self.acting is not None and logs == {None}:
            made = [
                change.id
                for sku in changed
                if sku in shop.catalogue.view
                for change in shop.catalogue.view.listing(sku).prices.changes.values()
                if change.by == shop.author and change.at_ms >= self._acting_since_ms
            ]
        elif len(logs) == 1 and (log_id := logs.pop()) is not None:
            device = self._devices.get(log_id) or device_of_log(shop.log, log_id)
        self.journal.note(
            shop.log.shop,
            changed,
            at_ms=self.clock.now_ms(),
            device=device,
            account=self.acting if made is not None else None,
            price_changes=made or (),
        )

    def _wrote(self) -> None:
        self._on_loop(self._told_wrote)

    def _on_loop(self, tell: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(tell)
