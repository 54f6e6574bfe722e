"""The README's table of speed: what is held to a budget, each with its command."""

import json
from pathlib import Path

import pytest

from benchmarks.figures import Bound, Budget, Figure, Measured
from benchmarks.front_page import BEGIN, END, PAGE, main, table, with_table


def figure(name, *values, **facts):
    return Figure(name, "ms", Measured.of(values), **facts).to_json()


def report(extent="full", **cases):
    machine = {"cores": 2, "processor": "a processor", "python": "3.11.7"}
    return {"extent": extent, "seed": 4, "began": "2026-11-25T03:00:00Z", "machine": machine, "cases": cases}


def test_a_line_has_value_spread_ratio_budget_and_command():
    bound = Bound("bare", Measured.of([2.0]))
    sale = figure("sale", 5.0, 4.0, 9.0, bound=bound, budget=Budget(2.0, "ratio"))
    assert (
        "| sale | 5 ms | 4 – 9 (3) | 2.50x | ≤ 2x | **missed** | `make bench CASE=sale SEED=4` |\n"
        in table([report(sale=[sale])])
    )


def test_what_has_no_budget_is_left_out():
    assert "beside" not in table(
        [report(sale=[figure("beside", 1.0), figure("sale", 1.0, budget=Budget(2.0))])]
    )


def test_a_driver_that_is_full_makes_a_figure_a_floor():
    busy = figure("flat out", 5.0, budget=Budget(2.0), load={"driver": 0.97, "relay": 0.9})
    assert "5 ms (a floor: the driver used 0.97 of a core)" in table([report(throughput=[busy])])
    calm = figure("flat out", 5.0, budget=Budget(2.0), load={"driver": 0.9, "relay": 0.97})
    assert "floor" not in table([report(throughput=[calm])])


def test_it_says_how_many_budgets_are_met_and_where():
    two = [figure("one", 1.0, budget=Budget(2.0)), figure("two", 3.0, budget=Budget(2.0))]
    said = "1 of 2 budgets are met. Measured 2026-11-25 on 2 cores (a processor), Python 3.11.7."
    assert said in table([report(sale=two)])


def test_a_case_of_a_later_file_takes_the_place_of_an_earlier_one():
    first, later = (report(sale=[figure("sale", value, budget=Budget(2.0))]) for value in (1.0, 7.0))
    assert "| 7 ms |" in table([first, later])
    assert "| 1 ms |" not in table([first, later])


def test_the_rest_of_the_page_stays():
    assert with_table(f"a\n{BEGIN}old\n{END}z\n", "new\n") == f"a\n{BEGIN}\nnew\n{END}z\n"


def test_the_readme_has_a_place_for_the_table():
    page = (Path(__file__).parents[3] / PAGE).read_text(encoding="utf-8")
    assert with_table(page, "new\n").count("new\n") == 1


@pytest.mark.parametrize("page", ["nothing", BEGIN, END])
def test_a_page_without_a_place_is_not_written(page):
    with pytest.raises(ValueError, match="no place for a table"):
        with_table(page, "new")


def test_small_sizes_are_no_figures_for_the_front_page(tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps(report("quick")))
    monkeypatch.setattr("sys.argv", ["front_page", "--figures", str(figures), "--page", str(tmp_path / "no")])
    assert main() == 1
    assert "quick sizes" in capsys.readouterr().err
