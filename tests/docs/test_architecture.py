"""The page on architecture names every module of the two large packages, and only files that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text()
ROOMS = PAGE.split("## Which room", 1)[1].split("\n## ", 1)[0]


def modules(folder):
    return {
        path.stem
        for path in (ROOT / folder).iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.stem.startswith("__")
    }


@pytest.mark.parametrize("folder", ["crdtsync/runtime", "server/crdtsync_server"])
def test_every_module_has_a_line_in_the_table_of_its_package(folder):
    table = ROOMS.split(f"| in `{folder}` | modules |", 1)[1].split("\n\n", 1)[0]
    told = set(re.findall(r"`(\w+)`", table))
    kept_by_name = {"cli"} | {name for name in modules(folder) if name.startswith("register_")}
    assert modules(folder) - told - kept_by_name == set()


def test_what_the_table_names_is_there():
    rooms = "crdtsync/runtime", "server/crdtsync_server", "server/crdtsync_server/dashboard"
    there = {"Register"}.union(*map(modules, rooms))
    assert set(re.findall(r"`(\w+)`", ROOMS)) - there == set()


@pytest.mark.parametrize("name", re.findall(r"`((?:model|protocol|storage|runtime)/\w+\.py)`", PAGE))
def test_a_file_that_is_named_by_its_package_is_there(name):
    assert (ROOT / "crdtsync" / name).exists()
