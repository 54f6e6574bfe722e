"""What people do at the registers of a simulated shop, and what they write down of what they were told."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from pycrdt import Map

from crdtsync.errors import CrdtsyncError, StorageError
from crdtsync.model.ticket import Line
from crdtsync.runtime.register_tickets import BasketLine, SoldLine
from crdtsync.runtime.ticket import Ticket
from crdtsync.testing.simulation import checks
from crdtsync.testing.simulation.broken import require
from crdtsync.testing.simulation.notebook import Told
from crdtsync.testing.simulation.plan import Action
from crdtsync.testing.simulation.register import RegisterMachine

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

SKUS = tuple(f"vin-{number:02}" for number in range(12))
NAMES = ("Crozes-Hermitage", "Saint-Joseph", "Cidre brut", "Terrine", "Miel", "Sirop")
RATES = (2000, 550, 1000)


class People:
    """Whoever works in the shop. What they try and what becomes of it goes into the story."""

    def __init__(self, shop: Shop, had_faults: Callable[[], bool] = lambda: True) -> None:
        self.shop = shop
        self._had_faults = had_faults
        self._requests = 0
        self._retries: dict[str, tuple[str, list[SoldLine]]] = {}

    def do(self, action: Action) -> None:
        """Somebody does something, if there is a register that is on."""
        if action.what in ("evening", "morning"):
            self._switch(is_on=action.what == "morning")
            return
        present = [register for register in self.shop.registers if register.is_on]
        if not present:
            return
        self._try(action.what, present[action.who % len(present)], Random(action.pick))

    def _try(self, name: str, register: RegisterMachine, chance: Random) -> None:
        what: Callable[[RegisterMachine, Random], None] = getattr(self, f"_{name.replace(' ', '_')}")

        def attempt() -> None:
            try:
                what(register, chance)
            except StorageError as error:
                require(self._had_faults(), "no disk refuses anything without a cause", str(error))
                self.shop.story.tell(register.name, f"{name}: {error}")
                register.notice()  # What is said not to be written may be.
            except CrdtsyncError as error:
                require(name != "sell", "nobody is refused a sale", register.name, str(error))
                self.shop.story.tell(register.name, f"{name} is refused: {error}")

        register.work(attempt)

    def _switch(self, *, is_on: bool) -> None:
        """At night the registers are off, whatever has not been sent."""
        for register in self.shop.registers:
            if is_on and not register.is_on:
                register.start()
            elif not is_on and register.is_on:
                self.shop.crash(register, is_restarted=False)

    # -- the day -------------------------------------------------------------------------------------------

    def _open(self, register: RegisterMachine, chance: Random) -> None:
        register.register.open_day(chance.choice((0, 10_000)))
        self.shop.story.tell(register.name, "opens the day")

    def _close(self, register: RegisterMachine, chance: Random) -> None:
        figures = register.register.close_day(chance.choice((None, 12_345)))
        self.shop.story.tell(register.name, f"closes the day: {figures.total_minor}")

    def _close_period(self, register: RegisterMachine, chance: Random) -> None:
        """Once in a while the month is closed, and the year after it."""
        for level in ("month", "year")[: chance.choice((1, 1, 2))]:
            figures = register.register.close_period(level)  # type: ignore[arg-type]
            self.shop.story.tell(register.name, f"closes the {level}: {figures.total_minor}")

    def _cash(self, register: RegisterMachine, chance: Random) -> None:
        what = chance.choice(("in", "out", "deposit"))
        register.register.cash(what, chance.randrange(100, 5_000), reason="change")  # type: ignore[arg-type]

    def last_customers(self) -> None:
        """When everything is well again, every register sells once more."""
        for register in self.shop.registers:
            before = len(self.shop.notebook.tickets)
            self._try("sell", register, Random(f"{self.shop.seed}/last/{register.name}"))
            is_sold = len(self.shop.notebook.tickets) > before
            require(is_sold, "when nothing is wrong, everybody sells", register.name)

    # -- tickets -------------------------------------------------------------------------------------------

    def _sell(self, register: RegisterMachine, chance: Random) -> None:
        request_id, basket = self._basket(register, chance)
        self._retries[register.name] = request_id, basket
        ticket = register.register.sell(basket, [chance.choice(("cash", "card"))], request_id=request_id)
        self._retries.pop(register.name)
        self._write_down(register, ticket, "sells")
        if chance.random() < 0.1:  # The answer was lost on the way to the till's screen: asked again.
            again = register.register.sell(basket, ["cash"], request_id=request_id)
            require(again.link == ticket.link, "asking again gives the same ticket", ticket.number)
        if chance.random() < 0.3:  # Now something is pending.
            self._look(register, chance)

    def _basket(self, register: RegisterMachine, chance: Random) -> tuple[str, list[SoldLine]]:
        tried = self._retries.get(register.name)
        if tried is not None and chance.random() < 0.7:  # It failed, so it is tried again.
            return tried
        self._requests += 1
        known = [row.sku for row in register.register.products.list()]
        lines: list[SoldLine] = []
        for _ in range(chance.choice((1, 1, 2, 3))):
            if known and chance.random() < 0.8:
                lines.append(BasketLine(chance.choice(known), chance.choice((1000, 1000, 2000, 350))))
            else:
                price = chance.randrange(100, 9_000)
                rate, vat_class = chance.choice(((2000, "N"), (550, "R1")))
                lines.append(Line(f"libre-{price}", "Article", price, rate, vat_class))
        return f"r{self._requests}", lines

    def _refund(self, register: RegisterMachine, chance: Random) -> None:
        rows = [row for row in register.register.sales(rows_max=30) if row.kind == "sale"]
        if not rows:
            return
        row = chance.choice(rows)
        ticket = register.register.refund(row.link.hex(), reason="returned")
        self._write_down(register, ticket, f"gives back {row.number}:")

    def _abandon(self, register: RegisterMachine, chance: Random) -> None:
        line = Line("libre", "Article", chance.randrange(100, 9_000), 2000, "N")
        register.register.abandon([line])

    def _later_kind(self, register: RegisterMachine, chance: Random) -> None:
        """A later version of the software records something that this one does not know."""
        register.register.replica.writer.write(
            "later-kind", {"amounts": [chance.randrange(9)], "what": "tip"}
        )

    def _write_down(self, register: RegisterMachine, ticket: Ticket, verb: str) -> None:
        shop = self.shop
        link = ticket.link.hex()
        shop.story.tell(register.name, f"{verb} {ticket.number}, {ticket.total_minor}")
        # Told is told, also where the power has gone since: then what survives is looked at later.
        shop.notebook.note(Told(shop.timeline.now_us, register.name, ticket.number, link, ticket.total_minor))
        if not register.plate.is_off:
            checks.told_is_on_disk(register, link)

    # -- products, stock, documents ------------------------------------------------------------------------

    def _product(self, register: RegisterMachine, chance: Random) -> None:
        sku = chance.choice(SKUS)
        products = register.register.products
        products.refresh()
        if products.find(sku) is None:
            name = f"{chance.choice(NAMES)} {sku}"
            rate = chance.choice(RATES)
            products.add(sku, name=name, price_minor=chance.randrange(100, 4_000), vat_rate=rate)
            self.shop.story.tell(register.name, f"adds {sku}")
        else:
            products.set(sku, name=f"{chance.choice(NAMES)} {chance.randrange(100)}")
            self.shop.story.tell(register.name, f"renames {sku}")

    def _price(self, register: RegisterMachine, chance: Random) -> None:
        products = register.register.products
        products.refresh()
        known = [row.sku for row in products.list()]
        if known:
            sku, price = chance.choice(known), chance.randrange(100, 4_000)
            products.set(sku, price_minor=price)
            self.shop.story.tell(register.name, f"sets the price of {sku} to {price}")

    def _count(self, register: RegisterMachine, chance: Random) -> None:
        sku, quantity = chance.choice(SKUS), 1000 * chance.randrange(50)
        stock = register.register.stock
        stock.count({sku: quantity})
        shown = stock.level(sku).quantity
        # Two counts of chains that forked may claim to have known each other: either is used then.
        says_so = shown == quantity or bool(self.shop.notebook.forked)
        require(says_so, "what was just counted is there", register.name, sku, shown, quantity)

    def _deliver(self, register: RegisterMachine, chance: Random) -> None:
        register.register.stock.add(chance.choice(SKUS), 1000 * chance.randrange(1, 24))

    def _look(self, register: RegisterMachine, chance: Random) -> None:
        status = register.register.status()
        if register.plate.is_off:  # While the views were brought up to date; what was shown nobody saw.
            return
        checks.synced_is_true(self.shop, register, status.state, status.pending.records)
        checks.shown_as_pending_is_no_less(self.shop, register, status.pending)

    # -- a document of one's own ---------------------------------------------------------------------------

    def _note(self, register: RegisterMachine, chance: Random) -> None:
        with register.register.document("x/notes").transaction() as doc:
            doc.get("root", type=Map)[f"{register.name}/{chance.randrange(8)}"] = str(chance.randrange(1_000))
