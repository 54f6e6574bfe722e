"""What is drawn of the figures."""

import json

from benchmarks.cases.growth import NAMES, name_of
from benchmarks.figures import Figure, Measured
from benchmarks.plot import course_of, main


def report(*figures: Figure) -> dict:
    return {"cases": {"growth": [figure.to_json() for figure in figures], "sale": []}}


def measured(name: str, sales: int, value: float) -> Figure:
    spread = Measured(value, value - 1, value + 1, 3)
    return Figure(name_of(name, sales), "ms", spread, size={"sales": sales})


def test_each_line_has_its_ages_in_order_with_their_spread():
    course = course_of(report(measured(NAMES[0], 10_000, 3), measured(NAMES[0], 100, 2)))
    assert course[NAMES[0]] == [(100, 2, 1, 3), (10_000, 3, 2, 4)]
    assert course[NAMES[1]] == []


def test_what_took_hours_is_drawn_beside_the_rest():
    course = course_of(report(measured(NAMES[1], 100, 2)), report(measured(NAMES[1], 10_000_000, 4)))
    assert course[NAMES[1]] == [(100, 2, 1, 3), (10_000_000, 4, 3, 5)]


def test_figures_without_growth_are_refused(tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"cases": {"sale": []}}))
    monkeypatch.setattr("sys.argv", ["plot", "--figures", str(figures), "--out", str(tmp_path / "x.svg")])
    assert main() == 1
    assert "no figures of the case `growth`" in capsys.readouterr().err
    assert not (tmp_path / "x.svg").exists()
