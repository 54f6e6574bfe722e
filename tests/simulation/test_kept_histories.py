"""Histories that once failed, as they were kept: what they showed is mended, and stays so.

Each ``kept/*.json`` is a plan, made smaller where that was possible; `make sim` writes such a file for what
fails.
"""

from pathlib import Path

import pytest

from crdtsync.testing.simulation.plan import Plan
from crdtsync.testing.simulation.run import play

KEPT = sorted((Path(__file__).parent / "kept").glob("*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("file", KEPT, ids=[file.stem for file in KEPT])
def test_a_history_that_failed_once_ends_well(file):
    result = play(Plan.from_json(file.read_text()))
    assert not result.failure, "\n".join((*result.story[-40:], result.failure))


def test_there_are_histories_that_were_kept():
    assert KEPT
