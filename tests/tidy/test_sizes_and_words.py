"""Rules of the house that a reader should not have to check."""

import ast
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = sorted(path for place in ("crdtsync", "server") for path in (ROOT / place).rglob("*.py"))

LINES_MAX = 450
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "helpers", "manager", "common", "misc"}


FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Read:
    """What the rules ask of a file. Its tree is let go: the trees of all are millions of things."""

    is_empty: bool
    says_what_it_is: bool
    functions: dict[str, int]
    """How long each is, in lines."""
    silent: list[str]
    """Public classes and functions of the module without a docstring."""
    catch_alls: list[int]
    """Lines of those that go on afterwards."""


@cache
def read(path: Path) -> Read:
    tree = ast.parse(text := path.read_text())
    functions, catch_alls = {}, []
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            length = (node.end_lineno or 0) - node.body[0].lineno
            functions[node.name] = max(length, functions.get(node.name, 0))
        elif isinstance(node, ast.ExceptHandler):
            is_bare = node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"}
            if is_bare and not isinstance(node.body[-1], ast.Raise):
                catch_alls.append(node.lineno)
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, FUNCTIONS | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    return Read(not text.strip(), ast.get_docstring(tree) is not None, functions, silent, catch_alls)


def test_every_file_is_one_room() -> None:
    too_long = {
        str(p.relative_to(ROOT)): n for p in CODE if (n := len(p.read_text().splitlines())) > LINES_MAX
    }
    assert too_long == {}


def test_every_function_fits_on_a_screen() -> None:
    too_long = {
        f"{path.name}:{name}": lines
        for path in CODE
        for name, lines in read(path).functions.items()
        if lines > FUNCTION_LINES_MAX
    }
    assert too_long == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert {path.stem for path in CODE} & BANNED_NAMES == set()


def test_public_modules_classes_and_functions_say_what_they_promise() -> None:
    missing = []
    for path in CODE:
        if not read(path).is_empty and not read(path).says_what_it_is:
            missing.append(str(path.relative_to(ROOT)))
        missing += [f"{path.relative_to(ROOT)}:{name}" for name in read(path).silent]
    assert missing == []


def test_catch_alls_stand_at_a_boundary_and_say_why() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in CODE
        for line in read(path).catch_alls
        if "#" not in path.read_text().splitlines()[line - 1]
    ]
    assert bare == []


def test_nothing_that_belongs_to_one_machine_is_tracked() -> None:
    place = "/" + ROOT.parts[1] + "/"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in listed.split():
        path = ROOT / name
        if not path.is_file():
            continue
        text = path.read_text(errors="ignore")
        if re.search(rf"(^|[^A-Za-z0-9_.-]){re.escape(place)}", text):
            found.append(name)
    assert found == []
