"""What has come of one WebSocket and waits for the application, in place of uvicorn's queue.

Whoever waits for the next event is woken by a task's turn, which costs more than most of what devices send.
So an application may listen instead: it is called once for all that one read of the socket has brought.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn._types import ASGIReceiveEvent


class Gate:
    """Open, or to be waited for: what uvicorn uses of ``asyncio.Event``, and a tenth of its size."""

    __slots__ = ("_is_open", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_open = True
        self._waiting: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Whether it is open."""
        return self._is_open

    def set(self) -> None:
        """Open it."""
        self._is_open = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def clear(self) -> None:
        """Close it."""
        self._is_open = False

    async def wait(self) -> bool:
        """Wait until it is open. Like the other one, it may be closed again by then."""
        if not self._is_open:
            self._waiting.append(self._loop.create_future())
            await self._waiting[-1]
        return True


class Mailbox:
    """The events of one connection, oldest first: what uvicorn uses of ``asyncio.Queue``, and smaller."""

    __slots__ = ("_came", "_events", "_is_called", "_is_held", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: list[ASGIReceiveEvent] = []
        self._waiting: asyncio.Future[None] | None = None
        self._came: Callable[[], None] | None = None
        self._is_called = self._is_held = False

    def listen(self, came: Callable[[], None]) -> None:
        """Have ``came`` called from now on, on a turn of its own, when there is something."""
        self._came = came
        if self._events:
            self.call()

    def hold(self) -> None:
        """Call nobody for what comes until ``let_go``."""
        self._is_held = True

    def let_go(self) -> None:
        """Call whoever listens now, if something has come meanwhile."""
        self._is_held = False
        if self._events and self._came is not None:
            self._came()

    def call(self) -> None:
        """Have whoever listens called on the next turn."""
        if self._came is not None and not self._is_called and not self._is_held:
            self._is_called = True
            self._loop.call_soon(self._call)

    def put_nowait(self, event: ASGIReceiveEvent) -> None:
        """One more."""
        self._events.append(event)
        self.call()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._events

    def get_nowait(self) -> ASGIReceiveEvent:
        """The oldest. There must be one."""
        return self._events.pop(0)

    async def get(self) -> ASGIReceiveEvent:
        """The oldest, as soon as there is one. Not for more than one at a time."""
        while not self._events:
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self.get_nowait()

    def _call(self) -> None:
        self._is_called = False
        if self._came is not None:
            self._came()
