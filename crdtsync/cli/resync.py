"""``crdtsync resync``: compare everything with the relay."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json, print_table
from crdtsync.cli.syncing import progress_on_terminal
from crdtsync.said import many


@click.command(
    "resync",
    epilog=epilog(
        "crdtsync resync --dry-run",
        "everything is on the relay's disk",
        errors.InvalidName,
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
@click.argument("document", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what is known here to be missing.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 86_400),
    default=300,
    show_default=True,
    help="Seconds.",
)
@common_options
def command(document: str | None, dry_run: bool, timeout_s: float, data: Path, as_json: bool) -> None:
    """Compare everything with the relay, and fetch or send what differs.

    Nothing that is here is ever dropped. Until the relay has confirmed it, everything is shown as pending.
    DOCUMENT names one to show before and after; the comparison is of all.
    """
    with open_register(data) as register:
        before = register.plan_resync(document)
        if not dry_run:
            register.resync(timeout_s, progress_on_terminal(as_json=as_json))
        after = before if dry_run else register.plan_resync(document)
    if as_json:
        print_json({"dry_run": dry_run, "before": before, "after": after})
        return
    known = {state.name: state for state in before.documents}
    rows = []
    for state in after.documents:
        was = known.get(state.name)
        came = state.records - (was.records if was else 0)
        rows.append(
            [state.name, str(state.records), f"+{came}" if came else "", (state.fingerprint or "–")[:16]]
        )
    print_table(["document", "records", "came", "fingerprint"], rows, right=(1, 2))
    for hole in after.holes:
        click.echo(f"chain {hole.chain.hex()[:8]}: entries {hole.lo} to {hole.hi} are not here")
    if dry_run:
        click.echo(
            f"{many(before.pending_records, 'record')} pending, {before.wanted} still to be fetched, "
            f"{before.apart} in quarantine. Nothing was changed."
        )
    else:
        click.echo(
            f"Compared: {many(after.records - before.records, 'record')} came; the relay has everything."
        )
