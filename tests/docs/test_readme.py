"""What a newcomer tries first: the two commands, the first steps, the library example."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.slow
def test_the_demonstration_ends_by_itself_with_what_the_readme_shows() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "crdtsync.testing.demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (block,) = re.findall(r"ends by itself, with\n\n((?:    .*\n|\n)+)", README)
    told = "".join(line.removeprefix("    ") for line in block.splitlines(keepends=True))
    assert shown.stdout.endswith(told.strip("\n") + "\n")


@pytest.mark.slow
def test_the_example_of_the_library_prints_what_the_readme_says(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (told,) = re.findall(r"It prints `(.+?)`", README)
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    year = f"-{datetime.now(UTC):%y}-"
    assert (shown.stdout, shown.stderr) == (re.sub(r"-\d\d-", year, told) + "\n", "")


def test_the_example_of_the_library_is_short() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 15


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, re.MULTILINE))
def test_the_commands_of_the_readme_exist(target: str) -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
