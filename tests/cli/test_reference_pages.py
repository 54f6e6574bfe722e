"""The pages of the reference that say what the code says."""

import importlib.util
import inspect
from pathlib import Path

import pytest

import crdtsync.testing.strategies
from crdtsync.cli import json_forms, main
from crdtsync_server.cli import json_forms as relay_json_forms
from crdtsync_server.cli import main as relay_main

DOCS = Path(__file__).parents[2] / "docs"


def load_generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()


@pytest.mark.parametrize("page", ["cli.md", "errors.md", "json.md", "testing.md"])
def test_a_page_says_what_the_code_says(page):
    """If not: `make docs`."""
    assert (DOCS / "reference" / page).read_text() == generate.pages()[page]


@pytest.mark.parametrize(
    ("program", "group", "forms"),
    [("crdtsync", main, json_forms.FORMS), ("crdtsync-relay", relay_main, relay_json_forms.FORMS)],
)
def test_every_command_has_a_form(program, group, forms):
    leaves = {name.removeprefix(f"{program} ") for name, _ in generate.leaves(program, group)}
    named = {form.command for form in forms}
    assert leaves <= named
    assert {name for name in named - leaves if not name.startswith("inspect ")} == set()


def test_every_number_with_a_unit_in_its_name_has_it_in_its_form():
    units = {"_minor": "cents", "_ms": "ms", "_thousandths": "1/1000", "bytes": "bytes", "_min": "minutes"}

    def walk(fields):
        for field in fields:
            yield field
            yield from walk(field.fields)

    forms = (*json_forms.FORMS, *relay_json_forms.FORMS)
    wrong = [
        (form.command, field.name)
        for form in forms
        for field in walk(form.fields)
        for ending, unit in units.items()
        if field.kind == "integer" and field.name.endswith(ending) and not field.unit.startswith(unit)
    ]
    assert wrong == []


def test_every_error_says_what_it_means_and_what_to_do():
    rows = [line for line in generate.errors_page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(generate.tree())
    for row in rows:
        _, exit_code, _, meaning, _, way_out, _ = (cell.strip() for cell in row.split(" |"))
        assert exit_code.isdigit()
        assert meaning
        assert way_out


def test_every_public_name_of_the_test_kit_says_what_it_is_and_stands_in_the_reference():
    page = generate.testing_page()
    for module in (crdtsync.testing, crdtsync.testing.strategies):
        for name in module.__all__:
            said = page.split(f"\n### {name}\n")[1].split("\n\n")[2]
            assert said.strip(), name
            assert inspect.getdoc(getattr(module, name)), name
