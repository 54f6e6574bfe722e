"""Writes the pages of ``docs/reference`` that say what the code says: ``cli.md``, ``errors.md``,
``json.md``, ``testing.md``.

    python docs/generate.py

Tests generate them again and compare.
"""

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

import crdtsync.testing
from crdtsync import errors
from crdtsync.cli import json_form, json_forms
from crdtsync.cli import main as register
from crdtsync.cli.ending import READER_GONE
from crdtsync.errors import CrdtsyncError
from crdtsync.testing import pytest_plugin, strategies
from crdtsync_server.cli import json_forms as relay_json_forms
from crdtsync_server.cli import main as relay

REFERENCE = Path(__file__).parent / "reference"
GENERATED = "<!-- Generated from the code by docs/generate.py (make docs). Do not edit. -->\n"
PROGRAMS = (
    ("crdtsync", register, "a register", json_forms.FORMS),
    ("crdtsync-relay", relay, "the relay", relay_json_forms.FORMS),
)

ABOUT_COMMANDS = """
Two programs: `crdtsync` on a register, `crdtsync-relay` where the relay runs. Every command has `--json`
([what it prints](json.md)) and `--data DIR`, which may come from the environment instead. An error is
one line on standard error, `crdtsync: what went wrong. What to do`, or one JSON object with `--json`;
what each is and what to do: [errors](errors.md).
"""
ABOUT_ERRORS = """
Every error made on purpose has a code, which is the name of its class in `crdtsync.errors`, an exit code
with which the command line ends, and a way out. The *code* stands in JSON (`--json`) and is what Python
catches: a class also catches those that are named to be *below* it. *Again*: whether the same command
may succeed later, with nothing changed. Where an error happens, the way out may be more precise.
"""
ABOUT_STREAMS = """
Results go to standard output, errors and notes (`note: …`) to standard error. With `--json` an error is an
object ([its fields](json.md#an-error)), and notes are fields of the result.
"""
ABOUT_JSON = """
What each command prints with `--json`: UTF-8, one document on standard output, or one object per line
where it says so. Amounts are integers in minor units (cents), quantities integers in thousandths, rates
integers in 1/100 %: no number ever has a point. Every field is always there; *null when* says when it is
null. Fields may be added; none is renamed without a line in the changelog. `a.b` is field `b` of the
object `a`, `a[].b` of each object in the list `a`.
"""
ABOUT_TESTING = """
What `crdtsync.testing` offers to whoever builds a till or a document on crdtsync; how it is used:
[test your own](../how-to/test-your-own.md). A name is imported when it is asked for. Names that are not
here serve crdtsync's own tests and change without notice. Amounts are cents, quantities thousandths, times
Unix milliseconds.
"""
ABOUT_STRATEGIES = """
`crdtsync.testing.strategies`, for [Hypothesis](https://hypothesis.readthedocs.io): they need the extra
`testing`.
"""
ABOUT_FIXTURES = """
pytest finds them by itself where crdtsync is installed, and imports what they need when a test asks for one.
"""


def pages() -> dict[str, str]:
    """Name of a page to its text."""
    return {
        "cli.md": cli_page(),
        "errors.md": errors_page(),
        "json.md": json_page(),
        "testing.md": testing_page(),
    }


# -- commands ----------------------------------------------------------------------------------------------


def _prose(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False) + "\n"


def cli_page() -> str:
    parts = [
        GENERATED,
        "# Command line\n",
        _prose(ABOUT_COMMANDS),
    ]
    for program, main, whose, _ in PROGRAMS:
        parts.append(f"## {program}: {whose}\n")
        parts.append(_help_of(main))
        parts.append("| command | does |\n|---|---|")
        parts.append(
            "\n".join(
                f"| [`{name}`](#{_anchor(name)}) | {_summary(command)} |"
                for name, command in leaves(program, main)
            )
            + "\n"
        )
        for name, command in leaves(program, main):
            parts.append(_command(name, command))
    return "\n".join(parts)


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name, in the order of the help."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    ctx = click.Context(command, info_name=name)
    for part in command.list_commands(ctx):
        found = command.get_command(ctx, part)
        assert found is not None, part
        yield from leaves(f"{name} {part}", found)


def _command(name: str, command: click.Command) -> str:
    ctx = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(ctx)])
    parts = [f"### {name}\n", f"    {usage}\n", _help_of(command)]
    options = [one for one in command.params if isinstance(one, click.Option)]
    parts.append("| option | value | default | does |\n|---|---|---|---|")
    parts.append("\n".join(_option(ctx, option) for option in options) + "\n")
    return "\n".join(parts)


def _help_of(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "")
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    found = re.fullmatch(r"Example: (.*?)\.?\s+Exit codes: (.*)", command.epilog or "", re.DOTALL)
    assert found is not None, (command.name, command.epilog)
    example, codes = found[1], " ".join(found[2].split())
    return (
        "\n\n".join(
            [*map(_escaped, paragraphs), f"Example:\n\n    {example}", f"Exit codes: {_escaped(codes)}"]
        )
        + "\n"
    )


def _option(ctx: click.Context, option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f"`{option.make_metavar(ctx)}`"
    if isinstance(option.type, click.types._NumberRangeBase):
        value += f" {option.type._describe_range()}"
    default = option.get_default(ctx, call=False)
    shown = "required" if option.required else ""
    if option.show_default and default is not None:
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    environment = f" Also from `{option.envvar}`." if option.envvar else ""
    times = " May be given several times." if option.multiple else ""
    says = _escaped((option.help or "") + times + environment)
    return f"| {names} | {_cell(value)} | {_cell(shown)} | {_cell(says)} |"


def _summary(command: click.Command) -> str:
    return _cell(_escaped(inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")))


# -- errors ------------------------------------------------------------------------------------------------


def errors_page() -> str:
    parts = [
        GENERATED,
        "# Errors\n",
        _prose(ABOUT_ERRORS),
        "| code | exit code | below | meaning | again | way out |\n|---|---|---|---|---|---|",
        "\n".join(_error(error) for error in sorted(tree(), key=lambda one: one.exit_code)) + "\n",
        "## Other exit codes\n",
        "| exit code | meaning |\n|---|---|",
        "| 0 | done |",
        "| 1 | a defect of crdtsync, with a traceback: please report it |",
        f"| {READER_GONE} | whoever read standard output went away (`\\| head`); what is done is done |\n",
        "## Standard output and standard error\n",
        _prose(ABOUT_STREAMS),
    ]
    return "\n".join(parts)


def tree() -> list[type[CrdtsyncError]]:
    """Every class of error but the base of all."""
    found = (one for _, one in inspect.getmembers(errors, inspect.isclass))
    return [one for one in found if issubclass(one, CrdtsyncError) and one is not CrdtsyncError]


def _error(error: type[CrdtsyncError]) -> str:
    base = error.__mro__[1]
    below = "" if base is CrdtsyncError else f"`{base.__name__}`"
    meaning = " ".join(inspect.cleandoc(error.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
    hint = error.hint[:1].upper() + error.hint[1:] or "The message says what is expected"
    again = "yes" if error.retryable else ""
    return (
        f"| `{error.__name__}` | {error.exit_code} | {below} | {_cell(meaning)} | {again} | {_cell(hint)} |"
    )


# -- JSON --------------------------------------------------------------------------------------------------


def json_page() -> str:
    parts = [
        GENERATED,
        "# JSON\n",
        _prose(ABOUT_JSON),
        "## An error\n",
        _form(json_forms.ERROR),
    ]
    for program, _, _, forms in PROGRAMS:
        parts.append(f"## {program}\n")
        for form in forms:
            parts += [f"### {program} {form.command}\n", _form(form)]
    return "\n".join(parts)


SHAPES = {"object": "An object.", "list": "A list of objects.", "lines": "Objects, one per line."}


def _form(form: json_form.Form) -> str:
    rows = "\n".join(_rows(form.fields, "" if form.shape != "list" else "[]."))
    says = f" {form.says}" if form.says else ""
    titles = "| field | type | unit | meaning | null when |\n|---|---|---|---|---|"
    return f"{SHAPES[form.shape]}{says}\n\n{titles}\n{rows}\n"


def _rows(fields: Iterable[json_form.Field], before: str) -> Iterator[str]:
    for field in fields:
        kind = json_form.KINDS[field.kind]
        kind = f"list of {'objects' if field.kind == 'object' else kind}" if field.is_list else kind
        name = f"{before}{field.name}"
        yield f"| `{name}` | {kind} | {field.unit} | {_cell(field.says)} | {_cell(field.null)} |"
        yield from _rows(field.fields, f"{name}[]." if field.is_list else f"{name}.")


# -- the test kit ------------------------------------------------------------------------------------------


def testing_page() -> str:
    fixtures = [name for name in dir(pytest_plugin) if name.startswith("crdtsync_")]
    return "\n".join(
        [
            GENERATED,
            "# Test kit\n",
            _prose(ABOUT_TESTING),
            "## crdtsync.testing\n",
            *(_name(name, getattr(crdtsync.testing, name)) for name in crdtsync.testing.__all__),
            "## Strategies\n",
            _prose(ABOUT_STRATEGIES),
            *(_name(name, getattr(strategies, name)) for name in strategies.__all__),
            "## Fixtures\n",
            _prose(ABOUT_FIXTURES),
            *(_named(name, name, getattr(pytest_plugin, name)) for name in fixtures),
        ]
    )


def _name(name: str, what: Any) -> str:
    parts = [_named(name, f"{name}{_signature(what)}", what)]
    if inspect.isclass(what) and not hasattr(what, "__dataclass_fields__"):
        rows = [
            f"| `{method}{_signature(found)}` | {_said(found)} |"
            for method, found in ((one, getattr(what, one)) for one in vars(what) if not one.startswith("_"))
            if inspect.getdoc(found) and (callable(found) or isinstance(found, property))
        ]
        parts += ["| method | does |\n|---|---|", "\n".join(rows) + "\n"]
    return "\n".join(parts)


def _named(name: str, shown: str, what: Any) -> str:
    said = [" ".join(part.split()) for part in (inspect.getdoc(what) or "").split("\n\n")]
    return (
        f"### {name}\n\n    {shown}\n\n"
        + "\n\n".join(_escaped(part).replace("``", "`") for part in said)
        + "\n"
    )


def _said(what: Any) -> str:
    return _cell(_escaped(inspect.getdoc(what) or "").split("\n\n")[0].replace("``", "`"))


def _signature(what: Any) -> str:
    if isinstance(what, property):
        return ""
    signature = inspect.signature(what.__init__ if inspect.isclass(what) else what)
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    shown = str(inspect.Signature([one for one in plain if one.name not in ("self", "draw")]))
    return re.sub(r"<function .* at 0x[0-9a-f]+>", "…", shown)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Words in capitals and with angle brackets are no markup."""
    return text.replace("<", "&lt;").replace("*", "\\*")


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


if __name__ == "__main__":
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
