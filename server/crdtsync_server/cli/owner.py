"""``crdtsync-relay owner``: a group of commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from crdtsync.cli.lazy import LazyGroup
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync_server.shops.owner_keys import Signed

LINKS_SHOWN_MAX: Final = 20

COMMANDS = {
    "rotate": ("owner_rotate", "Hand the owner's key over to a new one."),
    "request": ("owner_request", "Write down what waits for an owner's key that is kept elsewhere."),
    "sign": ("owner_sign", "Sign a request, where the owner's key is."),
    "answer": ("owner_answer", "Take in what was signed elsewhere."),
}


@click.group("owner", cls=LazyGroup, package="crdtsync_server.cli", modules=COMMANDS)
def command() -> None:
    """The key that signs who belongs to a shop: hand it over to a new one, or keep it off the relay.

    A relay whose folder has no owner key serves as ever. A register that presents a pairing code is let wait:
    `owner request` writes a file, `owner sign` signs it on the machine that has the key, `owner answer` takes
    the signed file in, and the register joins again with the same code.
    """


def signed_facts(rows: list[Signed]) -> list[dict[str, Any]]:
    """Signed entries in JSON."""
    return [
        {
            "what": row.what,
            "device": row.device,
            "name": row.name,
            "role": row.role,
            "series": row.series,
            "entries": row.entries,
            "key": row.key,
            "replaces": row.replaces,
            "heads": [{"chain": chain, "number": n} for chain, n in row.heads],
            "links": list(row.links),
        }
        for row in rows
    ]


def print_signed(rows: list[Signed]) -> None:
    """Signed entries, for a person: what is let in or cut off, by its id and its key, so that it can be held
    against what the device itself shows.
    """
    for row in rows:
        for line in _told(row):
            click.echo(line)


def _told(row: Signed) -> Iterator[str]:
    if row.what == "certify":
        series = f", series {row.series}" if row.series else ""
        yield f"lets in {row.name} ({row.role}{series})"
        yield f"  device {_hex(row.device)}, key {_hex(row.key)}"
        if row.replaces is not None:
            yield f"  in the place of the lost device {row.replaces.hex()}"
    elif row.what == "revoke":
        yield f"cuts off {row.name}"
        yield f"  device {_hex(row.device)}"
        for chain, n in row.heads:
            yield f"  what it made stays good up to entry {n} of chain {chain.hex()[:16]}…"
        if not row.heads:
            yield "  nothing that it made is known"
    elif row.what == "owner-approve":
        yield f"lets in {many(row.entries or 0, 'entry', 'entries')} of {row.name}, which was cut off"
        yield f"  device {_hex(row.device)}"
        for link in row.links[:LINKS_SHOWN_MAX]:
            yield f"  {link.hex()}"
        if len(row.links) > LINKS_SHOWN_MAX:
            yield f"  and {len(row.links) - LINKS_SHOWN_MAX} more: --json names them all"
    else:
        yield f"hands over to the key {_hex(row.key)}"


def _hex(value: bytes | None) -> str:
    return value.hex() if value is not None else "–"
