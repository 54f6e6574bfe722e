"""Where the time of a relay and of full registers goes: each thread's profile, written when it ends.

Python loads this file at its start if its folder is on ``PYTHONPATH``. ``make bench PROFILE=1`` puts it there
for what is measured, not for the driver. Times are by the wall clock: waiting shows as ``poll`` and
``acquire``, and a thread that waits for the interpreter's lock seems to work. Small functions look dearer
than they are.
"""

import atexit
import cProfile
import os
import pstats
import threading
from pathlib import Path

LINES = 45


def start(folder: Path) -> None:
    """Profile this thread and all that are started from now on."""
    _profile_until_exit(folder)
    _profile_threads(folder)


def _profile_until_exit(folder: Path) -> None:
    profile = cProfile.Profile()

    def end() -> None:
        profile.disable()
        _write(profile, folder / f"{os.getpid()}-main")

    atexit.register(end)
    profile.enable()


def _profile_threads(folder: Path) -> None:
    run = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        profile = cProfile.Profile()
        try:
            profile.runcall(run, thread)
        finally:
            _write(profile, folder / f"{os.getpid()}-{thread.name}")

    threading.Thread.run = profiled  # type: ignore[assignment, method-assign]


def _write(profile: cProfile.Profile, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile.dump_stats(path.with_suffix(".prof"))
    with path.with_suffix(".txt").open("w", encoding="utf-8") as out:
        stats = pstats.Stats(profile, stream=out).strip_dirs()
        for order in ("tottime", "cumulative"):
            stats.sort_stats(order).print_stats(LINES)


if os.environ.get("CRDTSYNC_BENCH_PROFILE"):
    start(Path(os.environ["CRDTSYNC_BENCH_PROFILE"]))
