"""Synchronising on the way, as opening and closing a day do: a short try, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from crdtsync.cli.output import size
from crdtsync.errors import CrdtsyncError, LinkError, NoRegister, RemoteProtocolError, RoleTaken
from crdtsync.protocol.fields import printable
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync.runtime.register.register import Register
    from crdtsync.runtime.syncing.progress import Progress


def sync_on_the_way(register: Register) -> str:
    """Synchronise for a short time at most; one sentence of what came of it. The network never fails a
    day.
    """
    return try_to_sync(register)[0]


def try_to_sync(register: Register) -> tuple[str, CrdtsyncError | None]:
    """As ``sync_on_the_way``; also what kept it from synchronising, None where nothing did."""
    if register.replica.relay is None:
        return "This register belongs to no relay: it works alone.", None
    try:
        register.sync()
    except RoleTaken:
        return "Another process keeps this register in step.", None
    except (LinkError, RemoteProtocolError, NoRegister) as error:
        return f"Not synchronised: {error}. Everything recorded is safe on this register.", error
    return "Synchronised: the relay has everything on its disk.", None


def tell_asking(url: str, *, as_json: bool) -> None:
    """Says at once who is asked, if a person looks on: what never answers is waited for for some seconds."""
    if not as_json and sys.stderr.isatty():
        click.echo(f"asking {printable(url)} …", err=True)


def progress_on_terminal(*, as_json: bool) -> Callable[[Progress], None] | None:
    """Shows how far it is on standard error, if that is a terminal and a person is to read it."""
    if as_json or not sys.stderr.isatty():
        return None

    def show(progress: Progress) -> None:
        click.echo(f"\r{progress_text(progress):<72}", nl=False, err=True)
        if progress.is_connected and not progress.to_receive and not progress.to_send:
            click.echo(err=True)

    return show


def progress_text(progress: Progress) -> str:
    """Records, bytes and the time left: ``1200 to receive, 3 records to send, 1.4 MB moved, 8 s left``."""
    if not progress.is_connected:
        return "connecting…"
    left = f", {progress.left_s:.0f} s left" if progress.left_s else ""
    return (
        f"{progress.to_receive} to receive, {many(progress.to_send, 'record')} to send, "
        f"{size(progress.bytes_moved)} moved{left}"
    )
