"""What the kit draws is what a register takes, and what it draws in all is what a shop meets with."""

from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from crdtsync import Register
from crdtsync.errors import InvalidSale
from crdtsync.model.product import Product, check_product
from crdtsync.model.ticket import build_sale
from crdtsync.model.verify import verify_chain
from crdtsync.testing.acts import CloseDay, OpenDay, Refund, Sale, do, stock_shelf
from crdtsync.testing.clock import DAY_MS, ManualClock, seeded_bytes
from crdtsync.testing.simulation.plan import FAULTS
from crdtsync.testing.simulation.run import play
from crdtsync.testing.strategies.shop import carts, days, histories, products, shelves
from crdtsync.testing.till import MemoryTill


def drawn(strategy, condition):
    """One that is so, as it is drawn; not made smaller."""
    return find(strategy, condition, settings=settings(max_examples=500, phases=[Phase.generate]))


SMALL = max(5, settings.default.max_examples // 5)


@given(products())
def test_a_product_is_one_that_the_catalogue_takes(product):
    assert check_product(product, year=2026) == product


@given(shelves(max_size=5))
def test_no_two_products_of_a_shelf_share_a_sku_or_a_barcode(shelf):
    codes = [code for product in shelf for code in (product.sku, *product.barcodes)]
    assert len(set(codes)) == len(codes)


@given(st.data())
def test_a_cart_is_one_that_can_be_sold(data):
    cart = data.draw(carts(data.draw(shelves())))
    till = MemoryTill()
    sale = build_sale(cart.lines, cart.payments, ticket_discount_minor=cart.ticket_discount_minor)
    till.append("sale", sale)
    assert sum(payment.amount_minor for payment in cart.payments) == cart.due_minor
    assert list(verify_chain(till.end.chain, till.sealed)) == []


@pytest.mark.parametrize(
    "what",
    [
        lambda cart: cart.ticket_discount_minor > 0,
        lambda cart: any(line.discount_minor for line in cart.lines),
        lambda cart: any(line.quantity_thousandths % 1000 for line in cart.lines),
        lambda cart: any(payment.means == "change" for payment in cart.payments),
        lambda cart: len(cart.payments) == 2 and cart.payments[0].means == "voucher",
        lambda cart: cart.due_minor < 0,
        lambda cart: cart.payments == () and cart.due_minor == 0,
    ],
    ids=[
        "ticket discount",
        "line discount",
        "by weight",
        "change",
        "in two parts",
        "money back",
        "nothing due",
    ],
)
@pytest.mark.slow
def test_carts_of_every_sort_are_drawn(what):
    assert drawn(shelves().flatmap(carts), what)


@settings(max_examples=SMALL, phases=[Phase.generate])
@given(st.data())
def test_whatever_people_do_in_two_days_a_register_verifies(data):
    shelf = data.draw(shelves())
    clock = ManualClock()
    with (
        TemporaryDirectory() as folder,
        Register.init(folder, name="Caisse 1", clock=clock, random_bytes=seeded_bytes(1)) as till,
    ):
        stock_shelf(till, shelf)
        for _ in range(2):
            for act in data.draw(days(shelf, max_acts=6)):
                clock.pass_ms(60_000)
                do(till, act)
            clock.pass_ms(DAY_MS)
        assert till.verify().findings == ()


def test_a_cart_that_no_till_can_sell_is_not_passed_over(tmp_path):
    shelf = (Product("A", "Miel", price_minor=500),)
    cart = drawn(carts(shelf), lambda cart: cart.due_minor > 0)
    unpaid = type(cart)(0, cart.lines, (), cart.due_minor)
    with Register.init(tmp_path, name="Caisse 1", clock=ManualClock()) as till, pytest.raises(InvalidSale):
        do(till, Sale(unpaid))


def test_what_makes_no_sense_does_not_happen(tmp_path):
    with Register.init(tmp_path, name="Caisse 1", clock=ManualClock()) as till:
        assert [do(till, act) for act in (Refund(), OpenDay(), OpenDay(), CloseDay(), CloseDay())] == [
            None
        ] * 5
        assert till.sales() == []


@pytest.mark.slow
@settings(max_examples=SMALL, phases=[Phase.generate])
@given(histories(days=2, max_actions=20))
def test_a_history_of_the_whole_shop_breaks_no_promise(history):
    assert play(history).failure == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_histories_of_every_fault_are_drawn(fault):
    assert drawn(
        histories(faults=[fault]), lambda history: fault in {action.what for action in history.actions}
    )


@given(histories(faults=[]))
def test_a_shop_without_faults_has_none(history):
    assert not {action.what for action in history.actions} & set(FAULTS)
