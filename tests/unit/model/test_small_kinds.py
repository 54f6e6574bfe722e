"""Drawer, stock movements and technical events."""

from typing import Any

import pytest

from crdtsync.errors import InvalidAmount, InvalidSale
from crdtsync.model import jet
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.movement import Moved, build_count, build_move


def test_opening_puts_the_float_into_the_drawer() -> None:
    assert build_open(15000) == {"amt": 15000}


@pytest.mark.parametrize(("what", "amount"), [("in", 500), ("out", -500), ("deposit", -500)])
def test_what_is_taken_out_is_negative(what: Any, amount: int) -> None:
    assert build_cash(what, 500, reason="monnaie") == {"what": what, "amt": amount, "reason": "monnaie"}


def test_a_drawer_may_be_opened_empty_and_moved_by_a_cent() -> None:
    assert (build_open(0)["amt"], build_cash("in", 1, reason="x")["amt"]) == (0, 1)


@pytest.mark.parametrize("amount", [-1, 10**12])
def test_a_float_is_an_amount(amount: int) -> None:
    with pytest.raises(InvalidAmount):
        build_open(amount)


@pytest.mark.parametrize("amount", [0, -5, 10**12])
def test_cash_moved_is_more_than_nothing(amount: int) -> None:
    with pytest.raises(InvalidAmount):
        build_cash("in", amount, reason="x")


@pytest.mark.parametrize("reason", ["", "x" * 201])
def test_cash_is_moved_for_a_reason(reason: str) -> None:
    with pytest.raises(InvalidSale, match="the reason is 1 to 200"):
        build_cash("in", 5, reason=reason)
    assert build_cash("in", 5, reason="x" * 200)["reason"] == "x" * 200


def test_a_movement_says_what_came_and_why() -> None:
    lines = [Moved("cm-2019-75", 12000, "delivery", "BL 4711"), Moved("ter-01", -1000, "breakage")]
    assert build_move(lines) == {
        "lines": [
            {"sku": "cm-2019-75", "qty": 12000, "why": "delivery", "ref": "BL 4711"},
            {"sku": "ter-01", "qty": -1000, "why": "breakage"},
        ]
    }


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [Moved("a", 0, "other")],
        [Moved("a", 1, "because")],
        [Moved("", 1, "other")],
        [Moved("a", 1, "other")] * 201,
    ],
)
def test_a_movement_that_makes_no_sense_is_refused(lines: list[Moved]) -> None:
    with pytest.raises(InvalidSale):
        build_move(lines)


@pytest.mark.parametrize(
    "why", ["delivery", "supplier-return", "breakage", "corked", "tasting", "transfer", "other"]
)
def test_goods_move_for_one_of_the_reasons_of_the_trade(why: str) -> None:
    assert build_move([Moved("x" * 64, -1, why, "y" * 64)])["lines"] == [
        {"sku": "x" * 64, "qty": -1, "why": why, "ref": "y" * 64}
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (Moved("x" * 65, 1, "other"), "a SKU is 1 to 64"),
        (Moved("x", 1, "other", "y" * 65), "a reference is 1 to 64"),
        (Moved("x", 1, "stolen"), "one of the reasons delivery, "),
    ],
)
def test_a_movement_says_what_is_wrong_with_it(line: Moved, message: str) -> None:
    with pytest.raises(InvalidSale, match=message):
        build_move([line])


def test_two_hundred_products_are_moved_or_counted_at_once() -> None:
    assert len(build_move([Moved("a", 1, "other")] * 200)["lines"]) == 200
    assert len(build_count({f"{n:03}": 1 for n in range(200)}, cut={})["lines"]) == 200
    with pytest.raises(InvalidSale, match="1 to 200 lines"):
        build_count({f"{n:03}": 1 for n in range(201)}, cut={})
    with pytest.raises(InvalidSale, match="a SKU is 1 to 64"):
        build_count({"x" * 65: 1}, cut={})


def test_a_count_says_what_lay_there_and_what_it_includes() -> None:
    assert build_count({"b": 0, "a": 1500}, cut={b"\1" * 32: 7}) == {
        "lines": [{"sku": "a", "qty": 1500}, {"sku": "b", "qty": 0}],
        "cut": {"01" * 32: 7},
    }


@pytest.mark.parametrize("quantities", [{}, {"a": -1}, {"": 1}])
def test_a_count_that_makes_no_sense_is_refused(quantities: dict[str, int]) -> None:
    with pytest.raises(InvalidSale):
        build_count(quantities, cut={})


def test_a_quantity_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidAmount):
        build_count({"a": 10**9}, cut={})
    with pytest.raises(InvalidAmount):
        build_move([Moved("a", 10**9, "other")])


def test_a_technical_event_has_a_code_and_data() -> None:
    assert jet.build_jet(jet.START) == {"code": 80, "data": {}}
    assert jet.build_jet(jet.FORK, {"n": 5}) == {"code": 1004, "data": {"n": 5}}


@pytest.mark.parametrize("code", [0, -1, True, "80"])
def test_what_is_no_code_is_refused(code: Any) -> None:
    with pytest.raises(ValueError, match="code"):
        jet.build_jet(code)


def test_every_code_of_ours_is_explained_in_both_languages() -> None:
    codes = {value for name, value in vars(jet).items() if name.isupper() and type(value) is int}
    assert codes <= jet.LABELS.keys()
    assert all(english and french for english, french in jet.LABELS.values())
