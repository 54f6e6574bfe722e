import pytest

from crdtsync.errors import InvalidSale, NotRefundable, UnknownTicket
from crdtsync.ids import Item, entry_record
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.ticket import Payment
from crdtsync.runtime.register.tickets import BasketLine
from crdtsync.testing.till import MemoryTill


@pytest.fixture
def sold(till):
    return till.sell([BasketLine("CM-19", 3000), "TER-01"], ["card"])


def receive(till, entries):
    with till.replica.store.transaction():
        for entry in entries:
            record = entry_record(entry.sealed)
            till.replica.log.append(Item(record, entry.facts.document, entry.link, entry.facts))


def real_total(till):
    return till.x_report().grand_total_minor


def test_a_refund_gives_back_all_that_was_sold(till, sold):
    back = till.refund(sold.number, payments=["card"], reason="corked")
    assert (back.total_minor, back.refund_of, back.reason) == (-6245, sold.number, "corked")
    assert real_total(till) == 0


def test_a_part_comes_back_and_then_the_rest(till, sold):
    part = till.refund(sold.number, lines={1: 1000})
    rest = till.refund(sold.number)
    assert (part.total_minor, rest.total_minor) == (-1850, -4395)


def test_not_more_comes_back_than_was_sold(till, sold):
    till.refund(sold.number, lines={1: 2000})
    before = till.end
    with pytest.raises(NotRefundable):
        till.refund(sold.number, lines={1: 2000})
    assert till.end == before


def test_what_came_back_does_not_come_back_again(till, sold):
    till.refund(sold.number)
    with pytest.raises(NotRefundable):
        till.refund(sold.number)


def test_a_refund_made_by_another_process_a_moment_ago_counts(till, same_till, sold):
    till.sales()
    same_till.refund(sold.number)
    with pytest.raises(NotRefundable):
        till.refund(sold.number)


def test_a_refund_that_the_views_do_not_show_yet_counts(till, same_till, sold):
    till.replica.views.catch_up()
    views = till.replica.views
    same_till.refund(sold.number)
    views.catch_up = lambda: None  # As if the other process had refunded just after.
    with pytest.raises(NotRefundable):
        till.refund(sold.number)


def test_a_strange_refund_from_elsewhere_stops_nobody(till):
    """It names the ticket, and makes no sense; the views do not show it yet."""
    other = MemoryTill("Caisse 2")
    sale = other.sell()
    body = other.refund(sale).body
    odd = read_entry(seal({**body, "ref": [sale.link.hex()]}, other.key))
    receive(till, other.entries[:2])
    till.replica.views.catch_up()
    receive(till, [odd])
    till.replica.views.catch_up = lambda: None
    assert till.refund(sale.body["num"]).total_minor == -1850


@pytest.mark.parametrize("number", ["", "NOPE-26-000001", "1"])
def test_a_ticket_that_nobody_knows_is_not_refunded(till, sold, number):
    with pytest.raises(UnknownTicket):
        till.refund(number)


def test_a_refund_is_not_refunded(till, sold):
    back = till.refund(sold.number)
    with pytest.raises(NotRefundable):
        till.refund(back.number)


@pytest.mark.parametrize("lines", [{9: 1000}, {1: 0}, {1: -1000}, {1: 3001}])
def test_lines_and_quantities_that_were_not_sold_are_refused(till, sold, lines):
    with pytest.raises(NotRefundable):
        till.refund(sold.number, lines=lines)


@pytest.mark.parametrize(
    "payments", [[Payment("card", -1)], [Payment("card", 6245)], ["gold"], ["cash", "card"]]
)
def test_money_goes_back_exactly(till, sold, payments):
    with pytest.raises(InvalidSale):
        till.refund(sold.number, payments=payments)


def test_a_request_id_of_one_refund_does_not_pass_for_another(till, sold):
    other = till.sell(["CM-19"], ["card"])
    till.refund(sold.number, request_id="return-1")
    with pytest.raises(InvalidSale):
        till.refund(other.number, request_id="return-1")
    assert till.refund(other.number, request_id="return-2").total_minor == -1850


def test_the_same_request_refunds_once(till, sold):
    first = till.refund(sold.number, request_id="return-1")
    again = till.refund(sold.number, request_id="return-1")
    assert (again.link, again.again) == (first.link, True)


def test_a_ticket_of_another_register_of_the_shop_is_refunded_by_its_number(till):
    other = MemoryTill("Caisse 2")
    sale = other.sell()
    receive(till, other.entries)
    back = till.refund(sale.body["num"])
    assert (back.total_minor, back.device) == (-sale.body["ttc"], till.identity.device)


def test_an_abandoned_sale_leaves_a_trace_and_moves_no_total(till):
    dropped = till.abandon(["CM-19"], reason="customer left")
    figures = till.x_report()
    assert (dropped.number, dropped.total_minor) == ("", 1850)
    assert (figures.abandons, figures.total_minor, figures.grand_total_minor) == (1, 0, 0)
