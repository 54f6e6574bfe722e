"""Runs a command of `crdtsync` and ends without a word, as by a power cut, at the n-th of the steps that are
counted: `python -m tests.integration.killed N COMMAND…`. The exit code is 9 where it was killed.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

KILLED = 9
STEPS = ("rename", "replace", "link", "unlink", "fsync", "mkdir")
"""What a command does to files, besides the store."""


def main(at: int, arguments: list[str]) -> None:
    """Count, and end at step ``at``."""
    import crdtsync.runtime.belonging.rejoin as rejoin
    from crdtsync.cli.group import main as crdtsync

    count = 0

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(step)
        def run(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                os._exit(KILLED)
            return step(*given, **named)

        return run

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    rejoin.append_entry = counted(rejoin.append_entry)
    crdtsync(arguments)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
