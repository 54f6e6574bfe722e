"""A figure says by how much a budget is missed, and the file says all that the table does."""

from io import StringIO

import pytest
from rich.console import Console

from benchmarks.figures import COUNTING, Bound, Budget, Figure, Measured, percentile
from benchmarks.table import print_table


def figure(value=2.6, *, bound=1.0, budget=None, paired=()):
    return Figure(
        "sale to visible, 50 registers, median",
        "ms",
        Measured.of([value - 0.1, value, value + 0.3]),
        Bound("bare relay", Measured.of([bound])) if bound else None,
        budget,
        COUNTING,
        paired=paired,
        size={"registers": 50},
        load={"relay": 0.3},
        note="at 50 sales/s",
    )


def printed(*figures):
    out = StringIO()
    print_table(figures, Console(file=out, width=200))
    return out.getvalue()


@pytest.mark.parametrize(
    ("budget", "missed_by"),
    [
        (Budget(1.3, "ratio"), 1.0),
        (Budget(2.0), 0.3),
        (Budget(5.2, at_least=True), 0.5),
        (Budget(2.6), None),
        (Budget(2.6, "ratio"), None),
        (Budget(2.6, at_least=True), None),
        (None, None),
    ],
)
def test_a_missed_budget_is_missed_by_a_part_of_it(budget, missed_by):
    one = figure(budget=budget)
    assert one.missed_by == (None if missed_by is None else pytest.approx(missed_by))
    assert one.is_met is (None if budget is None else missed_by is None)


def test_a_ratio_is_the_median_of_ratios_that_were_measured_side_by_side():
    assert figure(paired=(3.0, 9.0, 1.5)).ratio == 3.0


def test_a_figure_without_a_bound_has_no_ratio_and_can_have_a_budget():
    one = figure(bound=None, budget=Budget(3.0))
    assert (one.ratio, one.is_met) == (None, True)


def test_a_figure_is_the_median_with_its_lowest_and_highest():
    assert Measured.of([5.0, 1.0, 2.0]) == Measured(2.0, 1.0, 5.0, 3)


def test_a_figure_comes_out_of_the_file_as_it_went_in():
    one = figure(budget=Budget(1.3, "ratio"))
    again = Figure.from_json(one.to_json())
    assert again.to_json() == one.to_json()
    assert (again.ratio, again.is_met) == (one.ratio, False)


def test_the_table_says_by_how_much_and_why():
    text = printed(figure(budget=Budget(1.3, "ratio")), figure(1.2, budget=Budget(1.3, "ratio")))
    assert "missed by 100%: sale to visible, 50 registers, median (at 50 sales/s)" in text
    assert "1 of 2 budgets are met." in text
    assert "│ count     │ relay 0.30" in text


def test_the_99th_percentile_of_a_hundred_is_the_slowest():
    assert percentile(range(100), 0.99) == 99
    assert percentile([7.0], 0.99) == 7.0
