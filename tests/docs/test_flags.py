"""The page that says what an entry is names every flag, and no other."""

import re
from pathlib import Path

from crdtsync.model.flags import FLAGS
from crdtsync.model.verify import CODES

PAGE = (Path(__file__).parents[2] / "docs/reference/entries.md").read_text()
CHAPTER = re.split(r"\n## ", PAGE.split("\n## Flags\n", 1)[1], maxsplit=1)[0]


def test_what_verifying_names_is_told_and_nothing_else() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", CHAPTER, re.MULTILINE) == list(CODES)


def test_what_views_flag_is_told_and_nothing_else() -> None:
    told = CHAPTER.split("(`view_flag`): ", 1)[1].split(" where ", 1)[0]
    assert re.findall(r"`([a-z-]+)`", told) == list(FLAGS)
