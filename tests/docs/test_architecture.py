"""The page on architecture names every module of the two large packages, and only files that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text()
ROOMS = PAGE.split("## Which room", 1)[1].split("\n## ", 1)[0]


def modules(folder):
    return {path.stem for path in (ROOT / folder).iterdir() if path.suffix == ".py" and path.stem[:2] != "__"}


def packages(folder):
    """The folder itself, then each package in it; the commands are kept by their own page."""
    inside = (path.parent for path in (ROOT / folder).rglob("__init__.py"))
    return sorted(place.relative_to(ROOT).as_posix() for place in inside if "cli" not in place.parts)


FOLDERS = {
    folder: large for large in ("crdtsync/runtime", "server/crdtsync_server") for folder in packages(large)
}


@pytest.mark.parametrize(("folder", "large"), FOLDERS.items())
def test_the_row_of_a_folder_names_all_that_lies_in_it_and_nothing_else(folder, large):
    table = ROOMS.split(f"| in `{large}` | is | modules |", 1)[1].split("\n\n", 1)[0]
    first = "beside" if folder == large else f"`{Path(folder).name}`"
    (row,) = (line for line in table.splitlines() if line.startswith(f"| {first}"))
    told = re.findall(r"`(\w+)`", row.split("|")[3])
    assert sorted(told) == sorted(modules(folder))


@pytest.mark.parametrize("name", re.findall(r"`((?:model|protocol|storage|runtime)/[\w/]+\.py)`", PAGE))
def test_a_file_that_is_named_by_its_package_is_there(name):
    assert (ROOT / "crdtsync" / name).exists()
