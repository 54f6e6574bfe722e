"""How a command ends: with an exit code, and with an error of crdtsync if it did not do what was asked."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from crdtsync.errors import (
    CrdtsyncError,
    Interrupted,
    OutputLost,
    ReadOnlyStore,
    StorageError,
    WrongCommandLine,
)

READER_GONE = 141
"""Nobody reads standard output any more (`| head -1`); as shells show a program that SIGPIPE ended."""


def end_with(command: Callable[[], Any]) -> tuple[int, CrdtsyncError | None]:
    """Run a command; the exit code, and what a person is to be told if it failed.

    Every error that is made on purpose ends here, click's own too. Others are defects and pass.
    """
    try:
        outcome = _flushed(command)
    except OutputLost as error:
        # What is still in the buffer has nowhere to go: Python would complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        is_reader_gone = isinstance(error.__cause__, BrokenPipeError)
        return (READER_GONE, None) if is_reader_gone else (error.exit_code, error)
    except CrdtsyncError as error:
        if isinstance(error, Interrupted) and sys.stderr.isatty():
            click.echo(err=True)  # The terminal shows "^C", and the cursor stands behind it.
        return error.exit_code, error
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code, None
    except click.ClickException as error:
        wrong = _wrong_command_line(error)
        return wrong.exit_code, wrong
    return (outcome if isinstance(outcome, int) else 0), None


def meaning(error: OSError) -> CrdtsyncError | None:
    """What it means if standard output failed, if no more files can be opened, or if a file may not be used:
    only of a file the error has the name. None for what is a defect.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE):
        # In the words of `storage.sqlite_errors`, which cannot be imported any more.
        return StorageError(
            "too many files are open",
            hint="close other programs, or let this one open more files (`ulimit -n`), and try again",
        )
    if error.filename is not None:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            return None
        hint = "check the owner and the rights of that file or folder"
        return ReadOnlyStore(f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}", hint=hint)
    if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):
        return None
    return OutputLost(f"standard output cannot be written: {error.strerror}")


def _flushed(command: Callable[[], Any]) -> Any:
    try:
        outcome = command()
        if sys.stdout is not None:  # It is, where the shell closed it (`>&-`).
            sys.stdout.flush()
    except OSError as error:
        raise meaning(error) or error from error
    return outcome


def _wrong_command_line(error: click.ClickException) -> WrongCommandLine:
    text = error.format_message().rstrip(".")
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"`{ctx.command_path} --help` shows what there is" if ctx is not None else None
    return WrongCommandLine(text[:1].lower() + text[1:], hint=hint)
