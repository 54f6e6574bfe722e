"""Lines and tickets at the edge of what makes sense, and beyond it."""

from dataclasses import replace
from typing import Any

import pytest

from crdtsync.errors import InvalidAmount, InvalidSale
from crdtsync.model.entry import ENTRY_BYTES_MAX
from crdtsync.model.ticket import (
    LINES_MAX,
    Line,
    Payment,
    build_sale,
    due_of,
)
from crdtsync.testing.till import WINE, MemoryTill, in_cash
from tests.unit.model.test_ticket import CARD, paid_by_card

BAD_LINES: list[tuple[dict[str, Any], str]] = [
    ({"vat_class": "X"}, "no VAT class 'X'"),
    ({"vat_class": "O"}, "no VAT class 'O'"),
    ({"unit_price_minor": -1}, "a price below zero"),
    ({"quantity_thousandths": 0}, "no quantity"),
    ({"quantity_thousandths": -1000}, "goes back by a refund"),
    ({"quantity_thousandths": -1}, "goes back by a refund"),
    ({"discount_minor": -1}, "a discount is at least nothing"),
    ({"discount_minor": 1851}, "at most the line"),
    ({"sku": ""}, "a SKU is 1 to 64"),
    ({"sku": "x" * 65}, "a SKU is 1 to 64"),
    ({"label": ""}, "a label is 1 to 128"),
    ({"label": "x" * 129}, "a label is 1 to 128"),
    ({"label": "a\nb"}, "a label is 1 to 128"),
    ({"unit": ""}, "a unit is 1 to 16"),
    ({"unit": "x" * 17}, "a unit is 1 to 16"),
    ({"extra": {"label": "other", "vat": 5, "vol": 7}}, r"fields given twice: \['label', 'vat'\]"),
]


@pytest.mark.parametrize(("change", "message"), BAD_LINES)
def test_a_line_that_makes_no_sense_is_no_sale(change: dict[str, Any], message: str) -> None:
    line = replace(WINE, **change)
    with pytest.raises(InvalidSale, match=message):
        build_sale([line], in_cash(due_of([line])))


GOOD_LINES: list[dict[str, Any]] = [
    {"sku": "x" * 64, "label": "x" * 128, "unit": "x" * 16},
    {"unit_price_minor": 0},
    {"unit_price_minor": 1},
    {"unit_price_minor": 10**12 - 1},
    {"quantity_thousandths": 1},
    {"discount_minor": 1850},
    {"discount_minor": 1},
    {"vat_rate": 0, "vat_class": "Z"},
    {"vat_rate": 0, "vat_class": "N"},
    {"vat_rate": 10_000, "vat_class": "S"},
    {"vat_rate": 1000, "vat_class": "R2"},
    {"vat_rate": 0, "vat_class": "O", "quantity_thousandths": -1},
]


@pytest.mark.parametrize("change", GOOD_LINES)
def test_a_line_at_the_edge_of_sense_is_sold(change: dict[str, Any]) -> None:
    line = replace(WINE, **change)
    [written] = build_sale([line], in_cash(due_of([line])))["lines"]
    names = {"sku": "sku", "label": "label", "unit": "unit", "unit_price_minor": "pu", "vat_class": "vc"}
    names |= {"quantity_thousandths": "qty", "discount_minor": "disc", "vat_rate": "vat"}
    assert {field: written[names[field]] for field in change} == change


@pytest.mark.parametrize(
    "change",
    [
        {"unit_price_minor": 10**12},
        {"quantity_thousandths": 10**9},
        {"vat_rate": 10001},
        {"discount_minor": 10**12},
        {"unit_price_minor": 10**11, "quantity_thousandths": 20000},
        {"unit_price_minor": 10**12, "quantity_thousandths": 1},
        {"quantity_thousandths": 10**9, "unit_price_minor": 0},
    ],
)
def test_a_line_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidAmount):
        build_sale([replace(WINE, **change)], [])


def test_a_ticket_out_of_range_is_refused() -> None:
    line = replace(WINE, unit_price_minor=9 * 10**11)
    with pytest.raises(InvalidAmount):
        build_sale([line, line], [Payment(CARD, 9 * 10**11), Payment(CARD, 9 * 10**11)])


@pytest.mark.parametrize("lines", [[], [WINE] * (LINES_MAX + 1)])
def test_a_sale_has_some_lines_and_not_too_many(lines: list[Line]) -> None:
    with pytest.raises(InvalidSale, match="lines"):
        build_sale(lines, [])


def test_a_ticket_of_many_lines_is_sold() -> None:
    lines = [WINE] * LINES_MAX
    assert build_sale(lines, paid_by_card(*lines))["ttc"] == LINES_MAX * 1850


def test_two_hundred_lines_are_the_most() -> None:
    assert len(build_sale([WINE] * 200, paid_by_card(*[WINE] * 200))["lines"]) == 200
    with pytest.raises(InvalidSale, match="1 to 200 lines"):
        build_sale([WINE] * 201, [])


def test_the_longest_ticket_that_is_sold_fits_one_entry() -> None:
    """Thirty-one lines, of which the last says more and more of its bottle."""
    till = MemoryTill()

    def cart(characters: int) -> list[Line]:
        return [*[WINE] * 30, replace(WINE, extra={"lot": "x" * characters})]

    least, most = 0, ENTRY_BYTES_MAX
    while most - least > 1:
        middle = (least + most) // 2
        try:
            build_sale(cart(middle), paid_by_card(*cart(0)))
            least = middle
        except InvalidSale:
            most = middle
    sold = till.sell(*cart(least), paid=paid_by_card(*cart(0)))
    assert ENTRY_BYTES_MAX - 5000 < len(sold.sealed) <= ENTRY_BYTES_MAX


def test_a_ticket_that_would_not_fit_one_entry_is_refused() -> None:
    lines = [replace(WINE, label="é" * 128, sku="s" * 64)] * LINES_MAX
    with pytest.raises(InvalidSale, match="too long"):
        build_sale(lines, paid_by_card(*lines))
