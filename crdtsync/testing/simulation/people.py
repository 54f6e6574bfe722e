"""What people do at the registers of a simulated shop, and what they write down of what they were told."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from pycrdt import Map

from crdtsync.errors import CrdtsyncError, NotRefundable, StorageError, UsageError
from crdtsync.model.ticket import Line
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.runtime.register.tickets import PaidBy
from crdtsync.testing.simulation import checks, reading
from crdtsync.testing.simulation.asked import Asked, back_of, lines_of
from crdtsync.testing.simulation.baskets import Basket, draw_basket, draw_payments, draw_reduced_basket
from crdtsync.testing.simulation.broken import require
from crdtsync.testing.simulation.notebook import Told
from crdtsync.testing.simulation.plan import Action
from crdtsync.testing.simulation.reading import Entry
from crdtsync.testing.simulation.register import RegisterMachine

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

SKUS = tuple(f"vin-{number:02}" for number in range(12))
NAMES = ("Crozes-Hermitage", "Saint-Joseph", "Cidre brut", "Terrine", "Miel", "Sirop")
RATES = (2000, 550, 1000)

MAY_BE_REFUSED = {
    "open": UsageError,
    "close": UsageError,
    "close period": UsageError,
    "refund": NotRefundable,
    "refund part": NotRefundable,
}
"""What may have been done already; of closings and refunds it is checked."""


class People:
    """Whoever works in the shop. What they try and what becomes of it goes into the story."""

    def __init__(self, shop: Shop, had_faults: Callable[[], bool] = lambda: True) -> None:
        self.shop = shop
        self._had_faults = had_faults
        self._requests = 0
        self._retries: dict[str, Basket] = {}
        self._sold: dict[RegisterMachine, list[tuple[Basket, bytes]]] = {}

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
                may_be = isinstance(error, MAY_BE_REFUSED.get(name, ()))
                require(may_be, "nobody is refused without a cause", register.name, name, str(error))
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
        float_minor, asked = chance.choice((0, 10_000)), Asked(register)
        register.register.open_day(float_minor)
        asked.says("open", amt=float_minor)
        self.shop.story.tell(register.name, "opens the day")

    def _close(self, register: RegisterMachine, chance: Random) -> None:
        counted_minor, asked = chance.choice((None, 12_345)), Asked(register)
        try:
            figures = register.register.close_day(counted_minor)
        except UsageError:
            require(asked.is_closed(), "a day that was sold in is closed", register.name)
            raise
        closing = asked.recorded("close", level="day")
        if closing is not None:
            said = closing.body["cash"].get("counted"), closing.body["total"]
            expected = counted_minor, figures.total_minor
            require(said == expected, "what is recorded is what was asked", register.name, said, expected)
        self.shop.story.tell(register.name, f"closes the day: {figures.total_minor}")

    def _close_period(self, register: RegisterMachine, chance: Random) -> None:
        """Once in a while the month is closed, and the year after it."""
        for level in ("month", "year")[: chance.choice((1, 1, 2))]:
            asked = Asked(register)
            figures = register.register.close_period(level)  # type: ignore[arg-type]
            closing = asked.recorded("close", level=level)
            if closing is not None:
                said, shown = closing.body["total"], figures.total_minor
                require(said == shown, "what is told is what is recorded", register.name, said, shown)
            self.shop.story.tell(register.name, f"closes the {level}: {figures.total_minor}")

    def _cash(self, register: RegisterMachine, chance: Random) -> None:
        what, amount_minor = chance.choice(("in", "out", "deposit")), chance.randrange(100, 5_000)
        asked = Asked(register)
        register.register.cash(what, amount_minor, reason="change")  # type: ignore[arg-type]
        signed_minor = amount_minor if what == "in" else -amount_minor
        asked.says("cash", amt=signed_minor, what=what, reason="change")

    def last_customers(self) -> None:
        """When everything is well again, every register sells once more."""
        for register in self.shop.registers:
            before = len(self.shop.notebook.tickets)
            self._try("sell", register, Random(f"{self.shop.seed}/last/{register.name}"))
            is_sold = len(self.shop.notebook.tickets) > before
            require(is_sold, "when nothing is wrong, everybody sells", register.name)

    # -- tickets -------------------------------------------------------------------------------------------

    def _sell(self, register: RegisterMachine, chance: Random) -> None:
        basket = self._basket(register, chance, draw_basket)
        self._sell_that(register, basket, chance, lambda due: [chance.choice(("cash", "card"))])

    def _sell_reduced(self, register: RegisterMachine, chance: Random) -> None:
        """With discounts and deposits, paid in two ways or with a banknote."""
        basket = self._basket(register, chance, draw_reduced_basket)
        self._sell_that(register, basket, chance, lambda due: draw_payments(due, chance))

    def _sell_that(
        self,
        register: RegisterMachine,
        basket: Basket,
        chance: Random,
        pay: Callable[[int | None], list[PaidBy]],
    ) -> None:
        self._retries[register.name] = basket
        wanted = lines_of(register, basket)
        payments = pay(sum(line["ttc"] for line in wanted) if wanted else None)
        requests = self.shop.notebook.requests
        is_new, asked = basket.request_id not in requests, Asked(register)
        requests.add(basket.request_id)
        ticket = self._ask_for(register, basket, payments)
        self._retries.pop(register.name)
        self._write_down(register, ticket, "sells")
        if wanted and is_new:
            asked.sold(basket.request_id, payments, wanted)
        self._ask_for_an_old_one(register)
        self._sold.setdefault(register, []).append((basket, ticket.link))
        if chance.random() < 0.1:  # The answer was lost on the way to the till's screen: asked again.
            again = self._ask_for(register, basket, ["cash"])
            require(again.link == ticket.link, "asking again gives the same ticket", ticket.number)
        if chance.random() < 0.3:  # Now something is pending.
            self._look(register, chance)

    def _ask_for(self, register: RegisterMachine, basket: Basket, payments: list[PaidBy]) -> Ticket:
        return register.register.sell(
            basket.lines,
            payments,
            request_id=basket.request_id,
            ticket_discount_minor=basket.ticket_discount_minor,
        )

    def _ask_for_an_old_one(self, register: RegisterMachine) -> None:
        """Now and then a till that hung asks for a ticket of long ago: it is given that one."""
        sold = self._sold.get(register, [])
        if len(sold) % 8 != 1 or register.plate.is_off or register.losses:
            return
        basket, link = sold[len(sold) // 2]
        asked = Asked(register)
        again = self._ask_for(register, basket, ["cash"])
        require(again.link == link, "asking again gives the same ticket", register.name, basket.request_id)
        asked.nothing()

    def _basket(
        self, register: RegisterMachine, chance: Random, draw: Callable[[str, list[str], Random], Basket]
    ) -> Basket:
        tried = self._retries.get(register.name)
        if tried is not None and chance.random() < 0.7:  # It failed, so it is tried again.
            return tried
        self._requests += 1
        return draw(f"r{self._requests}", [row.sku for row in register.register.products.list()], chance)

    def _refund(self, register: RegisterMachine, chance: Random) -> None:
        """All that is left of a ticket."""
        entries, sales = self._refundable(register)
        if sales:
            self._give_back(register, entries, chance.choice(sales), None)

    def _refund_part(self, register: RegisterMachine, chance: Random) -> None:
        """Some of what a line has, as far as it did not come back before."""
        entries, sales = self._refundable(register)
        if sales:
            sale = chance.choice(sales)
            line = chance.choice([line for line in sale.body["lines"] if line["qty"] > 0])
            quantity = chance.choice((line["qty"], line["qty"] // 2, 333))
            self._give_back(register, entries, sale, {line["i"]: quantity})

    def _refundable(self, register: RegisterMachine) -> tuple[list[Entry], list[Entry]]:
        """All entries of the disk, and those sales among them that the till shows."""
        shown = {row.link.hex() for row in register.register.sales(rows_max=30) if row.kind == "sale"}
        entries = reading.entries_of(register.records())
        return entries, [entry for entry in entries if entry.link in shown]

    def _give_back(
        self, register: RegisterMachine, entries: list[Entry], sale: Entry, quantities: dict[int, int] | None
    ) -> None:
        worth, asked = back_of(entries, sale, quantities), Asked(register)
        try:
            ticket = register.register.refund(sale.link, lines=quantities, reason="returned")
        except NotRefundable:
            require(worth is None, "what is left is given back", register.name, sale.body["num"], worth)
            raise
        self._write_down(register, ticket, f"gives back {sale.body['num']}:")
        asked.given_back(worth or [])

    def _abandon(self, register: RegisterMachine, chance: Random) -> None:
        price, asked = chance.randrange(100, 9_000), Asked(register)
        register.register.abandon([Line("libre", "Article", price, 2000, "N")])
        asked.says("abandon", ttc=price)

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
            entry = next(one for one in reading.entries_of(register.records()) if one.link == link)
            told = (
                ticket.number,
                [(paid.means, paid.amount_minor) for paid in ticket.payments],
                ticket.total_minor,
            )
            paid = [(payment["m"], payment["amt"]) for payment in entry.body["pay"]]
            expected = entry.body["num"], paid, entry.amount_minor
            require(told == expected, "what is told is what is recorded", register.name, told, expected)

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
            shown = products.find(sku)
            is_so = register.plate.is_off or (shown is not None and shown.price_minor == price)
            require(is_so, "a price that was set is shown", register.name, sku, price)

    def _count(self, register: RegisterMachine, chance: Random) -> None:
        sku, quantity = chance.choice(SKUS), 1000 * chance.randrange(50)
        stock, asked = register.register.stock, Asked(register)
        stock.count({sku: quantity})
        counted = asked.recorded("count")
        if counted is not None:
            said = {line["sku"]: line["qty"] for line in counted.body["lines"]}
            require(said == {sku: quantity}, "what is recorded is what was asked", register.name, said)
        shown = stock.level(sku).quantity
        # Two counts of chains that forked may claim to have known each other: either is used then.
        says_so = shown == quantity or bool(self.shop.notebook.forked)
        require(says_so, "what was just counted is there", register.name, sku, shown, quantity)

    def _deliver(self, register: RegisterMachine, chance: Random) -> None:
        sku, quantity, asked = chance.choice(SKUS), 1000 * chance.randrange(1, 24), Asked(register)
        register.register.stock.add(sku, quantity)
        moved = asked.recorded("move")
        if moved is not None:
            said = {line["sku"]: line["qty"] for line in moved.body["lines"]}
            require(said == {sku: quantity}, "what is recorded is what was asked", register.name, said)

    def _look(self, register: RegisterMachine, chance: Random) -> None:
        status = register.register.status()
        if register.plate.is_off:  # While the views were brought up to date; what was shown nobody saw.
            return
        checks.synced_is_true(self.shop, register, status.state, status.pending.records)
        checks.shown_as_pending_is_no_less(self.shop, register, status.pending)

    # -- a document of one's own ---------------------------------------------------------------------------

    def _note(self, register: RegisterMachine, chance: Random) -> None:
        key, value = f"{register.name}/{chance.randrange(8)}", str(chance.randrange(1_000))
        notes = self.shop.notebook.notes
        notes.pop(key, None)
        asked = Asked(register)
        with register.register.document("x/notes").transaction() as doc:
            doc.get("root", type=Map)[key] = value
        asked.noted("x/notes", key, value)
        notes[key] = register.name, value
