"""Real input: small stores of a real grocer's year, sold again on four registers, with cuts and kills."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("store", "baskets", "lines"),
    [
        pytest.param(3297, 32, 655, id="coupons for more than the basket, a basket for nothing, gasoline"),
        pytest.param(2865, 35, 168, id="a gift card, products nobody knows"),
        pytest.param(3217, 49, 331, id="mostly gasoline"),
    ],
)
def test_a_store_sold_through_cuts_and_kills_is_the_same_everywhere_and_as_its_source(
    tmp_path, store, baskets, lines
):
    report = tmp_path / "report.json"
    arguments = ("--store-id", str(store), "--folder", str(tmp_path / "replay"), "--report", str(report))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.replay.run", "--seed", "1", "--quiet", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(report.read_text())
    assert (facts["baskets"], facts["lines"]) == (baskets, lines)
    assert "everything is equal" in facts["check"]
    assert facts["relay"]["kills"] == 2
    assert sum(till["kills"] for till in facts["tills"]) >= 4
    assert any(window["caught_up_s"] for window in facts["windows"])
