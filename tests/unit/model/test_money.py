from typing import Any

import pytest

from crdtsync.errors import InvalidAmount
from crdtsync.model.money import (
    AMOUNT_MINOR_MAX,
    QUANTITY_MAX,
    check_amount,
    check_quantity,
    check_rate,
    format_amount,
    format_quantity,
    format_rate,
    parse_amount,
    parse_quantity,
    parse_rate,
)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("18.50", 1850),
        ("18,50", 1850),
        ("18,5", 1850),
        ("18", 1800),
        ("0.07", 7),
        ("-1 234,50", -123450),
        ("+3", 300),
        (" 2.00 ", 200),
        ("12\u202f345,60", 1234560),
        ("1\u00a0000\u00a0000", 100000000),
        ("1.500", 150),
        ("9999999999.99", AMOUNT_MINOR_MAX),
    ],
)
def test_amounts_are_read_to_the_cent(text: str, minor: int) -> None:
    assert parse_amount(text) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1.2.3",
        "1,2,3",
        "1e3",
        "18.505",
        ".50",
        "5.",
        "1 8.50",
        "--1",
        "٣",
        "10000000000",
        "NaN",
        "1\n",
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        parse_amount(text)


def test_currencies_have_their_own_decimals() -> None:
    assert (parse_amount("500", decimals=0), parse_amount("1.234", decimals=3)) == (500, 1234)
    assert (format_amount(500, decimals=0), format_amount(1234, decimals=3)) == ("500", "1.234")


@pytest.mark.parametrize(("text", "thousandths"), [("2", 2000), ("0,125", 125), ("-1.5", -1500)])
def test_quantities_are_read_in_thousandths(text: str, thousandths: int) -> None:
    assert parse_quantity(text) == thousandths


@pytest.mark.parametrize(
    ("text", "rate"), [("20", 2000), ("5,5 %", 550), ("2.1%", 210), ("0", 0), ("100", 10000)]
)
def test_rates_are_read_in_percent(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["100.01", "-1", "20 % %"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        parse_rate(text)


@pytest.mark.parametrize("check", [check_amount, check_quantity, check_rate])
@pytest.mark.parametrize("value", [10**13, -(10**13), True, 1.0, "1"])
def test_what_is_out_of_range_is_refused(check: object, value: object) -> None:
    with pytest.raises(InvalidAmount):
        check(value)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (check_amount, 10**12, r"the amount 10000000000\.00 is out of range"),
        (check_amount, 1.5, r"the amount 1\.5 is out of range"),
        (check_amount, 10**40, f"the amount {10**40} is out of range"),
        (check_quantity, 10**9, r"the quantity 1000000\.000 is out of range"),
        (check_rate, 10_001, r"the VAT rate 100\.01 is out of range"),
    ],
)
def test_a_refusal_says_what_was_out_of_range(check: Any, value: object, message: str) -> None:
    with pytest.raises(InvalidAmount, match=message):
        check(value)


@pytest.mark.parametrize("check", [check_amount, check_quantity, check_rate])
def test_a_number_of_more_digits_than_python_writes_is_refused_too(check: Any) -> None:
    for value in (10**5000, -(10**5000), [10**5000]):
        with pytest.raises(InvalidAmount, match=r"(int|list) of too many digits is out of range"):
            check(value)


def test_the_limits_are_in_range() -> None:
    assert (AMOUNT_MINOR_MAX, QUANTITY_MAX, check_rate(0), check_rate(10_000)) == (
        999_999_999_999,
        999_999_999,
        0,
        10_000,
    )
    assert check_amount(-AMOUNT_MINOR_MAX) == -AMOUNT_MINOR_MAX
    assert check_quantity(QUANTITY_MAX) == QUANTITY_MAX


@pytest.mark.parametrize(("minor", "text"), [(0, "0.00"), (7, "0.07"), (-5, "-0.05"), (-123450, "-1234.50")])
def test_amounts_are_written_with_all_their_decimals(minor: int, text: str) -> None:
    assert format_amount(minor) == text
    assert format_amount(minor, mark=",") == text.replace(".", ",")


@pytest.mark.parametrize(
    ("thousandths", "text"), [(2000, "2"), (125, "0.125"), (-1500, "-1.5"), (10000, "10"), (0, "0")]
)
def test_quantities_are_written_short(thousandths: int, text: str) -> None:
    assert format_quantity(thousandths) == text


@pytest.mark.parametrize(("rate", "text"), [(2000, "20"), (550, "5.5"), (0, "0"), (10000, "100")])
def test_rates_are_written_short(rate: int, text: str) -> None:
    assert format_rate(rate) == text
