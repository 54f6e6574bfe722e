"""What both command lines say of records in quarantine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from crdtsync.cli.output import money, print_table, size
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync.runtime.damage.quarantine import Quarantined


def quarantined_facts(row: Quarantined, *, whole: bool = False) -> dict[str, Any]:
    """A record in quarantine as JSON; ``whole``: with its bytes and what it says of itself."""
    facts = {
        "digest": row.digest,
        "by": row.by,
        "kind": row.kind,
        "what": row.what,
        "code": row.code,
        "reason": row.reason,
        "held": row.held,
        "advice": row.advice,
        "at_ms": row.at_ms,
        "amount_minor": row.amount_minor,
        "author": row.author,
    }
    return facts | {"body": row.body, "bytes": row.record} if whole else facts


def print_quarantine(rows: list[Quarantined], when: Callable[[int | None], str]) -> None:
    """The list, for a person; ``when`` writes a time."""
    if not rows:
        click.echo("The quarantine is empty.")
        return
    print_table(
        ["digest", "since", "by", "what", "amount", "why"],
        [
            [
                row.digest.hex()[:8],
                when(row.at_ms),
                "the relay" if row.by == "relay" else "held here" if row.held else "here",
                row.what,
                "" if row.amount_minor is None else money(row.amount_minor),
                f"{row.code}: {row.reason}",
            ]
            for row in rows
        ],
        right=(4,),
    )


def print_quarantined(row: Quarantined, when: Callable[[int | None], str]) -> None:
    """One record, for a person."""
    by = "by the relay" if row.by == "relay" else "here"
    became = "held" if row.held else "damaged" if row.code == "damaged" else "refused"
    click.echo(f"{row.what}, {became} {by}: {row.reason}")
    click.echo(f"  {row.advice}")
    lines = [
        ("digest", row.digest.hex()),
        ("code", row.code),
        ("since", when(row.at_ms)),
        ("author", row.author.hex() if row.author else "–"),
        ("amount", money(row.amount_minor)),
        ("record", f"{size(len(row.record))} ({row.kind})"),
    ]
    for name, value in lines:
        click.echo(f"  {name:<8} {value}")
    click.echo(f"  bytes    {row.record.hex() or '–'}")


def print_retried(admitted: list[bytes], left: int) -> None:
    """What came of judging again."""
    click.echo(f"{many(len(admitted), 'record was', 'records were')} admitted, {left} stay in quarantine.")
