"""What the C library does with memory that was freed.

glibc takes what is larger than 128 KiB from the system each time, and gives the end of the heap back as soon
as so much of it is free. Of that size are messages on their way to a device, and the room that asyncio
reserves before it knows how little has come: each was mapped, filled with zeros and given back, which took
longer than all else that is done for it (see ``docs/decisions/fan-out.md``).
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

KEPT_BYTES: Final = 16 << 20
"""Free memory at the end of the heap that is not given back."""

MAPPED_FROM_BYTES: Final = 1 << 20
"""What is larger is rare, and taken from the system and given back by itself: four of asyncio's reads."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def keep_freed_memory() -> bool:
    """Keep some freed memory for the next message, in one heap: each thread had one of its own, in which the
    unpacked packs of its past stayed. It holds for the whole process: for a program at its start, before it
    has threads, not for a library. Whether the C library has such settings; if not, nothing changes.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # Not glibc.
        return False
    wanted = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES), (_M_TRIM_THRESHOLD, KEPT_BYTES))
    done = [mallopt(name, value) for name, value in wanted]
    return all(done)
