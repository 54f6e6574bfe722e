"""A program of the package as a process of its own, as it is shipped, at the hour of the day that is played:

    python -m tests.day.at_hour FILE MODULE ARGUMENT…

The hour lies in FILE, where whoever plays the day moves it (``ClockForAll``). Nothing else is changed.
"""

from __future__ import annotations

import mmap
import runpy
import sys
from pathlib import Path

from crdtsync.runtime.clock import SystemClock
from crdtsync.testing.clock import ManualClock


def _hour(file: Path) -> memoryview:
    """The one number that is in the file, as all who have it open see it."""
    with file.open("r+b") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 8)).cast("q")


class ClockForAll(ManualClock):
    """A clock that is moved by hand, for this process and for those that were given its ``file``."""

    def __init__(self, file: Path, at_ms: int) -> None:
        file.write_bytes(bytes(8))
        self.file, self._hour = file, _hour(file)
        super().__init__(at_ms)

    @property
    def at_ms(self) -> int:  # type: ignore[override]
        """See ``ManualClock``."""
        return self._hour[0]

    @at_ms.setter
    def at_ms(self, at_ms: int) -> None:
        self._hour[0] = at_ms


def main() -> None:
    """Run the module at that hour."""
    file, module, *arguments = sys.argv[1:]
    hour = _hour(Path(file))
    # The hour is moved for all: what is counted on from the relay's time goes with it.
    for what_is_read in ("now_ms", "ticks_ms"):
        setattr(SystemClock, what_is_read, lambda self: hour[0])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
