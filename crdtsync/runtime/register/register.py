"""The register: what a program that sells holds in its hand.

``Register`` is synchronous and small. Whatever records something returns when it is on disk, and never
waits for the network: syncing runs beside it (``start_sync``) or when it is asked for (``sync``). Several
processes may open one folder at once. An object is used from the thread that opened it. Amounts are minor
units (cents), quantities thousandths, times Unix milliseconds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from crdtsync.config import RegisterConfig
from crdtsync.errors import NoRegister
from crdtsync.ids import Position
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.folder.identity import Identity
from crdtsync.runtime.folder.replica import Replica

if TYPE_CHECKING:
    from crdtsync.model.drawer import CashMove
    from crdtsync.model.period import Level
    from crdtsync.runtime.damage.quarantine import Quarantine
    from crdtsync.runtime.filing.filer import Filer
    from crdtsync.runtime.register.changes import Change, Changes
    from crdtsync.runtime.register.closing import DayReport, Figures
    from crdtsync.runtime.register.days import Days, OpenedDay
    from crdtsync.runtime.register.documents import Document
    from crdtsync.runtime.register.products import Products
    from crdtsync.runtime.register.resync import ResyncPlan
    from crdtsync.runtime.register.status import Status
    from crdtsync.runtime.register.stock import Stock
    from crdtsync.runtime.register.ticket import Ticket
    from crdtsync.runtime.register.tickets import PaidBy, SoldLine, Tickets
    from crdtsync.runtime.register.verify import Verification
    from crdtsync.runtime.syncing.background import BackgroundSync
    from crdtsync.runtime.syncing.syncer import Progress, Syncer
    from crdtsync.storage.view_place import Placed
    from crdtsync.storage.view_queries import TicketRow


class Register:
    """One register of a shop, opened. Use it in a ``with`` block, or ``close`` it."""

    def __init__(self, replica: Replica) -> None:
        """Use ``Register.open`` or ``Register.init``."""
        self._replica = replica
        self._background: BackgroundSync | None = None
        self._filer: Filer | None = None
        replica.on_write = self._wake

    # -- making and opening -----------------------------------------------------------------------------

    @classmethod
    def init(
        cls,
        folder: str | os.PathLike[str],
        *,
        name: str,
        shop_name: str | None = None,
        clock: Clock | None = None,
        random_bytes: RandomBytes = system_random,
        **settings: Any,
    ) -> Self:
        """Make a register in a folder, a shop of one with its own owner key, and open it.

        ``settings`` are those of ``RegisterConfig``. Durable on return; a set-up that was interrupted can
        be repeated. Raises ``AlreadyARegister``, ``InvalidName``, ``StorageError``.
        """
        from crdtsync.runtime.folder.setup import make_register

        config = RegisterConfig(Path(folder), **settings)
        clock = clock or SystemClock()
        make_register(
            config.data,
            name=name,
            shop_name=name if shop_name is None else shop_name,
            clock=clock,
            random_bytes=random_bytes,
            day_starts_min=config.day_starts_min,
        )
        replica = Replica(config, clock, random_bytes)
        replica.views.catch_up()
        return cls(replica)

    @classmethod
    def join(
        cls,
        folder: str | os.PathLike[str],
        url: str,
        code: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        random_bytes: RandomBytes = system_random,
        **settings: Any,
    ) -> Self:
        """Enrol the register in a folder in a shop, by a pairing code of its relay, and open it.

        A folder without a register gets one; a register that sold before brings its tickets along; one that
        replaces a lost register needs no ``name``. Blocks on the network; durable on return.
        Raises as ``runtime.belonging.join.join_shop`` and ``open``.
        """
        from crdtsync.runtime.belonging.join import join_shop

        config = RegisterConfig(Path(folder), **settings)
        clock = clock or SystemClock()
        join_shop(
            config.data,
            url,
            code,
            name=name,
            clock=clock,
            random_bytes=random_bytes,
            day_starts_min=config.day_starts_min,
            tls_ca=config.tls_ca,
        )
        return cls.open(folder, clock=clock, random_bytes=random_bytes, **settings)

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        random_bytes: RandomBytes = system_random,
        **settings: Any,
    ) -> Self:
        """Open the register in a folder. Ready at once, whatever the age of the shop.

        ``settings`` are those of ``RegisterConfig``. Raises ``NoRegister``, ``StorageError``.
        """
        return cls(Replica(RegisterConfig(Path(folder), **settings), clock or SystemClock(), random_bytes))

    def close(self) -> None:
        """Stop syncing and close the store. Idempotent; nothing is lost by not calling it."""
        self.stop_sync()
        self._replica.close()

    def __enter__(self) -> Self:
        """Nothing more to do: it is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def identity(self) -> Identity:
        """Device, shop, names, series."""
        return self._replica.identity

    @property
    def config(self) -> RegisterConfig:
        """The settings it was opened with."""
        return self._replica.config

    @property
    def replica(self) -> Replica:
        """Store, log and views, for programs that need more than this class shows."""
        return self._replica

    # -- the day ----------------------------------------------------------------------------------------

    def open_day(self, float_minor: int = 0, day: str | None = None) -> OpenedDay:
        """Open a business day with a float in the drawer. Durable on return.

        ``day`` (``YYYY-MM-DD``): what a person says when the clock is in doubt. A day before that was left
        open is closed first. Raises ``InvalidAmount``, ``InvalidName``, ``StorageError``, and ``UsageError``
        when it is open already.
        """
        return self._days.open_day(float_minor, day)

    def cash(self, what: CashMove, amount_minor: int, *, reason: str, request_id: str | None = None) -> bool:
        """Record cash put ``in``, taken ``out`` or taken to the bank (``deposit``). Durable on return. False:
        it had been, for the same ``request_id``. Raises ``InvalidAmount``, ``InvalidSale``, ``StorageError``.
        """
        return self._days.cash(what, amount_minor, reason, request_id)

    def close_day(self, counted_minor: int | None = None) -> Figures:
        """Close the business day (Z). Durable on return. ``counted_minor``: the cash found in the drawer.

        Raises ``UsageError`` when nothing was recorded since the last closing, ``StorageError``.
        """
        return self._days.close("day", counted_minor)

    def close_period(self, level: Level) -> Figures:
        """Close the ``month`` or the ``year``. Raises ``UsageError`` while a day (a month) is open."""
        return self._days.close(level, None)

    def x_report(self) -> Figures:
        """Read the running day of this register. Records nothing."""
        return self._days.x_report()

    def report(self, day: str) -> DayReport:
        """A business day of all registers of the shop, as far as it is known here. Raises ``InvalidName``."""
        return self._days.report(day)

    # -- tickets ----------------------------------------------------------------------------------------

    def sell(
        self,
        lines: Sequence[SoldLine],
        payments: Sequence[PaidBy],
        *,
        request_id: str | None = None,
        ticket_discount_minor: int = 0,
        delivered: str = "none",
    ) -> Ticket:
        """Record a sale that is paid. When this returns it is on the disk, with fsync: only then say "paid".

        ``lines``: SKUs, ``BasketLine`` or complete ``Line``. ``payments``: a means of payment (``"card"``)
        takes what is left to pay; ``Payment`` has an amount; more cash than is due makes change. With a
        ``request_id`` the call can be repeated: the same id gives the same ticket, and is refused for another
        basket. Never refused for a forgotten closing, a strange clock, the stock or the network. Raises
        ``InvalidSale``, ``InvalidAmount``, ``UnknownProduct``, ``StorageError``: then nothing was recorded.
        """
        return self._tickets.sell(
            lines,
            payments,
            request_id=request_id,
            ticket_discount_minor=ticket_discount_minor,
            delivered=delivered,
        )

    def refund(
        self,
        number: str,
        *,
        lines: Mapping[int, int] | None = None,
        payments: Sequence[PaidBy] = ("cash",),
        reason: str = "returned",
        request_id: str | None = None,
    ) -> Ticket:
        """Refund a ticket of any register of the shop, as far as it is known here. Durable on return.

        ``number``: the ticket's or, if it is there twice, eight digits or more of its link. ``lines``: line
        -> thousandths that come back; None: all. Raises ``UnknownTicket``, ``NotRefundable``, as ``sell``.
        """
        return self._tickets.refund(
            number, lines=lines, payments=payments, reason=reason, request_id=request_id
        )

    def abandon(self, lines: Sequence[SoldLine], *, reason: str = "dropped before payment") -> Ticket:
        """Record a sale that was started and dropped before payment. Durable on return; as ``sell``."""
        return self._tickets.abandon(lines, reason=reason)

    def ticket(self, number: str) -> Ticket:
        """A ticket by its number or its link, of any register of the shop. Raises ``UnknownTicket``."""
        return self._tickets.ticket(number)

    def sales(
        self,
        *,
        day: str | None = None,
        device: bytes | None = None,
        older_than: Placed | None = None,
        rows_max: int = 100,
    ) -> list[TicketRow]:
        """Sales and refunds of the shop that are known here: the newest business day first, and of each day
        what came in last. ``older_than``: the last row seen, or its place.
        """
        return self._tickets.tickets(day=day, device=device, older_than=older_than, rows_max=rows_max)

    # -- products, stock, documents -----------------------------------------------------------------------

    @cached_property
    def products(self) -> Products:
        """The catalogue."""
        from crdtsync.runtime.register.products import Products

        return Products(self._replica)

    @cached_property
    def stock(self) -> Stock:
        """Deliveries, losses, counts and levels."""
        from crdtsync.runtime.register.stock import Stock

        return Stock(self._replica)

    def document(self, name: str) -> Document:
        """A Yjs document of your own, ``x/<name>``, made when it is first written. Loads all of it.

        Raises ``InvalidName``, ``StorageError``.
        """
        from crdtsync.runtime.register.documents import open_document

        return open_document(self._replica, name)

    # -- what is safe -------------------------------------------------------------------------------------

    def status(self, *, all_documents: bool = False, with_documents: bool = True) -> Status:
        """What is safe, what is not yet, and why. From the disk alone: no network, no waiting.

        ``with_documents=False``: none are named, so that nothing has to be unpacked.
        """
        from crdtsync.runtime.register.status import read_status

        return self._replica.mending(
            lambda: read_status(self._replica, all_documents=all_documents, with_documents=with_documents)
        )

    def verify(self, progress: Callable[[int, int], None] = lambda *_: None) -> Verification:
        """Check every checksum, link, number, total and signature. O(everything); reads only."""
        from crdtsync.runtime.register.verify import verify_replica

        self._replica.views.catch_up()
        return verify_replica(self._replica, progress)

    def inspect(self, document: str | None = None, key: str | None = None) -> list[dict[str, Any]]:
        """Look into a document as it lies on disk. Raises ``InvalidName``, ``StorageError``."""
        from crdtsync.runtime.register.inspect import inspect

        return inspect(self._replica, document, key)

    @property
    def quarantine(self) -> Quarantine:
        """What was refused, held or found damaged here, and what the relay refused of this register."""
        from crdtsync.runtime.damage.quarantine import Quarantine

        return Quarantine(self._replica)

    def observe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Have ``callback`` told by ``poll`` of what is recorded, here or elsewhere; returns what ends it."""
        return self._changes.observe(callback)

    def poll(self, timeout_s: float = 0.0) -> bool:
        """Tell observers what came since the last call, in this thread; whether anything did.

        Waits up to ``timeout_s`` for something to come, from a peer or from another process.
        """
        return self._changes.poll(timeout_s)

    # -- syncing ----------------------------------------------------------------------------------------

    def sync(
        self, timeout_s: float | None = None, progress: Callable[[Progress], None] | None = None
    ) -> None:
        """Synchronise once; returns when all that is local is on the relay's disk. Blocks.

        Raises ``NotSynchronised`` (not in time), ``RoleTaken`` (another process does it), ``NoRegister``
        (no relay yet), ``LinkError``. Nothing local is lost by any of them.
        """
        from crdtsync.runtime.syncing.background import sync_once

        timeout_s = self.config.sync_timeout_s if timeout_s is None else timeout_s
        try:
            sync_once(self._replica.folder, self._make_syncer, timeout_s=timeout_s, progress=progress)
        finally:
            self._replica.views.catch_up()
            self._replica.file_catalogue()

    def plan_resync(self, document: str | None = None) -> ResyncPlan:
        """What a resync would mend, as far as it is known here. Raises ``NoRegister`` without a relay."""
        from crdtsync.runtime.register.resync import plan_resync

        return plan_resync(self._replica, document)

    def resync(
        self, timeout_s: float | None = None, progress: Callable[[Progress], None] | None = None
    ) -> None:
        """Compare everything with the relay, and fetch or send what differs. Drops nothing; as ``sync``."""
        from crdtsync.runtime.register.resync import begin_resync

        begin_resync(self._replica)
        self.sync(timeout_s, progress)

    def start_sync(self) -> BackgroundSync:
        """Keep in step from now on, on a thread of its own.

        Raises ``NoRegister`` (no relay yet), ``RoleTaken``, ``StorageError``.
        """
        from crdtsync.runtime.filing.filer import Filer
        from crdtsync.runtime.syncing.background import BackgroundSync

        if self._background is None:
            if self._replica.relay is None:
                raise NoRegister(
                    "this register belongs to no relay yet", hint="enrol it with `crdtsync join URL CODE`"
                )
            background = BackgroundSync(self._replica.folder, self._make_syncer)
            background.start()
            self._background = background
            self._replica.awaits_first = lambda: background.awaits_first
            self._filer = Filer(self._replica, self._replica.awaits_first)
            self._filer.start()
        return self._background

    def stop_sync(self) -> None:
        """End what ``start_sync`` began. Idempotent; what is not sent stays pending."""
        if self._background is not None:
            self._background.stop()
            self._background = None
        if self._filer is not None:
            self._filer.stop()
            self._filer = None

    def _make_syncer(self) -> Syncer:
        from crdtsync.runtime.register.syncing import make_syncer

        return make_syncer(self._replica, self._something_arrived)

    # -- inside -----------------------------------------------------------------------------------------

    @property
    def end(self) -> Position:
        """The end of the log."""
        return self._replica.log.end

    @cached_property
    def _arrived(self) -> threading.Event:
        return threading.Event()

    @cached_property
    def _days(self) -> Days:
        from crdtsync.runtime.register.days import Days

        return Days(self._replica)

    @cached_property
    def _tickets(self) -> Tickets:
        from crdtsync.runtime.register.tickets import Tickets

        return Tickets(self._replica)

    @cached_property
    def _changes(self) -> Changes:
        from crdtsync.runtime.register.changes import Changes

        return Changes(self._replica, self._arrived)

    def _something_arrived(self) -> None:
        """Called on the committer's thread, as soon as records from elsewhere are on disk."""
        self._arrived.set()
        if self._filer is not None:
            self._filer.wake()

    def _wake(self) -> None:
        """Something was recorded: a syncer of this process sends it at once."""
        if self._background is not None:
            self._background.wake()
