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

BEHIND_S: Final = 0.02
"""After a commit was found: the word of another one behind it may have come before, and its end after."""

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
        self._listens = False

    @property
    def is_told(self) -> bool:
        """Whether the system tells of writes."""
        return self._descriptor is not None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        if self._store_file is not None:
            self._descriptor = _watch_folder(self._store_file.parent)
            self._listen()
        self._again(LOOK_EVERY_S if self.is_told else POLL_EVERY_S)

    def stop(self) -> None:
        """End. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._descriptor is not None:
            self._listen_no_more()
            os.close(self._descriptor)
            self._descriptor = None
        self._loop = None

    def _listen(self) -> None:
        if self._loop is not None and self._descriptor is not None and not self._listens:
            self._listens = True
            self._loop.add_reader(self._descriptor, self._told)

    def _listen_no_more(self) -> None:
        if self._loop is not None and self._descriptor is not None and self._listens:
            self._listens = False
            self._loop.remove_reader(self._descriptor)

    def _told(self) -> None:
        """The first word of a commit. A dozen more follow, one for each page that is written, and each would
        interrupt whoever commits, most often a thread of this process: until the commit is found time alone
        tells when to look.
        """
        if self._is_written():
            self._quick_looks = CHASES
            self._listen_no_more()
            self._again(CHASE_S)

    def _is_written(self) -> bool:
        """Whether the system told of a write since this was last asked."""
        if self._descriptor is None or self._store_file is None:
            return False
        return f"{self._store_file.name}-wal" in _names(self._descriptor)

    def look_now(self) -> None:
        """Look, on the event loop: something is said to be committed, or it is time to look."""
        has_looked = found = False
        try:
            found = self._look()
            has_looked = True
        finally:  # A disk that cannot be read now is looked at again like any other.
            self._look_again(found, has_looked=has_looked)

    def _look_again(self, found: bool, *, has_looked: bool) -> None:
        """Later, when there may be something."""
        # Asked after the look, for whoever waits for it: the word of another commit may be among these.
        is_written = self._quick_looks > 0 and self._is_written()
        if not self.is_told:
            self._quick_looks = BUSY_FOR if found else max(0, self._quick_looks - 1)
            self._again(POLL_BUSY_S if self._quick_looks else POLL_EVERY_S)
        elif found or not has_looked:
            self._quick_looks = 0
            self._again(BEHIND_S if found and is_written else LOOK_EVERY_S)
        else:
            self._quick_looks = CHASES if is_written else max(0, self._quick_looks - 1)
            self._again(CHASE_S if self._quick_looks else LOOK_EVERY_S)
        if not self._quick_looks:
            self._listen()

    def _again(self, pause_s: float) -> None:
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(pause_s, self.look_now)


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
