"""The benchmark measures, with the smallest sizes: what it finds is looked at for form, never for speed."""

import importlib
import json
import subprocess
import sys
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.bench import CASES, measure
from benchmarks.context import EXTENTS
from benchmarks.driver.bulk import append_history
from benchmarks.driver.chains import write_chains
from benchmarks.driver.shop import make_shop
from benchmarks.figures import Figure
from crdtsync.storage.sqlite import SqliteStore

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


def test_a_history_in_bulk_is_the_one_that_comes_row_by_row(tmp_path):
    devices = make_shop(tmp_path / "relay", 2, seed=3).devices
    paths = write_chains(devices, [[40, 70], [50, 30]], tmp_path)
    logs = {}
    for name, rows in (("in packs", 16), ("row by row", 1000)):
        with closing(SqliteStore(tmp_path / f"{name}.sqlite")) as store:
            with store.transaction():
                log = store.create_shop(b"s" * 16, b"l" * 16)
            count = sum(len(items) for items in append_history(store, log, paths, pack_rows=rows))
            is_packed = log.pack_at(1) is not None
            records = log.read(0, bytes_max=1 << 24).records
            logs[name] = (count, log.end, sorted(log.runs(), key=repr), log.documents(), records)
            assert is_packed == (name == "in packs")
    assert logs["in packs"] == logs["row by row"]
    assert logs["in packs"][0] == 2 + 190 + 2  # Their first entries, sales, and the closings of a day.
