import pytest

from crdtsync.model.arithmetic import (
    apportion,
    half_up,
    line_gross,
    lines_without_tax,
    refund_share,
    without_tax,
)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 2, 3), (-5, 2, -3), (4, 3, 1), (-4, 3, -1), (5, 3, 2), (0, 7, 0), (7, 7, 1), (1, 2, 1), (-1, 2, -1)],
)
def test_halves_are_rounded_away_from_zero(numerator: int, denominator: int, expected: int) -> None:
    assert half_up(numerator, denominator) == expected


def test_a_glass_is_priced_by_the_thousandth() -> None:
    assert line_gross(1850, 167) == 309
    assert line_gross(1850, -167) == -309


def test_three_cents_at_twenty_percent_are_rounded_up_and_the_refund_alike() -> None:
    assert (without_tax(3, 2000), without_tax(-3, 2000)) == (3, -3)


def test_a_large_amount_is_exact_to_the_cent() -> None:
    assert without_tax(12_000_000_000, 2000) == 10_000_000_000
    assert without_tax(10**12, 550) == 947_867_298_578
    assert sum(lines_without_tax([10**11, 10**11 + 7], 2000)) == 166_666_666_673


def test_three_times_three_cents_are_eight_without_tax() -> None:
    """Rounding each line would give nine."""
    assert lines_without_tax([3, 3, 3], 2000) == [3, 3, 2]
    assert lines_without_tax([-3, -3, -3], 2000) == [-3, -3, -2]


def test_lines_that_cancel_out_leave_nothing() -> None:
    assert sum(lines_without_tax([3, -3], 2000)) == 0


def test_a_discount_is_spread_in_proportion() -> None:
    assert apportion(100, [3700, 695]) == [84, 16]
    assert apportion(-100, [3700, 695]) == [-84, -16]


def test_no_discount_is_spread_over_nobody() -> None:
    assert apportion(0, [3700, 695]) == [0, 0]


def test_a_cent_taken_off_or_put_on_falls_on_the_first_of_equal_lines() -> None:
    assert (apportion(1, [1, 1, 1]), apportion(-1, [1, 1, 1])) == ([1, 0, 0], [-1, 0, 0])


def test_lines_of_both_signs_are_rounded_as_if_turned_round() -> None:
    assert lines_without_tax([1, 1, -1], 10_000) == [1, 1, -1]
    assert lines_without_tax([-1, -1, 1], 10_000) == [-1, -1, 1]


def test_of_equal_remainders_the_first_line_is_served() -> None:
    assert apportion(2, [1, 1, 1]) == [1, 1, 0]


def test_three_parts_of_ten_euros_come_to_ten_euros() -> None:
    first = refund_share(1000, 3000, done_quantity=0, done_ttc=0, more_quantity=1000)
    second = refund_share(1000, 3000, done_quantity=1000, done_ttc=first, more_quantity=1000)
    third = refund_share(1000, 3000, done_quantity=2000, done_ttc=first + second, more_quantity=1000)
    assert (first, second, third) == (333, 334, 333)


def test_the_last_part_takes_what_is_left_though_two_tills_rounded_apart() -> None:
    assert refund_share(1000, 3000, done_quantity=2000, done_ttc=666, more_quantity=1000) == 334


def test_more_given_back_than_sold_leaves_nothing_to_give() -> None:
    assert refund_share(1000, 3000, done_quantity=2000, done_ttc=1200, more_quantity=1000) == 0
