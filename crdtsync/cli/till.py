"""``crdtsync till``: the till in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, settings_of
from crdtsync.cli.output import print_json_line
from crdtsync.cli.stopping import Stop

LOOK_EVERY_S = 0.5


@click.command(
    "till",
    epilog=epilog(
        "crdtsync till --data ./till-1 --printer file:/dev/usb/lp0",
        "stopped",
        errors.NoRegister,
        errors.RoleTaken,
        (errors.CannotListen, "the port is taken"),
    ),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8790,
    show_default=True,
    envvar="CRDTSYNC_TILL_PORT",
    show_envvar=True,
    help="The port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the browser; print the link alone.")
@click.option(
    "--printer",
    "printer_text",
    metavar="WHERE",
    envvar="CRDTSYNC_PRINTER",
    show_envvar=True,
    help="An ESC/POS printer: file:/dev/usb/lp0, file:PATH or network:HOST[:PORT].",
)
@click.option(
    "--columns",
    type=click.Choice(["32", "42", "48"]),
    default="42",
    show_default=True,
    envvar="CRDTSYNC_PRINTER_COLUMNS",
    show_envvar=True,
    help="Columns of the printer's paper.",
)
@common_options
def command(
    port: int, no_browser: bool, printer_text: str | None, columns: str, data: Path, as_json: bool
) -> None:
    """Show the till in the browser of this machine, and keep the register in step, until stopped.

    Only this machine reaches it, and only by the link that is printed: each start has its own. Other commands
    work beside it. With --json the link is one JSON object on one line.
    """
    from crdtsync.runtime.folder.whose import store_of_register
    from crdtsync.till.app import Till
    from crdtsync.till.printing import PrinterAddress

    printer = PrinterAddress.read(printer_text) if printer_text else None
    store_of_register(data)
    stopped = Stop()
    with Till(data, port=port, printer=printer, columns=int(columns), **settings_of(data)) as till:
        if as_json:
            print_json_line({"address": till.address, "port": till.port})
        else:
            click.echo(f"The till: {till.address}")
        if not no_browser:
            click.launch(till.address)
        while not stopped.requested and till.is_running:
            stopped.wait(LOOK_EVERY_S)
