"""``crdtsync sync``: synchronise once."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import money, print_json
from crdtsync.cli.syncing import progress_on_terminal
from crdtsync.said import many


@click.command(
    "sync",
    epilog=epilog(
        "crdtsync sync --timeout 120",
        "everything is on the relay's disk",
        errors.NoRegister,
        errors.RoleTaken,
        errors.RelayUnreachable,
        errors.LinkClosed,
        errors.AccessDenied,
        errors.WrongRelayKey,
        errors.NotSynchronised,
        errors.UnsupportedVersion,
    ),
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 86_400),
    default=60,
    show_default=True,
    help="Seconds.",
)
@common_options
def command(timeout_s: float, data: Path, as_json: bool) -> None:
    """Synchronise now. Done means: the relay has everything of this register on its disk.

    Ends with an error (and loses nothing) when that was not reached.
    """
    with open_register(data) as register:
        before = register.status(with_documents=False).pending
        register.sync(timeout_s, progress_on_terminal(as_json=as_json))
        register.replica.views.catch_up()
        register.products.refresh()
    if as_json:
        print_json({"state": "synced", "sent_sales": before.sales, "sent_amount_minor": before.amount_minor})
        return
    if before.sales:
        click.echo(f"Sent: {many(before.sales, 'ticket')}, {money(before.amount_minor)}.")
    click.echo("Synchronised: the relay has everything on its disk.")
