"""What people do at the registers of a simulated shop, and what they write down of what they were told."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from pycrdt import Map

from crdtsync.errors import CrdtsyncError, NotRefundable, StorageError
from crdtsync.model.ticket import Line
from crdtsync.runtime.register_tickets import PaidBy
from crdtsync.runtime.ticket import Ticket
from crdtsync.testing.simulation import checks, reading
from crdtsync.testing.simulation.asked import Asked, back_of, lines_of
from crdtsync.testing.simulation.baskets import Basket, draw_basket, draw_payments, draw_reduced_basket
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
                require(not name.startswith("sell"), "nobody is refused a sale", register.name, str(error))
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
        figures = register.register.close_day(counted_minor)
        closing = asked.recorded("close", level="day")
        if closing is not None:
            said = closing.body["cash"].get("counted")
            require(said == counted_minor, "what is recorded is what was asked", register.name, said)
        self.shop.story.tell(register.name, f"closes the day: {figures.total_minor}")

    def _close_period(self, register: RegisterMachine, chance: Random) -> None:
        """Once in a while the month is closed, and the year after it."""
        for level in ("month", "year")[: chance.choice((1, 1, 2))]:
            figures = register.register.close_period(level)  # type: ignore[arg-type]
            self.shop.story.tell(register.name, f"closes the {level}: {figures.total_minor}")

    def _cash(self, register: RegisterMachine, chance: Random) -> None:
        what, amount_minor = chance.choice(("in", "out", "deposit")), chance.randrange(100, 5_000)
        asked = Asked(register)
        register.register.cash(what, amount_minor, reason="change")  # type: ignore[arg-type]
        asked.says("cash", amt=amount_minor if what == "in" else -amount_minor)

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
        rows = [row for row in register.register.sales(rows_max=30) if row.kind == "sale"]
        if not rows:
            return
        row = chance.choice(rows)
        asked = Asked(register)
        ticket = register.register.refund(row.link.hex(), reason="returned")
        self._write_down(register, ticket, f"gives back {row.number}:")
        entry = asked.recorded("refund")
        if entry is not None:
            require(entry.body["ref"]["link"] == row.link.hex(), "a refund is of what was sold", row.number)
            self._gives_back_what_is_left(register, row.link.hex())

    def _refund_part(self, register: RegisterMachine, chance: Random) -> None:
        """Some of what a line has, as far as it did not come back before."""
        entries = reading.entries_of(register.records())
        shown = {row.link.hex(): row for row in register.register.sales(rows_max=30) if row.kind == "sale"}
        sales = [entry for entry in entries if entry.link in shown]
        if not sales:
            return
        sale = chance.choice(sales)
        line = chance.choice([line for line in sale.body["lines"] if line["qty"] > 0])
        quantity = chance.choice((line["qty"], line["qty"] // 2, 333))
        worth, asked = back_of(entries, sale, line, quantity), Asked(register)
        try:
            ticket = register.register.refund(sale.link, lines={line["i"]: quantity}, reason="broken")
        except NotRefundable:
            require(worth is None, "what was not given back yet is given back", sale.body["num"], quantity)
            raise
        self._write_down(register, ticket, f"gives back some of {sale.body['num']}:")
        entry = asked.recorded("refund")
        if entry is not None:
            said = [(given["of"], given["qty"], given["ttc"]) for given in entry.body["lines"]]
            expected = [(line["i"], -quantity, -(worth or 0))]
            require(said == expected, "a refund gives back what was paid", register.name, said, expected)

    def _gives_back_what_is_left(self, register: RegisterMachine, link: str) -> None:
        """All refunds of a sale that are here come to what was paid. What two gave back without knowing
        of one another is more; less is never right, since all of it is given back.
        """
        entries = reading.entries_of(register.records())
        sale = next(entry.amount_minor for entry in entries if entry.link == link)
        back = [one.amount_minor for one in entries if one.body.get("ref", {}).get("link") == link]
        require(sum(back) <= -sale, "a refund gives back what was paid", register.name, sale, back)
        require(
            -sale in back or len(back) > 1, "a refund gives back what was paid", register.name, sale, back
        )

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
