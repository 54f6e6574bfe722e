"""The relay's commands: what there is, how it is found, how an error becomes one line and an exit code."""

from __future__ import annotations

import importlib
from typing import Any

import click

from crdtsync.cli.output import print_error
from crdtsync.errors import CrdtsyncError

COMMANDS = {
    "serve": ("serve", "Serve the shops of a data folder."),
    "shop": ("shop", "Make shops and list them."),
    "pair": ("pair", "Print a pairing code for one more device of a shop."),
    "status": ("status", "Shops, devices and logs as they lie on disk."),
}
"""Command: its module in ``crdtsync_server.cli``, and its one line in `crdtsync-relay --help`."""


class RelayGroup(click.Group):
    """Commands by name from ``COMMANDS``, imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which one needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"crdtsync_server.cli.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Errors made on purpose stop here; anything else is a defect, with its traceback."""
        try:
            return super().invoke(ctx)
        except CrdtsyncError as error:
            print_error(error, as_json=bool(ctx.meta.get("as_json")))
            ctx.exit(error.exit_code)


@click.group(
    cls=RelayGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: crdtsync-relay shop create 'Cave du Port' --data /var/lib/crdtsync. "
    "Exit codes: 0 done, 2 wrong option, 10-19 what was asked for, 20-27 set-up, 60-67 disk. Each is "
    "explained in docs/reference/errors.md.",
)
@click.version_option(package_name="crdtsync", prog_name="crdtsync-relay")
def main() -> None:
    """Keep the registers of a shop in step.

    The data folder is --data DIR, or the environment variable CRDTSYNC_RELAY_DATA.
    """
