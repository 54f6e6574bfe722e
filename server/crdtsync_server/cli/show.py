"""How the relay's commands show codes and times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from crdtsync_server.pairing import IssuedCode


def utc(at_ms: int) -> str:
    """A moment for machines and people alike: ``2026-11-24T14:32:05Z``."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def code_facts(issued: IssuedCode) -> dict[str, Any]:
    """A code in JSON."""
    return {"code": issued.code.format(), "role": issued.role, "expires_at": utc(issued.expires_ms)}


def print_code(issued: IssuedCode) -> None:
    """A code for a person, with what to do with it."""
    click.echo(f"Pairing code for one {issued.role}, until {utc(issued.expires_ms)}:")
    click.echo(f"  {issued.code.format()}")
    click.echo("On the device: crdtsync join ws://RELAY:PORT CODE --data DIR")
