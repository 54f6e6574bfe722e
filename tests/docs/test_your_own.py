"""The page on testing one's own document: its code runs as it stands, and finds what it calls wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from crdtsync.testing import pytest_plugin as plugin

PAGE = (Path(__file__).parents[2] / "docs/how-to/test-your-own.md").read_text()
DOCUMENT, TEST, WRONG = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def lines_of(code: str) -> list[str]:
    return [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def run(folder: Path, document: str) -> subprocess.CompletedProcess[str]:
    (folder / "loyalty.py").write_text(document)
    (folder / "test_loyalty.py").write_text(TEST)
    (folder / "conftest.py").write_text(
        "from hypothesis import Phase, settings\n"
        "settings.register_profile('page', derandomize=True, database=None, deadline=None, max_examples=40,\n"
        "    stateful_step_count=12, phases=[Phase.generate])\n"
        "settings.load_profile('page')\n"
    )
    (folder / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "test_loyalty.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_its_document_keeps_its_rule_in_every_history(tmp_path: Path) -> None:
    shown = run(tmp_path, DOCUMENT)
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.slow
def test_what_it_calls_wrong_is_found_out(tmp_path: Path) -> None:
    right = re.search(r"    def earn.*?\n\n", DOCUMENT, re.DOTALL)
    assert right is not None
    wrong = DOCUMENT.replace(right[0], "\n".join(WRONG.splitlines()[1:]) + "\n\n").replace(
        'return int(sum(cents for key, cents in moved if key.startswith(f"{customer}/"))) // 100',
        'spent = sum(cents for key, cents in moved if key.startswith(f"{customer}/"))\n'
        '        return int(self.document.doc.get("balances", type=Map).get(customer, 0) + spent) // 100',
    )
    shown = run(tmp_path, wrong)
    assert shown.returncode == 1
    assert "AssertionError: Anna" in shown.stdout or "AssertionError: Bo" in shown.stdout


def test_document_and_test_are_under_sixty_lines_together() -> None:
    assert len(lines_of(DOCUMENT)) + len(lines_of(TEST)) < 60


def test_the_fixtures_that_it_names_exist() -> None:
    named = set(re.findall(r"`(crdtsync_\w+)`", PAGE))
    assert named == {name for name in dir(plugin) if name.startswith("crdtsync_")}
