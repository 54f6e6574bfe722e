"""A group of commands that are imported when they are called; the relay's command line has one too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from crdtsync.cli.output import print_error
from crdtsync.errors import CrdtsyncError


class LazyGroup(click.Group):
    """Commands by name, each from ``command`` of a module of ``package``.

    ``modules``: command to its module in the package, and its one line in the group's help. ``program`` is
    what its errors begin with.
    """

    def __init__(
        self,
        *arguments: Any,
        program: str,
        package: str,
        modules: Mapping[str, tuple[str, str]],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.program = program
        self.package = package
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which one needs them."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.modules:
            return None
        command = importlib.import_module(f"{self.package}.{self.modules[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.modules.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error made on purpose is told in one line and ends with its exit code.

        This is the one place where errors stop. Anything that is not a ``CrdtsyncError`` is a defect and
        keeps its traceback.
        """
        for stream in (sys.stdout, sys.stderr):
            # A terminal that cannot show "€" shows "?": a ticket is never lost to its own printing.
            getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
        try:
            return super().invoke(ctx)
        except CrdtsyncError as error:
            print_error(error, program=self.program, as_json=bool(ctx.meta.get("as_json")))
            ctx.exit(error.exit_code)
