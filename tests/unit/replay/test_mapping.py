"""Baskets of the source become tickets that come to the same, to the cent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.replay.mapping import label_of, lines_of, payments_of, vat_of
from benchmarks.replay.source import Basket, SourceLine, cents
from crdtsync.model.ticket import amount_due, build_sale, with_change

cent = st.integers(0, 100_000)
source_lines = st.builds(
    SourceLine,
    product_id=st.integers(25_000, 18_000_000),
    quantity=st.integers(0, 90_000),
    sales_value=cent,
    retail_disc=cent,
    coupon_disc=st.integers(0, 6_000),
    coupon_match_disc=cent,
    department=st.sampled_from(["GROCERY", "SPIRITS", "FUEL", "CHARITABLE CONT", "", "NEVER HEARD OF"]),
    product_type=st.sampled_from(["GASOLINE-REG UNLEADED", "SOUR CREAMS", "ELECTRONIC GIFT CARDS", ""]),
    package_size=st.sampled_from(["8 OZ", ""]),
)
baskets = st.builds(
    Basket, st.integers(1, 10**11), st.just(0), st.lists(source_lines, min_size=1, max_size=12).map(tuple)
)


def line(**facts):
    plain = {"product_id": 995242, "quantity": 1, "sales_value": 189, "retail_disc": 0, "coupon_disc": 0}
    texts = {"coupon_match_disc": 0, "department": "GROCERY", "product_type": "MILK", "package_size": "1 GA"}
    return SourceLine(**(plain | texts | facts))


def sale(basket):
    lines, due = lines_of(basket), sum(one.sales_value for one in basket.lines)
    return build_sale(lines, with_change(due, payments_of(basket)))


def one_line(**facts):
    return sale(Basket(7, 0, (line(**facts),)))["lines"][0]


@given(baskets)
def test_every_basket_is_a_ticket_whose_lines_come_to_what_the_source_says(basket):
    ticket = sale(basket)
    assert [one["ttc"] for one in ticket["lines"]] == [one.sales_value for one in basket.lines]
    assert amount_due(ticket) == sum(one.sales_value for one in basket.lines)


@given(baskets)
def test_coupons_pay_no_more_than_the_ticket_comes_to(basket):
    paid = sum(payment["amt"] for payment in sale(basket)["pay"] if payment["m"] == "voucher")
    coupons = sum(one.coupon_disc for one in basket.lines)
    assert paid == min(coupons, sum(one.sales_value for one in basket.lines))


def test_a_discount_of_the_shop_stands_beside_the_shelf_price():
    sold = one_line(sales_value=100, retail_disc=60, coupon_match_disc=20)
    assert (sold["pu"], sold["disc"]) == (180, 80)


def test_a_price_that_no_unit_price_gives_is_rounded_up_and_the_rest_given_back():
    sold = one_line(quantity=3, sales_value=100)
    assert (sold["qty"], sold["pu"], sold["disc"]) == (3000, 34, 2)


def test_a_quantity_of_nothing_is_one_piece_at_what_the_line_says():
    given_away, odd = one_line(quantity=0, sales_value=0), one_line(quantity=0, sales_value=49)
    assert [(sold["qty"], sold["pu"]) for sold in (given_away, odd)] == [(1000, 0), (1000, 49)]


def test_gasoline_is_measured_and_prepaid_gasoline_is_not():
    measured = one_line(product_type="GASOLINE-REG UNLEADED", quantity=10_004, sales_value=2404)
    prepaid = one_line(product_type="GASOLINE-REG UNLEADED", quantity=1, sales_value=2000)
    assert [(sold["qty"], sold["unit"]) for sold in (measured, prepaid)] == [(10_004, "gal"), (1000, "pce")]


@pytest.mark.parametrize(
    ("basket", "means"),
    [(10, ["cash", "change"]), (13, ["cheque"]), (17, ["card"]), (12, ["cash", "change"])],
)
def test_the_means_of_payment_follow_from_the_basket(basket, means):
    assert [payment["m"] for payment in sale(Basket(basket, 0, (line(),)))["pay"]] == means


def test_a_basket_of_gifts_is_paid_with_nothing():
    assert sale(Basket(10, 0, (line(sales_value=0, coupon_disc=100),)))["pay"] == []


def test_gift_cards_are_outside_the_scope_of_vat_whatever_their_department():
    assert vat_of("MISCELLANEOUS", "MASTERCARD GIFT CARD") == (0, "O")


def test_what_the_source_does_not_know_still_has_a_rate_and_a_label():
    unknown = line(department="", product_type="", package_size="")
    assert (vat_of("", ""), label_of(unknown)) == ((2000, "N"), "PRODUCT 995242")


@pytest.mark.parametrize(("amount", "exact"), [(3.4699999999999998, 347), (0.0, 0), (840.0, 84_000)])
def test_amounts_of_the_source_are_cents_in_spite_of_their_floats(amount, exact):
    assert cents(amount) == exact


@pytest.mark.parametrize("amount", [1.001, -0.01, 3.476])
def test_amounts_that_are_no_cents_are_refused(amount):
    with pytest.raises(ValueError, match="not an amount"):
        cents(amount)


def test_a_basket_survives_the_file_of_its_register():
    basket = Basket(31198483312, 1_483_286_006_000, (line(), line(quantity=0)))
    assert Basket.from_json(basket.to_json()) == basket
