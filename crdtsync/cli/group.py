"""The register's commands: what there is. How they are found and how they fail is ``lazy``'s part."""

from __future__ import annotations

import click

from crdtsync.cli.lazy import LazyGroup

COMMANDS = {
    "init": ("init", "Make a register in a folder."),
    "join": ("join", "Enrol this register in a shop, with a pairing code."),
    "company": ("company", "Say who sells, for the tickets of a register of its own."),
    "product": ("product", "Add, change, show, list and import products."),
    "open": ("open_day", "Open the business day."),
    "till": ("till", "The till in a browser: sell with a page."),
    "sell": ("sell", "Sell products and print the ticket."),
    "refund": ("refund", "Refund a ticket, whole or in part."),
    "cash": ("cash", "Record cash that goes into or out of the drawer."),
    "close": ("close_day", "Close the business day (Z)."),
    "stock": ("stock", "Add to the stock, count it, list it."),
    "sales": ("sales", "List the tickets."),
    "report": ("report", "Report of a business day: all registers of the shop."),
    "sync": ("sync", "Synchronise now."),
    "run": ("run", "Keep this register in step until stopped."),
    "status": ("status", "What is safe, what is not yet, and why."),
    "doctor": ("doctor", "Why it does not synchronise, and what to do."),
    "quarantine": ("quarantine", "What was refused, held or damaged; judge it again."),
    "inspect": ("inspect", "Look into a document as it lies on disk."),
    "resync": ("resync", "Compare with the relay and fetch or send what differs."),
    "salvage": ("salvage", "Make a store that does not open anew."),
    "verify": ("verify", "Check every checksum, link, number, total and signature."),
    "rescue": ("rescue", "Write what only this register has into a file."),
    "leave": ("leave", "Leave the shop; nothing is deleted."),
    "move": ("move", "Go over to another relay of the shop."),
}
"""Command: its module in ``crdtsync.cli``, and its one line in `crdtsync --help`."""


@click.group(
    cls=LazyGroup,
    program="crdtsync",
    package="crdtsync.cli",
    modules=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: crdtsync status --json\n\n"
    "Exit codes: 0 done, 2 wrong command line, 3 lines refused, 10-19 what was asked for, 20-28 set-up, "
    "30-35 network, 36 a rescue file, 40-44 protocol, 50-55 records, 60-67 disk, 70 output lost, "
    "130 interrupted. Each is explained in docs/reference/errors.md.",
)
@click.version_option(package_name="crdtsync", prog_name="crdtsync")
def main() -> None:
    """Sell on this register and keep it in step with the others of the shop.

    The data folder is --data DIR, or the environment variable CRDTSYNC_DATA.
    """
