from collections import Counter
from random import Random

import pytest

from crdtsync.model.product import check_product, warnings_about
from crdtsync.model.ticket import build_sale
from crdtsync.testing import wine

MIDNIGHT = 1_795_478_400_000


@pytest.fixture(scope="module")
def shelf():
    return wine.products(Random(1), 2000)


def test_the_same_seed_gives_the_same_shop_and_another_seed_another():
    assert wine.products(Random(1), 50) == wine.products(Random(1), 50) != wine.products(Random(2), 50)


def test_every_product_keeps_the_rules_without_a_warning(shelf):
    assert [check_product(product, year=2026) for product in shelf] == shelf
    assert [warning for product in shelf for warning in warnings_about(product)] == []


def test_no_two_products_share_a_sku_or_a_barcode(shelf):
    assert len({product.sku for product in shelf}) == len(shelf)
    assert len({code for product in shelf for code in product.barcodes}) == len(shelf)


def test_barcodes_are_of_a_prefix_for_use_in_one_shop(shelf):
    assert {code[:2] for product in shelf for code in product.barcodes} == {"20"}


def test_most_is_wine_and_some_is_food_at_the_reduced_rate(shelf):
    rates = Counter(product.vat_rate for product in shelf)
    assert 0.9 < sum(product.colour is not None for product in shelf) / len(shelf) < 1
    assert 0 < rates[550] < rates[2000]


def test_what_a_customer_buys_can_be_sold_as_it_is(shelf):
    for cart in wine.carts(Random(3), shelf, 300):
        sale = build_sale(cart.lines, cart.payments)
        assert sum(payment["amt"] for payment in sale["pay"]) == cart.due_minor > 0


def test_customers_pay_in_every_usual_way(shelf):
    means = {tuple(p.means for p in cart.payments) for cart in wine.carts(Random(4), shelf, 500)}
    assert {("card",), ("cash", "change"), ("cash", "card")} <= means


def test_a_day_goes_by_in_order_and_within_opening_hours(shelf):
    day = wine.day(Random(5), shelf, 200, midnight_ms=MIDNIGHT)
    moments = [cart.at_ms for cart in day]
    assert len(day) == 200
    assert moments == sorted(moments)
    assert MIDNIGHT + 10 * 3_600_000 <= moments[0] <= moments[-1] < MIDNIGHT + 21 * 3_600_000


def test_a_few_products_sell_most(shelf):
    sold = Counter(line.sku for cart in wine.carts(Random(6), shelf, 2000) for line in cart.lines)
    top = sum(count for _, count in sold.most_common(len(shelf) // 20))
    assert top > sum(sold.values()) / 4
