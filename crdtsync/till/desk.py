"""The desk: the register, the baskets, the products, and what is safe. Used by the counter's thread alone."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from crdtsync.errors import CrdtsyncError, NoRegister, RoleTaken, StorageError, UnknownTicket
from crdtsync.model.company import Company
from crdtsync.model.ticket import Line
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.committing.writer import entry_at
from crdtsync.runtime.register.company import Companies
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.runtime.syncing.background import BackgroundSync
from crdtsync.till.baskets import Basket, Item
from crdtsync.till.goods import Storeroom
from crdtsync.till.receipt import Heading
from crdtsync.till.safety import Safety, Snapshot
from crdtsync.till.shelf import Shelf
from crdtsync.till.troubles import told_of

_logger = logging.getLogger("crdtsync.till")

STATUS_EVERY_S: Final = 2.0
"""What does not come by a commit (a link that is cut, time that goes by) is looked at so often."""

STATUS_REST_FACTOR: Final = 8.0
"""A long backlog takes a while to count: then it is counted less often."""

SYNC_AGAIN_S: Final = 5.0
SYNC_OVER_S: Final = 60.0
"""After an end that trying again does not mend: somebody may mend it meanwhile."""

NOTICES_MAX: Final = 8
RECENT_MAX: Final = 200
LINK_DIGITS: Final = 64


class Desk:
    """What pages work with. ``close`` it in the end."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        random: RandomBytes = system_random,
        **settings: Any,
    ) -> None:
        """Open the register and its baskets, and begin to synchronise. Raises as ``Register.open``."""
        self.clock, self.random = clock or SystemClock(), random
        self.register = Register.open(folder, clock=self.clock, random_bytes=random, **settings)
        try:
            self.register.replica.refuse_display()
            self.register.replica.views.catch_up_a_little()
            self.shelf = Shelf(folder, self.clock, random)
            self.goods = Storeroom(self.register)
            replica = self.register.replica
            self.companies = Companies(replica.log, replica.queries, self.register.identity.device)
            self.practice: dict[str, Ticket] = {}
            """Tickets of training: they are nowhere else."""
            self._recent: dict[str, Ticket] = {}
            self._background: BackgroundSync | None = None
            self._sync_due_s = 0.0
            self._sync_error: CrdtsyncError | None = None
            self._safety: Safety | None = None
            self._safety_key: tuple[object, ...] = ()
            self._safety_due_s = 0.0
            self._mistake = ""
            self.keep_syncing()
            self._finish_sold_baskets()
        except BaseException:
            self.register.close()
            raise

    def close(self) -> None:
        """Stop synchronising and close the register."""
        self.register.close()

    # -- baskets ------------------------------------------------------------------------------------------

    @property
    def basket(self) -> Basket:
        """The open one."""
        return self.shelf.bench.current

    def sold(self, basket_id: str) -> Ticket | None:
        """The sale of the basket with that name, if it was sold; from the ledger, whatever the page knows."""
        if basket_id in self.practice:
            return self.practice[basket_id]
        if not basket_id.isalnum() or len(basket_id) > 40:
            return None
        replica = self.register.replica
        found = replica.log.request(f"till-{basket_id}")
        if found is None:
            return None
        return Ticket.of(entry_at(replica.log, found[1]), again=True)

    def remember(self, ticket: Ticket) -> Ticket:
        """A ticket that was made here a moment ago: it is shown without being looked for."""
        if len(self._recent) >= RECENT_MAX:
            self._recent.pop(next(iter(self._recent)))
        self._recent[ticket.link.hex()] = ticket
        self.keep_notices(ticket.notices)
        return ticket

    @property
    def notices(self) -> tuple[str, ...]:
        """What was noticed since the day was last opened or closed: its page tells it until then."""
        return self.shelf.notices

    def keep_notices(self, notices: Sequence[str], *, anew: bool = False) -> None:
        """Remember what was noticed for whoever looks at the day; with ``anew``, that alone. Questions are
        not kept: the page of the day asks them while they are.
        """
        kept = () if anew else self.notices
        if notices:
            kept += tuple(one for one in notices if one not in (self._question(), *kept))
        if kept[-NOTICES_MAX:] == self.notices:
            return
        self.shelf.notices = kept[-NOTICES_MAX:]
        with suppress(StorageError):  # It comes with what is recorded already, as above.
            self.shelf.save()

    def _question(self) -> str:
        """What is asked of the day. Where that cannot be read nothing is: what was noticed comes with what is
        recorded already, and nobody is told that it was not.
        """
        try:
            return (self.register.replica.writer.asked_of_the_day() or ("", ""))[0]
        except StorageError:
            return ""

    def ticket(self, link: str, number: str) -> Ticket:
        """The ticket with that link. With its number it is found at once, however many there are; without,
        all are looked through. Raises ``UnknownTicket``.
        """
        if link in self._recent:
            return self._recent[link]
        replica = self.register.replica
        replica.views.catch_up()
        for row in replica.queries.tickets_numbered(number) if number else ():
            if row.link.hex() == link:
                return Ticket.of(entry_at(replica.log, row.seq))
        if len(link) != LINK_DIGITS:
            raise UnknownTicket("there is no such ticket")
        return self.register.ticket(link)

    def name_of(self, ticket: Ticket) -> str:
        """What the register is to call a ticket: its number, or its link where the number is there twice."""
        found = self.register.replica.queries.tickets_numbered(ticket.number)
        return ticket.number if len(found) == 1 else ticket.link.hex()

    def heading(self, ticket: Ticket, *, duplicate: int = 0) -> Heading:
        """What stands above a ticket. Who sells is left out where it cannot be read: the sale comes first."""
        identity = self.register.identity
        try:
            company = self.companies.at(ticket.at_ms)
        except StorageError:
            company = Company()
        return Heading(identity.shop_name, identity.device_name, duplicate, company)

    def _finish_sold_baskets(self) -> None:
        """A crash between the sale and the new basket: what is in the ledger is no open basket any more."""
        live = self.shelf.live
        if live.current.items and self.sold(live.current.id) is not None:
            live.current = self.shelf.new_basket()
            self.shelf.save()

    def new_prices(self, basket: Basket) -> dict[str, int]:
        """What has another price by now than the basket shows: line -> new price. Those that somebody
        decided on are left out.
        """
        found: dict[str, int] = {}
        for item in basket.items:
            price_minor = self._price_now(item)
            if price_minor is not None and price_minor not in (item.unit_price_minor, item.declined_minor):
                found[item.id] = price_minor
        return found

    def _price_now(self, item: Item) -> int | None:
        if item.is_free:
            return None
        goods = self.goods.get(item.sku)
        return goods.price_minor if goods is not None and goods.can_be_sold else None

    def free_line(self, label: str, price_minor: int, vat_rate: int, vat_class: str) -> Line:
        """A line of what is in no catalogue."""
        return Line(
            sku="DIVERS", label=label, unit_price_minor=price_minor, vat_rate=vat_rate, vat_class=vat_class
        )

    # -- what is safe ---------------------------------------------------------------------------------------

    @property
    def background(self) -> BackgroundSync | None:
        """What synchronises in this process; None where another process does, or nobody can."""
        return self._background

    @property
    def sync_error(self) -> CrdtsyncError | None:
        """Why this process does not synchronise, or is not connected."""
        if self._background is not None and self._background.is_running:
            return self._background.error
        return self._sync_error

    def keep_syncing(self, *, is_asked: bool = False) -> None:
        """Begin to synchronise, or begin again: it may have been enrolled, or another process have ended.
        ``is_asked``: a person wants it, whatever it ended with.
        """
        background = self._background
        if background is not None and background.is_running:
            return
        if time.monotonic() < self._sync_due_s:
            return
        self._sync_due_s = time.monotonic() + SYNC_AGAIN_S
        if background is not None:
            self._sync_error = background.error
            ended = self._sync_error
            # Another process that synchronises ends some time, and nobody tells when.
            if ended is not None and not ended.retryable and not isinstance(ended, RoleTaken):
                self._sync_due_s = time.monotonic() + SYNC_OVER_S
            self.register.stop_sync()
            self._background = None
            if not is_asked and self._sync_due_s > time.monotonic() + SYNC_AGAIN_S:
                return
        try:
            self._background = self.register.start_sync()
            self._sync_error = None
        except (NoRegister, RoleTaken, StorageError) as error:
            self._sync_error = error

    def sync_now(self) -> None:
        """A person asks: whoever synchronises tries at once."""
        self._sync_due_s = 0.0
        self.keep_syncing(is_asked=True)
        if self._background is not None:
            self._background.try_now()

    @property
    def is_connected(self) -> bool | None:
        """Whether the relay is connected now; None where another process synchronises."""
        if self._background is not None:
            return self._background.is_running and self._background.is_connected
        return None if isinstance(self._sync_error, RoleTaken) else False

    def snapshot(self) -> Snapshot:
        """What is so now. Never raises for the disk: then nothing is known, and that is said."""
        identity, bench = self.register.identity, self.shelf.bench
        progress = self._background.progress() if self._background is not None else None
        try:
            mark = self.basket_mark()
        except StorageError:
            mark = "?"
        return Snapshot(
            shop_name=identity.shop_name,
            device_name=identity.device_name,
            is_training=self.shelf.is_training,
            safety=self.safety(),
            basket=mark,
            parked=len(bench.parked),
            offset_min=self.clock.utc_offset_min(self.clock.now_ms()),
            progress=progress,
        )

    def basket_mark(self) -> str:
        """Changes with whatever a page shows of the open basket."""
        basket = self.basket
        lines = [
            (item.id, item.quantity_thousandths, item.unit_price_minor, item.discount_minor)
            for item in basket.items
        ]
        shown = (basket.id, lines, basket.due_minor, basket.payments, sorted(self.new_prices(basket).items()))
        return hashlib.sha256(repr((shown, len(self.shelf.bench.parked))).encode()).hexdigest()[:16]

    def safety(self) -> Safety:
        """What is safe now: computed anew as soon as anything was recorded or acknowledged."""
        now_s = time.monotonic()
        if self._mistake and now_s < self._safety_due_s:
            return Safety("unknown")
        try:
            key = self._key()
            if self._safety is None or key != self._safety_key or now_s >= self._safety_due_s:
                self._safety = Safety.of(
                    self.register.status(with_documents=False), is_connected=self.is_connected
                )
                took_s = time.monotonic() - now_s
                self._safety_key = key
                self._safety_due_s = now_s + max(STATUS_EVERY_S, STATUS_REST_FACTOR * took_s)
            self._mistake = ""
            return self._safety
        except StorageError as error:
            self._safety = None
            return Safety("unknown", concerns=(told_of(str(error), type(error).__name__),))
        except Exception as error:  # A row that makes no sense, or a mistake of ours, hinders no sale.
            if repr(error) != self._mistake:  # Said once: it may last, and logs fill disks.
                _logger.exception("what is safe cannot be told")
            took_s = time.monotonic() - now_s
            self._mistake, self._safety = repr(error), None
            self._safety_due_s = now_s + max(STATUS_EVERY_S, STATUS_REST_FACTOR * took_s)
            return Safety("unknown")

    def _key(self) -> tuple[object, ...]:
        log, relay = self.register.replica.log, self.register.replica.relay
        relay_log = relay.log_id if relay is not None else None
        acknowledged = log.acknowledged(relay_log) if relay_log else None
        return log.end.seq, relay_log, acknowledged, self.is_connected

    def look(self) -> None:
        """Between pages: keep synchronising; have products filed that another process brought."""
        self.keep_syncing()
        try:
            if self._background is None:
                self.register.products.refresh()
            if not self.goods.is_known:
                self.goods.learn()  # Before anybody looks for one.
        except StorageError:
            return
