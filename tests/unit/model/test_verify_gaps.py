"""What is still found in a chain of which something is missing."""

import pytest

from crdtsync.testing.till import MemoryOwner
from tests.unit.model.test_verify import TILL, codes, defects, numbers, rewritten, two_days


@pytest.mark.parametrize("n", range(2, len(TILL.entries)))
def test_an_entry_dropped_in_the_middle_is_one_gap(n: int) -> None:
    assert codes(TILL, [*TILL.sealed[: n - 1], *TILL.sealed[n:]]) == [("gap", n + 1)]


def test_a_gap_says_what_is_missing() -> None:
    [gap] = defects(TILL, [*TILL.sealed[:3], *TILL.sealed[6:]])
    assert gap.message == "entries 4 to 6 are missing"


def test_a_missing_beginning_is_a_gap_and_leaves_the_key_unknown() -> None:
    assert codes(TILL, TILL.sealed[4:]) == [("key", 5), ("gap", 5)]


def test_with_a_directory_the_rest_is_verified_without_its_beginning() -> None:
    owner = MemoryOwner()
    till = owner.enrol("till 1")
    till.sell()
    till.sell()
    assert codes(till, till.sealed[2:], directory=owner.directory) == [("gap", 3)]


def test_after_a_gap_what_is_wrong_is_still_found() -> None:
    changed = rewritten(TILL, 16, gt={"real": 1, "abs": 2})
    assert codes(TILL, [*changed[:3], *changed[5:]]) == [("gap", 6), ("grand-total", 16)]


def test_after_a_gap_whole_days_are_checked_again() -> None:
    changed = rewritten(TILL, numbers(TILL, "close")[1], total=1)
    gap_in_the_first_day = [*changed[:3], *changed[5:]]
    assert codes(TILL, gap_in_the_first_day) == [("gap", 6), ("closing", numbers(TILL, "close")[1])]


def test_after_a_gap_whole_months_and_years_are_checked_again() -> None:
    till = two_days()
    for _ in range(2):
        till.sell()
        till.close()
        till.close(level="month")
        till.close(level="year")
    last_month, last_year = numbers(till, "close")[-2:]
    for n in (last_month, last_year):
        changed = rewritten(till, n, total=1)
        assert codes(till, [*changed[:3], *changed[5:]]) == [("gap", 6), ("closing", n)]


def test_a_month_that_began_before_a_gap_is_not_judged() -> None:
    changed = rewritten(TILL, numbers(TILL, "close")[2], total=1)
    assert codes(TILL, [*changed[:3], *changed[5:]]) == [("gap", 6)]


def test_a_closing_missing_in_a_gap_hides_the_month_until_the_next() -> None:
    """The day's closing is missing too, so that neither month nor year can be told when they close."""
    close = numbers(TILL, "close")[1]
    assert codes(TILL, [*TILL.sealed[: close - 2], *TILL.sealed[close:]]) == [("gap", close + 1)]
