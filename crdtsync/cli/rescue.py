"""``crdtsync rescue``: what only this register has, in a file."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog
from crdtsync.cli.output import money, print_json
from crdtsync.said import many


@click.command(
    "rescue",
    epilog=epilog(
        "crdtsync rescue /media/stick/till-1.rescue",
        "written",
        errors.NoRegister,
        (errors.InvalidRescue, "there is such a file already"),
        (errors.DamagedStore, "something could not be read, the rest is in the file"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@common_options
def command(file: Path, data: Path, as_json: bool) -> None:
    """Write everything that no relay has acknowledged into FILE, for a mail or a stick.

    Whoever runs the relay takes it with `crdtsync-relay rescue FILE`, any number of times. Works while the
    till sells, and from a damaged store with what can still be read. Nothing on the register is changed.
    """
    from crdtsync.runtime.clock import SystemClock
    from crdtsync.runtime.damage.rescue import rescue

    made = rescue(data, file, SystemClock().now_ms())
    if as_json:
        print_json(
            {
                "file": str(made.file),
                "bytes": made.bytes,
                "records": made.pending.records,
                "tickets": made.pending.sales,
                "amount_minor": made.pending.amount_minor,
                "certificates": made.certificates,
                "signed": made.is_signed,
                "unreadable": made.unreadable,
            }
        )
    else:
        tickets, records = many(made.pending.sales, "ticket"), many(made.pending.records, "record")
        click.echo(f"{made.file}: {tickets}, {money(made.pending.amount_minor)} ({records}).")
        if not made.pending.records:
            click.echo("Nothing is pending: the relay has everything on its disk.")
        else:
            click.echo("On the relay: crdtsync-relay rescue FILE --data DIR")
        for what in made.unreadable:
            click.echo(f"Could not be read: {what}", err=True)
    if made.unreadable:
        raise errors.DamagedStore(
            f"not all of the store could be read ({len(made.unreadable)}): {made.unreadable[0]}",
            hint="keep the data folder as it is; what could be read is in the file",
        )
