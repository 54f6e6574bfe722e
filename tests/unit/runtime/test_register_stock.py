import pytest

from crdtsync.errors import InvalidAmount, InvalidSale
from crdtsync.ids import Item, entry_record
from crdtsync.model.ticket import Line
from crdtsync.runtime.register.tickets import BasketLine
from crdtsync.testing.till import MemoryTill


def levels(till):
    return {level.sku: level.quantity for level in till.stock.levels()}


def receive(till, entry):
    with till.replica.store.transaction():
        till.replica.log.append(
            Item(entry_record(entry.sealed), entry.facts.document, entry.link, entry.facts)
        )


def test_what_is_delivered_comes_and_what_is_sold_goes(till):
    till.stock.add("CM-19", 12000, reference="BL-4711")
    till.sell([BasketLine("CM-19", 2000), "TER-01"], ["card"])
    till.stock.add("CM-19", -1000, why="breakage")
    assert levels(till) == {"CM-19": 9000, "TER-01": -1000}


def test_what_comes_back_is_there_again(till):
    till.stock.add("CM-19", 3000)
    till.refund(till.sell(["CM-19"], ["card"]).number)
    assert till.stock.level("CM-19").quantity == 3000


def test_a_count_replaces_what_was_computed_and_sales_go_on_from_there(till):
    till.stock.add("CM-19", 12000)
    till.sell(["CM-19"], ["card"])
    till.stock.count({"CM-19": 10000})
    till.sell(["CM-19"], ["card"])
    assert levels(till) == {"CM-19": 9000}
    assert till.stock.level("CM-19").counted_at_ms is not None


def test_a_sale_made_elsewhere_before_the_count_that_arrives_later_is_not_subtracted_again(till):
    other = MemoryTill("Caisse 2")
    first = other.sell(Line("CM-19", "Crozes", 1850, 2000))
    second = other.sell(Line("CM-19", "Crozes", 1850, 2000))
    after = other.sell(Line("CM-19", "Crozes", 1850, 2000))
    receive(till, other.entries[0])
    receive(till, second)
    till.stock.count({"CM-19": 5000})
    receive(till, first)
    receive(till, after)
    assert till.stock.level("CM-19").quantity == 4000


def test_one_product_and_all_products_give_the_same_level(till):
    till.stock.add("CM-19", 12000)
    till.stock.count({"CM-19": 11000, "TER-01": 4000})
    till.sell(["CM-19", "TER-01"], ["card"])
    assert [till.stock.level(sku) for sku in ("CM-19", "TER-01")] == till.stock.levels()


def test_a_delivery_repeated_with_its_request_id_comes_once(till):
    for _ in range(2):
        till.stock.add("CM-19", 6000, request_id="BL-4711/1")
    assert levels(till) == {"CM-19": 6000}


def test_an_abandoned_sale_moves_nothing(till):
    till.abandon(["CM-19"])
    assert levels(till) == {}


@pytest.mark.parametrize(("quantity", "why"), [(0, "delivery"), (1000, "magic")])
def test_a_movement_without_quantity_or_reason_is_refused(till, quantity, why):
    with pytest.raises(InvalidSale):
        till.stock.add("CM-19", quantity, why=why)


def test_a_shelf_does_not_hold_less_than_nothing(till):
    with pytest.raises(InvalidSale):
        till.stock.count({"CM-19": -1})


def test_quantities_beyond_all_reason_are_refused(till):
    with pytest.raises(InvalidAmount):
        till.stock.add("CM-19", 10**12)
