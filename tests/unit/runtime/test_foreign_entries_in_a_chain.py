"""A device with a genuine certificate signs an entry that says it belongs to the chain of another register.

Nobody can refuse it (an entry is judged alone), but it must change nothing of what the other one sold.
"""

import pytest

from crdtsync.errors import UnknownTicket
from crdtsync.ids import Item, entry_record
from crdtsync.model.chain import next_body
from crdtsync.model.closing import build_close
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.ticket import Payment, build_sale
from crdtsync.testing.till import WINE, MemoryOwner

TODAY = "2026-11-24"


class Shop:
    """What a till has heard of two others; ``intruder`` writes into the chain of ``victim``."""

    def __init__(self, till):
        self.till = till
        self.owner = MemoryOwner()
        self.victim = self.owner.enrol("Caisse 7", series="01")
        self.intruder = self.owner.enrol("Caisse 8", series="02")
        self.victim.sell()
        self.receive([*self.owner.entries, *self.victim.entries, *self.intruder.entries])

    def receive(self, entries):
        log = self.till.replica.log
        with self.till.replica.store.transaction():
            for entry in entries:
                log.append(Item(entry_record(entry.sealed), entry.facts.document, entry.link, entry.facts))

    def intrude(self, kind, payload, **changes):
        head = self.victim.end
        body = next_body(head, kind, payload, self.victim.moment)
        body |= {"till": self.intruder.author.hex(), **changes}
        entry = read_entry(seal(body, self.intruder.key))
        self.receive([entry])
        return entry

    def states(self):
        registers = self.till.report(TODAY).registers
        return {
            (one.name, one.state, one.total_minor)
            for one in registers
            if one.name in ("Caisse 7", "Caisse 8")
        }


@pytest.fixture
def shop(till):
    return Shop(till)


@pytest.mark.parametrize("far", [500, 2**53 - 10])
def test_a_closing_by_another_device_leaves_a_registers_day_as_it_is(shop, far):
    shop.intrude("close", build_close(shop.victim.end), seq=shop.victim.end.n + far)
    assert ("Caisse 7", "open", 1850) in shop.states()
    shop.receive([shop.victim.close()])
    assert ("Caisse 7", "closed", 1850) in shop.states()


def test_a_sale_in_anothers_chain_is_shown_as_the_sale_of_whoever_signed_it(shop):
    sale = shop.intrude("sale", build_sale([WINE], [Payment("card", 1850)]))
    shown = {row.link: row.device for row in shop.till.sales(day=TODAY)}
    assert shown == {
        sale.link: shop.intruder.author,
        shop.victim.entries[-1].link: shop.victim.author,
    }
    assert {("Caisse 7", "open", 1850), ("Caisse 8", "open", 1850)} <= shop.states()
    assert shop.till.report(TODAY).total_minor == 3700


def test_who_wrote_into_whose_chain_needs_a_person(shop):
    shop.intrude("jet", {"code": 5}, seq=2**53 - 10)
    assert any(
        "Caisse 8 wrote into the chain of Caisse 7" in concern for concern in shop.till.status().concerns
    )
    places = {(found.place, found.code) for found in shop.till.verify().findings}
    assert ("Caisse 7", "chain") in places


def test_it_is_not_said_of_a_register_that_there_are_two_of_it(shop):
    shop.intrude("sale", build_sale([WINE], [Payment("card", 1850)]))
    shop.receive([shop.victim.sell()])
    assert not any("two versions" in concern for concern in shop.till.status().concerns)


def test_a_ticket_of_which_another_device_made_a_double_can_be_given_back(shop):
    sold = shop.victim.entries[-1]
    shop.intrude("sale", build_sale([WINE], [Payment("card", 1850)]), num=sold.body["num"])
    back = shop.till.refund(sold.body["num"])
    shop.till.sales()
    assert (back.total_minor, shop.till.replica.queries.refunds_of(sold.link)[0].link) == (-1850, back.link)


def test_a_sale_in_anothers_chain_leaves_the_stock_once(shop):
    shop.till.stock.count({WINE.sku: 10_000})
    shop.intrude("sale", build_sale([WINE], [Payment("card", 1850)]))
    shop.receive([shop.victim.sell()])
    assert [level.quantity for level in shop.till.stock.levels()] == [8000]


def test_a_register_whose_first_entry_has_not_arrived_is_in_the_report_and_not_complete(till):
    owner = MemoryOwner()
    other = owner.enrol("Caisse 7")
    other.sell()
    other.close()
    shop = object.__new__(Shop)
    shop.till = till
    shop.receive([*owner.entries, *other.entries[1:]])
    till.sell(["CM-19"], ["card"])
    till.close_day()
    assert shop.states() == {("Caisse 7", "open", 1850)}
    assert not till.report(TODAY).complete


def test_of_two_tickets_with_one_number_each_can_be_named_by_its_link(shop):
    """As a copied register makes them, once both copies have sold."""
    first = shop.victim.entries[-1]
    copy = MemoryOwner().enrol("Caisse 7", series="01")
    twin = copy.sell(ts_ms=first.body["ts"] + 60_000)
    shop.receive([twin])
    with pytest.raises(UnknownTicket) as refused:
        shop.till.refund(first.body["num"])
    for sale in (first, twin):
        printed = sale.link.hex()[:8]
        assert printed in str(refused.value.hint)
        assert shop.till.refund(printed).refund_of == first.body["num"]


@pytest.mark.parametrize("text", ["0000000", "0" * 8, "0" * 65, "zzzzzzzz"])
def test_what_is_no_link_of_a_ticket_names_none(shop, text):
    with pytest.raises(UnknownTicket):
        shop.till.ticket(text)
