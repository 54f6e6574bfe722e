"""The page on security names a test for whatever it says that an attacker cannot do, or is seen doing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/security.md").read_text()
CHAPTERS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
ATTACKERS = [chapter for chapter in CHAPTERS if not chapter.startswith("What is not promised")]
ROWS = [
    (chapter.partition("\n")[0], *line.strip("| ").split(" | "))
    for chapter in ATTACKERS
    for line in chapter.splitlines()
    if re.match(r"\| (?!---|\|)", line) and not line.startswith("| | what")
]


def test_every_attacker_is_there_and_can_something_and_cannot_something():
    assert {title for title, *_ in ROWS} >= {
        "A stolen register",
        "A malicious register",
        "A malicious operator of the relay",
        "Somebody on the network",
        "A curious neighbour shop",
    }
    for chapter in ATTACKERS:
        title = chapter.partition("\n")[0]
        assert {"can", "cannot"} <= {row[1] for row in ROWS if row[0] == title}, title


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[1]} {row[2][:60]}")
def test_what_an_attacker_cannot_do_is_held_by_tests_that_there_are(row):
    _, verdict, _, held = row
    named = re.findall(r"`(tests/[^`]+)`", held)
    assert verdict in ("can", "cannot", "seen")
    assert bool(named) or (verdict == "can" and held == "–")
    for test in named:
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text()
        assert not name or re.search(rf"^ *(?:async )?def {name}\(", source, re.MULTILINE), test


def test_a_test_that_does_not_exist_is_found():
    for held in ("`tests/docs/test_security.py::test_nothing`", "–", "it is so"):
        with pytest.raises(AssertionError):
            test_what_an_attacker_cannot_do_is_held_by_tests_that_there_are(("A thief", "cannot", "x", held))
