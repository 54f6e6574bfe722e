"""The script that plants defects: it finds the net where there is one, and says so where there is none."""

import subprocess
import sys
from difflib import unified_diff

import pytest

from tests.defects.plant import DEFECTS, ROOT

pytestmark = pytest.mark.slow

SEED = 2026

HEADINGS = """Planted: a change of a module
Breaks: P1, a sale is on the disk before it is told
Expected: tests/unit/test_errors.py

"""


def plant(*arguments):
    """The exit code and what was said."""
    command = [sys.executable, str(DEFECTS / "plant.py"), "--work-tree", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def planted(tmp_path):
    """Plants one change of a module's first line."""
    lines = (ROOT / "crdtsync/errors.py").read_text().splitlines()[:4]

    def change(line, of=lines):
        diff = unified_diff(of, [line, *of[1:]], "a/crdtsync/errors.py", "b/crdtsync/errors.py", lineterm="")
        git = "diff --git a/crdtsync/errors.py b/crdtsync/errors.py"
        (tmp_path / "a-change.patch").write_text("\n".join((HEADINGS + git, *diff, "")))
        return plant("--from", str(tmp_path))

    return change


def test_a_few_defects_that_are_caught_fast_are_caught():
    code, said = plant("--sample", "2", "--seed", str(SEED))
    assert (code, said.splitlines()[-1]) == (0, "2 planted, 2 caught"), said


def test_what_no_test_sees_is_told(planted):
    code, said = planted('"""Something else.')
    assert (code, "not caught by tests/unit/test_errors.py" in said) == (1, True), said


def test_a_patch_that_does_not_apply_any_more_is_told(planted):
    code, said = planted("x = 1", of=["no such line", "x = 0"])
    assert (code, "no longer applies" in said) == (1, True), said


def test_code_that_cannot_be_imported_counts_for_nothing(planted):
    code, said = planted('import no_such_module; """')
    assert (code, "pytest ended with" in said) == (1, True), said
