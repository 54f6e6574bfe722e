"""What a newcomer tries first: the demonstration, and the example of the README."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_demonstration_ends_by_itself_with_equal_copies() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "crdtsync.testing.demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert shown.stdout.count("knows 180 tickets") == 3
    assert shown.stdout.endswith("Every copy is equal.\n")


def test_the_example_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    shown = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"[A-Z0-9]+-\d\d-000001 1\n", shown.stdout)
