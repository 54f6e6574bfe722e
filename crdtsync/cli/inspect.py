"""``crdtsync inspect``: a document as it lies on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json, print_table


@click.command(
    "inspect",
    epilog=epilog("crdtsync inspect catalogue CM-19", "shown", errors.InvalidName, errors.NoRegister),
)
@click.argument("document", required=False)
@click.argument("key", required=False)
@common_options
def command(document: str | None, key: str | None, data: Path, as_json: bool) -> None:
    """Look into a document as it lies on disk.

    Without DOCUMENT: the documents. DOCUMENT is `catalogue`, `owner`, `ledger/DEVICE/DAY` or `x/NAME`. KEY is
    a ticket number, a number along the chain, the beginning of a link, a SKU, or a key of the document. What
    was refused, held or damaged is in no document: `crdtsync quarantine list`.
    """
    with open_register(data, only_looks=True) as register:
        facts = register.inspect(document, key)
    if as_json:
        print_json(facts)
    elif key is not None and facts and ("body" in facts[0] or len(facts) == 1):
        for fact in facts:
            click.echo(orjson.dumps(fact, option=orjson.OPT_INDENT_2).decode())
    elif facts:
        titles = list(facts[0])
        print_table(titles, [[_cell(fact.get(title)) for title in titles] for fact in facts])
    else:
        click.echo("Nothing there.")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 64 else f"{text[:61]}…"
