"""Rules of the house that a reader should not have to check."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = sorted(path for place in ("crdtsync", "server") for path in (ROOT / place).rglob("*.py"))

LINES_MAX = 450
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "helpers", "manager", "common", "misc"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def test_every_file_is_one_room() -> None:
    too_long = {
        str(p.relative_to(ROOT)): n for p in CODE if (n := len(p.read_text().splitlines())) > LINES_MAX
    }
    assert too_long == {}


def test_every_function_fits_on_a_screen() -> None:
    too_long = {
        f"{path.name}:{node.name}": node.end_lineno - node.body[0].lineno
        for path in CODE
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.body[0].lineno > FUNCTION_LINES_MAX
    }
    assert too_long == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert {path.stem for path in CODE} & BANNED_NAMES == set()


def test_public_modules_classes_and_functions_say_what_they_promise() -> None:
    missing = []
    for path in CODE:
        tree = parsed(path)
        if path.read_text().strip() and ast.get_docstring(tree) is None:
            missing.append(str(path.relative_to(ROOT)))
        for node in tree.body:
            is_definition = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if is_definition and not node.name.startswith("_") and ast.get_docstring(node) is None:
                missing.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert missing == []


def test_catch_alls_stand_at_a_boundary_and_say_why() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{handler.lineno}"
        for path in CODE
        for handler in ast.walk(parsed(path))
        if isinstance(handler, ast.ExceptHandler)
        and (handler.type is None or getattr(handler.type, "id", "") in {"Exception", "BaseException"})
        and not isinstance(handler.body[-1], ast.Raise)
        and "#" not in path.read_text().splitlines()[handler.lineno - 1]
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
