"""Noticing what other processes commit to a register's store: at once where the system tells, else by
looking.

SQLite does not tell one process of another's commit. On Linux the kernel tells of every write to the
write-ahead log (inotify), some moments before the commit counts; after such a word the store is looked at in
quick succession. Elsewhere it is looked at often while something happens and less often while nothing does.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

CHASE_S: Final = 0.001
"""A commit is on disk so soon after its first write, or a few times that; this is how often one looks for
it.
"""

CHASES: Final = 60
"""On a slow disk a commit takes longer: then its end is found by the next look."""

LOOK_EVERY_S: Final = 1.0
"""Where the system tells: in case that it did not (some network file systems)."""

POLL_EVERY_S: Final = 0.025
"""Where it does not."""

POLL_BUSY_S: Final = 0.004
BUSY_FOR: Final = 50
"""After something was found: so many quick looks, because a till sells in bursts."""

_IN_MODIFY = 0x2
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_EVENT = struct.Struct("iIII")


class CommitWatch:
    """Calls ``look`` on the event loop whenever there may be a commit. ``look`` says whether there was one,
    and costs microseconds. ``store_file`` None: nothing tells.
    """

    def __init__(self, store_file: Path | None, look: Callable[[], bool]) -> None:
        self._store_file = store_file
        self._look = look
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._quick_looks = 0

    @property
    def is_told(self) -> bool:
        """Whether the system tells of writes."""
        return self._descriptor is not None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        if self._store_file is not None:
            self._descriptor = _watch_folder(self._store_file.parent)
            if self._descriptor is not None:
                self._loop.add_reader(self._descriptor, self._told)
        self._again()

    def stop(self) -> None:
        """End. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._descriptor is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        self._loop = None

    def _told(self) -> None:
        if self._descriptor is None or self._store_file is None:
            return
        if f"{self._store_file.name}-wal" in _names(self._descriptor):
            self._quick_looks = CHASES
            self._look_now()

    def _look_now(self) -> None:
        found = self._look()
        if self.is_told:
            self._quick_looks = 0 if found else max(0, self._quick_looks - 1)
        else:
            self._quick_looks = BUSY_FOR if found else max(0, self._quick_looks - 1)
        self._again()

    def _again(self) -> None:
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self.is_told:
            pause_s = CHASE_S if self._quick_looks else LOOK_EVERY_S
        else:
            pause_s = POLL_BUSY_S if self._quick_looks else POLL_EVERY_S
        self._timer = self._loop.call_later(pause_s, self._look_now)


def _watch_folder(folder: Path) -> int | None:
    """A descriptor that becomes readable when a file in the folder is written; None where there is none."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = int(libc.inotify_init1(_FLAGS))
    except AttributeError:
        return None
    if descriptor < 0:  # The user's limit of watches is reached, for one.
        return None
    if libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return descriptor


def _names(descriptor: int) -> set[str]:
    """The files that were written since the last call."""
    names: set[str] = set()
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError as error:
            if error.errno != errno.EINTR:
                return names
            continue
        if not data:
            return names
        offset = 0
        with suppress(struct.error):
            while offset < len(data):
                *_, length = _EVENT.unpack_from(data, offset)
                offset += _EVENT.size
                names.add(os.fsdecode(data[offset : offset + length].rstrip(b"\0")))
                offset += length
