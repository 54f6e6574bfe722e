"""Histories that once failed, as they were kept: what they showed is mended, and stays so.

Each ``kept/*.json`` is a plan, made smaller where that was possible; `make sim` writes such a file for what
fails.
"""

from pathlib import Path

import pytest

from crdtsync.testing.simulation.plan import Plan
from crdtsync.testing.simulation.run import play

KEPT = sorted((Path(__file__).parent / "kept").glob("*.json"))

WHOLE_BYTES_MIN = 8192
"""A plan that could not be made smaller is a whole day or two: it takes seconds."""


def kept(file: Path):
    marks = [pytest.mark.slow] if file.stat().st_size >= WHOLE_BYTES_MIN else []
    return pytest.param(file, id=file.stem, marks=marks)


@pytest.mark.parametrize("file", [kept(file) for file in KEPT])
def test_a_history_that_failed_once_ends_well(file):
    result = play(Plan.from_json(file.read_text()))
    assert not result.failure, "\n".join((*result.story[-40:], result.failure))


def test_there_are_histories_that_were_kept():
    assert KEPT
