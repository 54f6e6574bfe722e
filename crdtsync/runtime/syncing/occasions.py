"""Occasions to try the relay again at once: the network has changed, the machine has slept.

Waiting is for when nothing is known to have changed. After suspend the connection of before is dead, and
nobody says so: the clock that counts sleep tells it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

SLEPT_S: Final = 10.0
"""From so long a sleep on, the connection of before is given up: the relay gives up on it in 35 s."""

_ADDRESSES_AND_ROUTES = 0x10 | 0x40 | 0x100 | 0x400
"""Groups of rtnetlink: addresses and routes of IPv4 and IPv6."""

_NEW_ADDRESS, _NEW_ROUTE = 20, 24
_HEADER = struct.Struct("=IHHII")


def sleep_clock_s() -> float:
    """How long the machine has slept, up to a constant. Where the system does not tell it apart from a clock
    that was set, that counts too: to try again once too often does no harm.
    """
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    awake_s = time.monotonic()
    return (time.time() if boot_time is None else time.clock_gettime(boot_time)) - awake_s


class SleepWatch:
    """Whether the machine has slept since one last asked."""

    def __init__(self, clock_s: Callable[[], float] = sleep_clock_s) -> None:
        self._clock_s = clock_s
        self._slept_s = clock_s()

    def has_slept(self) -> bool:
        """Whether it has, for ``SLEPT_S`` at least. A clock set back counts as nothing."""
        before, self._slept_s = self._slept_s, self._clock_s()
        return self._slept_s - before >= SLEPT_S


class NetworkWatch:
    """Calls ``changed`` on the event loop when the machine gets an address or a route. Only Linux tells."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._socket = _open_netlink()
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._read)

    def stop(self) -> None:
        """End. Idempotent."""
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:  # More happened than the kernel could remember: something has changed.
            self._changed()
            return
        if is_news(data):
            self._changed()


def is_news(data: bytes) -> bool:
    """Whether a datagram of rtnetlink tells of a new address or route."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if kind in (_NEW_ADDRESS, _NEW_ROUTE):
            return True
        offset += max(_HEADER.size, (length + 3) & ~3)
    return False


def _open_netlink() -> socket.socket | None:
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    netlink = None
    try:
        netlink = socket.socket(family, socket.SOCK_RAW, getattr(socket, "NETLINK_ROUTE", 0))
        netlink.setblocking(False)
        netlink.bind((0, _ADDRESSES_AND_ROUTES))
    except OSError:  # A sandbox may forbid it: one waits a little longer, then.
        if netlink is not None:
            netlink.close()
        return None
    return netlink
