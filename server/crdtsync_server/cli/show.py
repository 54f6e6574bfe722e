"""How the relay's commands show codes and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crdtsync_server.shops.devices import utc

if TYPE_CHECKING:
    from crdtsync_server.shops.pairing import IssuedCode


def code_facts(issued: IssuedCode) -> dict[str, Any]:
    """A code in JSON."""
    return {"code": issued.code.format(), "role": issued.role, "expires_at": utc(issued.expires_ms)}


def print_code(issued: IssuedCode) -> None:
    """A code for a person, with what to do with it."""
    click.echo(f"Pairing code for one {issued.role}, until {utc(issued.expires_ms)}:")
    click.echo(f"  {issued.code.format()}")
    click.echo("On the device: crdtsync join ws://RELAY:PORT CODE --data DIR")
