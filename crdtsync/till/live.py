"""What open pages are told: the state of safety, the basket, how far synchronising is.

A stream of Server-Sent Events for each open page, with a beat every few seconds: a page that hears none says
itself that it knows nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

import orjson

from crdtsync.till.safety import Snapshot

BEAT_S: Final = 2.0
PAGES_MAX: Final = 16


class Live:
    """All open pages of one till. ``told`` may be called from any thread, the rest on the event loop."""

    def __init__(self) -> None:
        self.current: Snapshot | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: set[asyncio.Event] = set()
        self._is_closed = False

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()

    def told(self, snapshot: Snapshot) -> None:
        """Something that pages show has changed."""
        self.current = snapshot
        self._on_loop(self._wake)

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        self._wake()

    def close_soon(self) -> None:
        """As ``close``, from any thread."""
        self._on_loop(self.close)

    def _on_loop(self, work: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # It was closed: nobody listens any more.
                loop.call_soon_threadsafe(work)

    @property
    def is_full(self) -> bool:
        """Whether no more pages are listened to."""
        return self._is_closed or len(self._changed) >= PAGES_MAX

    async def events(self, paint: Callable[[Snapshot], dict[str, str]]) -> AsyncIterator[str]:
        """The stream of one page. ``paint``: what it shows of a snapshot: HTML by the name of its place."""
        news = asyncio.Event()
        self._changed.add(news)
        sent: dict[str, str] = {}
        try:
            yield "retry: 500\n\n"
            while not self._is_closed:
                snapshot = self.current
                if snapshot is not None:
                    for name, html in paint(snapshot).items():
                        if sent.get(name) != html:
                            sent[name] = html
                            yield f"event: {name}\ndata: {orjson.dumps(html).decode()}\n\n"
                # A beat says that what was sent last is still so.
                yield "event: beat\ndata: 1\n\n"
                try:
                    async with asyncio.timeout(BEAT_S):
                        await news.wait()
                except TimeoutError:
                    pass
                news.clear()
        finally:
            self._changed.discard(news)

    def _wake(self) -> None:
        for news in self._changed:
            news.set()
