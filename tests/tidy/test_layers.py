"""The direction of imports: pure parts stay pure, and three layers do not know one another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EFFECTS = {"asyncio", "socket", "sqlite3", "apsw", "time", "random", "secrets", "os", "threading"} | {
    *("subprocess", "websockets", "click", "starlette", "uvicorn", "pathlib", "shutil"),
}

PURE = ("crdtsync/model", "crdtsync/protocol", "crdtsync/ids.py", "crdtsync/errors.py", "crdtsync/said.py")
UPWARDS = {
    "crdtsync/model": ("protocol", "storage", "runtime", "web", "till", "cli", "testing"),
    "crdtsync/protocol": ("model", "storage", "runtime", "web", "till", "cli", "testing"),
    "crdtsync/storage": ("model", "protocol", "runtime", "web", "till", "cli", "testing"),
    "crdtsync/runtime": ("web", "till", "cli", "testing"),
    "crdtsync/web": ("model", "protocol", "storage", "runtime", "till", "cli", "testing"),
    "crdtsync/till": ("cli", "testing"),
    "crdtsync/cli": ("testing",),
}


def modules(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("place", PURE)
def test_pure_parts_have_no_effects(place: str) -> None:
    found = {
        (path.name, name)
        for path in modules(place)
        for name in imports(path)
        if name.split(".")[0] in EFFECTS
    }
    assert found == set()


@pytest.mark.parametrize(("place", "forbidden"), UPWARDS.items())
def test_no_layer_imports_what_lies_above_or_beside_it(place: str, forbidden: tuple[str, ...]) -> None:
    found = {
        (path.name, name)
        for path in modules(place)
        for name in imports(path)
        if name.startswith("crdtsync_server")
        or any(name.startswith(f"crdtsync.{layer}") for layer in forbidden)
    }
    assert found == set()


def test_the_layers_that_are_named_exist() -> None:
    assert all(modules(place) for place in (*PURE, *UPWARDS))
