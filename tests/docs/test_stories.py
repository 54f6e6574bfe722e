"""The page on durability names a test for each story of what went wrong elsewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/durability.md").read_text()
STORIES = PAGE.split("## What went wrong elsewhere", 1)[1].split("## What is not promised", 1)[0]
SERVERS, TILLS = STORIES.split("### Tills")


def rows(part):
    table = [line.strip("| ").split(" | ") for line in part.splitlines() if re.match(r"\| [0-9]", line)]
    return {int(row[0]): row for row in table}


ALL = [(part, number, row) for part in (SERVERS, TILLS) for number, row in rows(part).items()]


def test_every_story_is_told():
    assert list(rows(SERVERS)) == list(range(1, 31))
    assert list(rows(TILLS)) == list(range(1, 35))


@pytest.mark.parametrize("row", [row for _, _, row in ALL], ids=lambda row: row[1])
def test_a_story_is_held_by_a_test_that_there_is_or_says_why_not(row):
    _, _, rule, held = row
    named = re.findall(r"`(tests/[^`]+)`", held)
    assert bool(named) or held == "not yet" or (held == "–" and rule.startswith("cannot happen: "))
    for test in named:
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text()
        assert not name or re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), test


def test_a_test_that_does_not_exist_is_found():
    file = "tests/docs/test_stories.py"
    with pytest.raises(AssertionError):
        test_a_story_is_held_by_a_test_that_there_is_or_says_why_not(["1", "", "", f"`{file}::test_nothing`"])
    with pytest.raises(AssertionError):
        test_a_story_is_held_by_a_test_that_there_is_or_says_why_not(["1", "", "it is so", "–"])
