"""The relay's commands: what there is."""

from __future__ import annotations

import click

from crdtsync.cli.lazy import LazyGroup
from crdtsync_server.damage import in_a_relays_words

COMMANDS = {
    "serve": ("serve", "Serve the shops of a data folder."),
    "shop": ("shop", "Make shops, list them, bring them to another relay."),
    "pair": ("pair", "Print a pairing code for one more device of a shop."),
    "restore": ("restore", "Print a pairing code for the register that replaces a lost one."),
    "revoke": ("revoke", "Cut a device off; what it sold stays."),
    "account": ("account", "Let people into the back office."),
    "verify": ("verify", "Check every checksum, link, number, total and signature."),
    "quarantine": ("quarantine", "What was refused, held or damaged; judge it again."),
    "doctor": ("doctor", "What keeps the relay from its work, and what to do."),
    "status": ("status", "Shops, devices and what was not admitted."),
    "hold": ("hold", "Sales of devices that were cut off: show them, let them in."),
    "backup": ("backup", "Bring what is new into a backup, while the relay runs."),
    "restore-from": ("restore_from", "Put a relay back from a backup, into a new folder."),
    "owner": ("owner", "The key that signs who belongs to a shop: hand it over, keep it elsewhere."),
    "missing": ("missing", "What registers recorded and nobody has any more."),
    "rescue": ("rescue", "Take what a register wrote into a rescue file."),
}
"""Command: its module in ``crdtsync_server.cli``, and its one line in `crdtsync-relay --help`."""


@click.group(
    cls=LazyGroup,
    program="crdtsync-relay",
    package="crdtsync_server.cli",
    modules=COMMANDS,
    worded=in_a_relays_words,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: crdtsync-relay shop create 'Cave du Port' --data /var/lib/crdtsync\n\n"
    "Exit codes: 0 done, 2 wrong command line, 10-19 what was asked for, 20-28 set-up, 36 a rescue file, "
    "50 records, 60-67 disk, 70 output lost, 130 interrupted. Each is explained in docs/reference/errors.md.",
)
@click.version_option(package_name="crdtsync", prog_name="crdtsync-relay")
def main() -> None:
    """Keep the registers of a shop in step.

    The data folder is --data DIR, or the environment variable CRDTSYNC_RELAY_DATA.
    """
