"""What a till is asked to record: it makes a ticket that verifies, or is refused with an error of ours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import CrdtsyncError, InvalidAmount, InvalidSale, NotRefundable, RecordError, UsageError
from crdtsync.model.chain import ChainHead, next_body
from crdtsync.model.closing import build_close
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.entry import ENTRY_BYTES_MAX
from crdtsync.model.money import AMOUNT_MINOR_MAX, QUANTITY_MAX
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.model.sealed import seal
from crdtsync.model.ticket import (
    LINES_MAX,
    Line,
    Payment,
    amount_due,
    build_abandon,
    build_refund,
    build_sale,
    due_of,
    refund_lines,
    totals_of,
    with_change,
)
from crdtsync.model.verify import verify_chain
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryTill, in_cash

whole = (
    st.integers(-3000, 3000)
    | st.integers()
    | st.sampled_from(
        [
            0,
            -1,
            AMOUNT_MINOR_MAX,
            AMOUNT_MINOR_MAX + 1,
            QUANTITY_MAX,
            QUANTITY_MAX + 1,
            2**53,
            -(2**53),
            2**63,
            10**40,
        ]
    )
)
amounts = st.integers(0, 3000) | whole
quantities = st.sampled_from([1000, 2000, 167, 1]) | whole
words = st.sampled_from(
    ["é" * 128, "e\u0301", "x" * 129, "", "\0", "\ud800", "\u2028", "a\nb", "🍷"]
) | st.text(max_size=9)
sane = st.sampled_from([WINE, TERRINE, DEPOSIT, replace(WINE, quantity_thousandths=167)])
ODD: dict[str, st.SearchStrategy[Any]] = {
    "sku": words,
    "label": words,
    "unit": words,
    "unit_price_minor": amounts,
    "vat_rate": whole,
    "vat_class": st.sampled_from(["N", "R1", "O", "Z", "", "X"]),
    "quantity_thousandths": quantities,
    "discount_minor": amounts,
    "extra": st.sampled_from([{}, {"vol": 750}, {"ttc": 1}, {"vol": 2**60}, {"vol": 1.5}, {"é": 1}]),
}


@st.composite
def odd_lines(draw: st.DrawFn) -> Line:
    """A line of the shop with one thing about it that somebody mistyped."""
    field = draw(st.sampled_from(sorted(ODD)))
    return replace(draw(sane), **{field: draw(ODD[field])})


carts = st.lists(sane | odd_lines(), max_size=4)


def recorded(till: MemoryTill, kind: str, payload: dict[str, Any]) -> bool:
    """Whether a payload can be sealed; then the chain has no defect."""
    body = next_body(till.end, kind, payload, till.moment)
    try:
        seal(body, till.key)
    except RecordError:
        return False
    till.seal(body)
    assert list(verify_chain(till.end.chain, till.sealed)) == []
    return True


odd_payments = st.lists(st.tuples(st.sampled_from(["cash", "card", "change", "shells"]), whole), max_size=2)


@given(carts, st.just(0) | amounts, st.none() | odd_payments)
def test_a_sale_verifies_or_is_refused(
    cart: list[Line], discount: int, paid: list[tuple[str, int]] | None
) -> None:
    due = due_of(cart) - discount
    payments = in_cash(due) if paid is None else [Payment(*payment) for payment in paid]
    try:
        sale = build_sale(cart, with_change(due, payments), ticket_discount_minor=discount)
    except (InvalidSale, InvalidAmount):
        return
    recorded(MemoryTill(), "sale", sale)


@given(carts, st.just(0) | amounts, st.just("parti") | words)
def test_an_abandoned_sale_verifies_or_is_refused(cart: list[Line], discount: int, reason: str) -> None:
    try:
        dropped = build_abandon(cart, reason=reason, ticket_discount_minor=discount)
    except UsageError:
        return
    recorded(MemoryTill(), "abandon", dropped)


@given(
    st.none() | st.dictionaries(st.integers(0, 5), quantities, max_size=3),
    st.none() | odd_payments,
    st.just("retour") | words,
)
def test_a_refund_verifies_or_is_refused(
    wanted: dict[int, int] | None, paid: list[tuple[str, int]] | None, reason: str
) -> None:
    till = MemoryTill()
    bottles = replace(WINE, quantity_thousandths=6000, discount_minor=7)
    sale = till.sell(bottles, TERRINE, DEPOSIT, replace(DEPOSIT, quantity_thousandths=-2000))
    for _ in range(2):
        try:
            due = amount_due(totals_of(refund_lines(sale, till.entries, wanted)))
            payments = in_cash(due) if paid is None else [Payment(*payment) for payment in paid]
            refund = build_refund(sale, till.entries, payments, reason=reason, quantities=wanted)
        except (NotRefundable, InvalidSale, InvalidAmount):
            return
        assert recorded(till, "refund", refund)


@given(whole, st.sampled_from(["in", "out", "deposit"]), words, st.none() | whole)
def test_the_drawer_takes_an_amount_or_refuses_it(
    amount: int, what: Any, reason: str, counted: int | None
) -> None:
    till = MemoryTill()
    makers: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("open", lambda: build_open(amount)),
        ("cash", lambda: build_cash(what, amount, reason=reason)),
        ("close", lambda: build_close(till.end, counted_minor=counted)),
    ]
    for kind, make in makers:
        try:
            payload = make()
        except UsageError:
            continue
        assert recorded(till, kind, payload)


@given(
    st.lists(st.tuples(words, quantities, st.sampled_from(["delivery", "because"])), max_size=3),
    st.integers(),
)
def test_a_movement_or_a_count_is_recorded_or_refused(moved: Sequence[tuple[str, int, str]], n: int) -> None:
    till = MemoryTill()
    makers: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("move", lambda: build_move([Moved(*line) for line in moved])),
        (
            "count",
            lambda: build_count({sku: quantity for sku, quantity, _ in moved}, cut={till.end.chain: n}),
        ),
    ]
    for kind, make in makers:
        try:
            payload = make()
        except UsageError:
            continue
        assert recorded(till, kind, payload) or abs(n) >= 2**53


@pytest.mark.parametrize("count", [1, LINES_MAX, LINES_MAX + 1, 5000])
def test_a_ticket_has_two_hundred_lines_at_most(count: int) -> None:
    cart = [WINE] * count
    if count > LINES_MAX:
        with pytest.raises(InvalidSale, match="lines"):
            build_sale(cart, in_cash(due_of(cart)))
        return
    till = MemoryTill()
    assert recorded(till, "sale", build_sale(cart, in_cash(due_of(cart))))
    assert len(till.sealed[-1]) <= ENTRY_BYTES_MAX


def test_grand_totals_beyond_what_json_carries_are_refused_and_not_rounded() -> None:
    till = MemoryTill()
    most = 2**53 - 1
    head: ChainHead = replace(till.end, gt_real=most - 1850, gt_abs=most - 1850)
    sale = build_sale([WINE], in_cash(1850))
    assert seal(next_body(head, "sale", sale, till.moment), till.key)
    with pytest.raises(CrdtsyncError):
        seal(next_body(replace(head, gt_abs=most), "sale", sale, till.moment), till.key)
