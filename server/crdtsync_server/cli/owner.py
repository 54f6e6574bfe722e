"""``crdtsync-relay owner``: a group of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crdtsync.cli.lazy import LazyGroup

if TYPE_CHECKING:
    from crdtsync_server.shops.owner_keys import Signed

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
        }
        for row in rows
    ]


def print_signed(rows: list[Signed]) -> None:
    """Signed entries, for a person."""
    for row in rows:
        if row.what == "certify":
            series = f", series {row.series}" if row.series else ""
            click.echo(f"lets in {row.name} ({row.role}{series})")
        elif row.what == "revoke":
            click.echo(f"cuts off {row.name}")
        elif row.what == "owner-approve":
            click.echo(f"lets in {row.entries} entries of {row.name}, which was cut off")
        else:
            click.echo(f"hands over to the key {row.name}…")
