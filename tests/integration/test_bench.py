"""The benchmark measures, with the smallest sizes: what it finds is looked at for form, never for speed."""

import importlib
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.bench import CASES, measure
from benchmarks.context import EXTENTS
from benchmarks.figures import Figure

ROOT = Path(__file__).parents[2]


def test_every_case_is_measured():
    assert set(CASES) == {path.stem for path in (ROOT / "benchmarks/cases").glob("[!_]*.py")}


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_every_extent(case):
    assert set(importlib.import_module(f"benchmarks.cases.{case}").SIZES) >= set(EXTENTS)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_figures_with_their_spread_beside_bound_and_budget(tmp_path, case):
    out = tmp_path / "figures.json"
    arguments = ("--extent", "smallest", "--seed", "3", "--folder", str(tmp_path / "shops"))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", "--case", case, "--json", str(out), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
    )
    report = json.loads(out.read_text())
    assert (report["failed"], done.returncode) == ({}, 0)
    assert (report["version"], report["extent"], report["seed"]) == (1, "smallest", 3)
    figures = report["cases"][case]
    assert figures
    for facts in figures:
        assert 0 <= facts["low"] <= facts["value"] <= facts["high"], facts
        assert (facts["ratio"] is None) or facts["bound"], facts
        assert (facts["met"] is None) == (facts["budget"] is None), facts
        assert facts["size"], facts
        again = Figure.from_json(facts).to_json()
        assert again | {"missed_by": None} == facts | {"missed_by": None}  # of rounded numbers
    assert "budgets are met" in done.stdout
    assert not list((tmp_path / "shops").iterdir())


def test_a_case_that_fails_is_named_with_its_reason_and_the_others_are_measured(tmp_path):
    console = Console(file=StringIO())
    *_, report = measure(tmp_path, ["no_such_case", "sale"], extent="smallest", seed=1, console=console)
    assert "No module named 'benchmarks.cases.no_such_case'" in report["failed"]["no_such_case"]
    assert report["cases"].keys() == {"sale"}
