from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.model.arithmetic import apportion, half_up, lines_without_tax, without_tax
from crdtsync.model.entry import Entry
from crdtsync.model.money import format_amount, format_quantity, parse_amount, parse_quantity
from crdtsync.model.ticket import Line, Payment, amount_due, build_sale, due_of, totals_of
from crdtsync.testing.till import MemoryTill

amounts = st.integers(-(10**7), 10**7)
rates = st.sampled_from([0, 210, 550, 1000, 2000, 10_000])
lines = st.builds(
    Line,
    sku=st.just("a"),
    label=st.just("A"),
    unit_price_minor=st.integers(0, 20_000),
    vat_rate=st.sampled_from([210, 550, 1000, 2000]),
    vat_class=st.just("N"),
    quantity_thousandths=st.integers(1, 12).map(lambda count: count * 1000) | st.integers(1, 5000),
)
carts = st.lists(lines, min_size=1, max_size=8)


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_half_up_is_the_nearest_integer(numerator: int, denominator: int) -> None:
    assert abs(2 * (half_up(numerator, denominator) * denominator - numerator)) <= denominator
    assert half_up(-numerator, denominator) == -half_up(numerator, denominator)


@given(st.lists(amounts, min_size=1, max_size=12), rates)
def test_lines_without_tax_add_up_and_are_each_within_a_cent(ttcs: list[int], rate: int) -> None:
    shares = lines_without_tax(ttcs, rate)
    assert sum(shares) == without_tax(sum(ttcs), rate)
    assert all(
        abs(share * (10_000 + rate) - ttc * 10_000) < 10_000 + rate
        for share, ttc in zip(shares, ttcs, strict=True)
    )


@given(st.lists(amounts, min_size=1, max_size=12).filter(sum), rates)
def test_a_refund_mirrors_the_sale(ttcs: list[int], rate: int) -> None:
    mirrored = lines_without_tax([-ttc for ttc in ttcs], rate)
    assert mirrored == [-share for share in lines_without_tax(ttcs, rate)]


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any))
def test_a_discount_that_is_spread_comes_to_the_discount(discount: int, weights: list[int]) -> None:
    parts = apportion(discount, weights)
    assert sum(parts) == discount
    assert all(part >= 0 and (weight or not part) for part, weight in zip(parts, weights, strict=True))


@given(carts, st.data())
def test_a_discount_on_the_ticket_never_exceeds_a_line(cart: list[Line], data: st.DataObject) -> None:
    due = due_of(cart)
    discount = data.draw(st.integers(0, due))
    paid = (Payment("card", due - discount),) if due > discount else ()
    sale = build_sale(cart, paid, ticket_discount_minor=discount)
    assert sale["ttc"] == due - discount
    assert all(line["ttc"] >= 0 for line in sale["lines"])


@given(carts)
def test_totals_add_up(cart: list[Line]) -> None:
    due = due_of(cart)
    sale = build_sale(cart, (Payment("card", due),) if due else ())
    assert sum(rate["ttc"] for rate in sale["vat"]) == sale["ttc"] == amount_due(sale)
    assert sum(rate["ht"] for rate in sale["vat"]) == sum(line["ht"] for line in sale["lines"])
    assert all(rate["ht"] + rate["tva"] == rate["ttc"] for rate in sale["vat"])
    assert totals_of(sale["lines"]) == {name: sale[name] for name in ("lines", "vat", "ttc", "rnd")}


@given(lines, st.integers(0, 300), st.data())
def test_however_a_line_is_refunded_in_parts_they_add_up(
    line: Line, discount: int, data: st.DataObject
) -> None:
    till = MemoryTill()
    discount = min(discount, due_of([line]))
    sale = till.sell(replace(line, discount_minor=discount))
    left = line.quantity_thousandths
    refunds: list[Entry] = []
    while left:
        part = data.draw(st.integers(1, left)) if len(refunds) < 3 else left
        refunds.append(till.refund(sale, {1: part}))
        left -= part
    assert sum(refund.body["ttc"] for refund in refunds) == -sale.body["ttc"]
    assert all(refund.body["ttc"] <= 0 for refund in refunds)
    assert (till.end.gt_real, till.end.gt_abs) == (0, 2 * sale.body["ttc"])


@given(st.integers(-(10**12) + 1, 10**12 - 1))
def test_amounts_are_read_as_they_are_written(amount: int) -> None:
    assert parse_amount(format_amount(amount)) == parse_amount(format_amount(amount, mark=",")) == amount


@given(st.integers(-(10**9) + 1, 10**9 - 1))
def test_quantities_are_read_as_they_are_written(quantity: int) -> None:
    assert parse_quantity(format_quantity(quantity)) == quantity
