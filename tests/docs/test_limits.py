"""The page on limits: its figures are those of the code, and the tests that it names exist."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from crdtsync.protocol import limits
from crdtsync.runtime.committing import bounds
from crdtsync.runtime.folder import identity
from crdtsync.runtime.syncing import link
from crdtsync_server import home
from crdtsync_server.config import RelayConfig
from crdtsync_server.serving import pace, server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/limits.md").read_text()
CELLS = 5
RELAY_CONFIG = {one.name: one.default for one in fields(RelayConfig) if one.default is not MISSING}
CODE = {
    "RelayConfig": RELAY_CONFIG,
    **{
        module.__name__.rsplit(".", 1)[1]: vars(module)
        for module in (limits, bounds, identity, link, home, pace, server)
    },
}


def rows(text):
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row for row in table if row[0] != "limit"]


def figures(value):
    return re.findall(r"`(\w+)\.(\w+)` = ([0-9.]+)", value)


ROWS = rows(PAGE)

ASKED_FOR = (
    *("a second of one device", "of one shop", "a frame", "a record", "never speak", "never read", "1 KB/s"),
    *("half-open", "after a restart", "fills up", "read-only", "files that a relay", "files that a till"),
    *("newer version", "an old register", "IPv6", "a clock a year off"),
)


@pytest.mark.parametrize("limit", ASKED_FOR)
def test_every_limit_that_was_asked_for_has_a_row(limit):
    assert any(limit in row[0] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_says_what_either_sees_and_names_tests_that_there_are(row):
    assert len(row) == CELLS
    assert all(row)
    named = re.findall(r"`(tests/[^`]+)`", row[-1])
    assert named
    for test in named:
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text()
        assert not name or re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), test


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_figures_of_a_row_are_those_of_the_code(row):
    # A name without its figure would be compared with nothing.
    assert len(figures(row[1])) == len(re.findall(r"`\w+\.\w+`", row[1]))
    for place, name, value in figures(row[1]):
        assert CODE[place][name] == float(value), f"{place}.{name}"


def test_a_figure_that_is_not_so_and_a_test_that_there_is_not_are_found():
    row = ["a frame", "`limits.FRAME_BYTES_MAX` = 1048577", "a", "b", "`tests/docs/test_limits.py::test_not`"]
    with pytest.raises(AssertionError):
        test_the_figures_of_a_row_are_those_of_the_code(row)
    with pytest.raises(AssertionError):
        test_a_row_says_what_either_sees_and_names_tests_that_there_are(row)
