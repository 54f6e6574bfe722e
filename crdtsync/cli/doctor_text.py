"""How both command lines tell what the doctor found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from crdtsync.cli.output import print_json
from crdtsync.protocol.fields import printable
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync.runtime.doctor.finding import Finding

MARKS: Final = {"well": "ok", "notice": "note", "wrong": "WRONG", "unknown": "?"}


def tell_findings(findings: list[Finding], *, as_json: bool, more: Mapping[str, Any] | None = None) -> int:
    """Print them, and return the exit code: that of the first thing that is wrong, nearest to the disk.
    ``more`` is told beside them in JSON.
    """
    exit_code = next((found.exit_code for found in findings if found.state == "wrong"), 0)
    if as_json:
        print_json({"well": exit_code == 0, "exit_code": exit_code, "findings": findings, **(more or {})})
        return exit_code
    for found in findings:
        # Some of it is what answered at an address: it may say anything, and must not command a terminal.
        click.echo(f"{MARKS[found.state]:>5}  {found.check:<12} {printable(found.says)}")
        if found.advice:
            click.echo(f"{'':20}{printable(found.advice)}")
    count = sum(found.state == "wrong" for found in findings)
    click.echo(f"{many(count, 'thing is', 'things are')} wrong." if count else "Nothing is wrong.")
    return exit_code
