"""A group of commands that are imported when they are called; the relay's command line has one too."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from crdtsync.cli.ending import end_with, meaning
from crdtsync.cli.output import print_error
from crdtsync.errors import CrdtsyncError, Interrupted, WrongCommandLine


class LazyGroup(click.Group):
    """Commands by name, each from ``command`` of a module of ``package``.

    ``modules``: command to its module in the package, and its one line in the group's help. ``program`` is
    what the outermost group is called, in its help and at the beginning of its errors; ``worded`` gives an
    error the words of that program.
    """

    def __init__(
        self,
        *arguments: Any,
        package: str,
        modules: Mapping[str, tuple[str, str]],
        program: str = "",
        worded: Callable[[CrdtsyncError], CrdtsyncError] = lambda error: error,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.worded = worded
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
        """Run a command. Raises ``Interrupted`` and ``OutputLost`` for what click ends without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("stopped before it was done") from None
        except OSError as error:
            raise meaning(error) or error from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process with its exit code; an error made on purpose is one line.

        This is the one place where errors stop. Anything that is not a ``CrdtsyncError`` is a defect and
        keeps its traceback. With ``standalone_mode=False`` errors are raised, and nothing ends.
        """
        for stream in (sys.stdout, sys.stderr):
            # A terminal that cannot show "€" shows "?": a ticket is never lost to its own printing.
            getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
        if args is None:
            # The process ends with this command. What is left then goes with it: to look once more for cycles
            # among all that was imported takes as long as many a command.
            atexit.register(gc.freeze)
        arguments = list(sys.argv[1:] if args is None else args)
        name = self.program or prog_name
        if not standalone_mode:
            return super().main(arguments, name, complete_var, standalone_mode=False, **extra)

        def run() -> Any:
            _refuse_what_is_no_text(arguments)
            return super(LazyGroup, self).main(arguments, name, complete_var, standalone_mode=False, **extra)

        exit_code, error = end_with(run)
        if error is not None:
            # Asked of the arguments: what is wrong with them is found before options have values.
            print_error(self.worded(error), program=self.program, as_json="--json" in arguments)
        sys.exit(exit_code)


def _refuse_what_is_no_text(arguments: Sequence[str]) -> None:
    """Bytes that are no UTF-8 come as halves of characters, which neither the store nor a signed entry can
    have: a barcode scanner that is set to another alphabet sends them.
    """
    settings = (f"{name}={value}" for name, value in os.environ.items() if name.startswith("CRDTSYNC_"))
    for word in (*arguments, *settings):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            told = word.encode(errors="surrogateescape").decode(errors="replace")
            raise WrongCommandLine(
                f"{told!r} is not text in UTF-8",
                hint="set the terminal, or the scanner that typed it, to UTF-8",
            ) from error
