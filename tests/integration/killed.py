"""Runs a command of `crdtsync` or `crdtsync-relay` and kills it without a word, as a power cut does, at one
of the steps that are counted: `python -m tests.integration.killed N PROGRAM COMMAND…`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from tests import forked

KILLED = -signal.SIGKILL
"""The exit code as who started it sees it."""

STEPS = ("rename", "replace", "link", "unlink", "fsync", "mkdir")
"""What a command does to files, besides the stores."""


def run(at: int, program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run it in a process of its own; at step 0 nothing is killed."""
    return forked.run(["-m", "tests.integration.killed", at, program, *arguments])


def main(at: int, program: str, arguments: list[str]) -> None:
    """Count, and end at step ``at``: just before it. A commit counts twice, before and after."""
    import crdtsync.runtime.belonging.rejoin as rejoin
    from crdtsync.storage.database import Database

    command = import_module(f"{program}.cli.group").main
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(what: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        @wraps(what)
        def run(*given: Any, **named: Any) -> Any:
            step()
            found = what(*given, **named)
            if after:
                step()
            return found

        return run

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    setattr(Database, "commit", counted(Database.commit, after=True))  # noqa: B010
    rejoin.append_entry = counted(rejoin.append_entry)
    command(arguments)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
