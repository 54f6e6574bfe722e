"""Live pages: what changed is computed once a shop, room and language, and handed to every open page.

A page listens by Server-Sent Events. Each listener has room for the newest state alone: a slow browser
misses states in between, and costs no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from crdtsync_server.dashboard.shop import OfficeShop

PAGES_MAX: Final = 512
PAGES_PER_SESSION_MAX: Final = 8
HEARTBEAT_S: Final = 15.0
"""Proxies cut a connection that is silent for a minute; and a session that ended is noticed by then."""

Paint = Callable[[OfficeShop, str], str]
"""What a room shows now, as HTML in that language. On the office's thread."""


@dataclass(eq=False)
class Listener:
    """One open page. ``newest`` is what it has not been sent yet, with its number."""

    shop: bytes
    room: str
    language: str
    session: str
    newest: tuple[int, str] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """All open pages of one relay. ``rooms`` says how to paint each."""

    def __init__(self, rooms: dict[str, Paint], *, moves_alone: frozenset[str] = frozenset()) -> None:
        """``moves_alone``: rooms whose state changes without a commit."""
        self._rooms = rooms
        self._moves_alone = moves_alone
        self._listeners: set[Listener] = set()
        self._looked_at: dict[bytes, frozenset[tuple[str, str]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: dict[tuple[bytes, str, str], str] = {}
        self._is_closed = False
        self._painted = 0

    # -- on the event loop ---------------------------------------------------------------------------------

    def join(self, shop: bytes, room: str, language: str, session: str) -> Listener | None:
        """One more open page; None if there are enough. ``leave`` it in the end."""
        of_session = sum(one.session == session for one in self._listeners)
        if self._is_closed or len(self._listeners) >= PAGES_MAX or of_session >= PAGES_PER_SESSION_MAX:
            return None
        self._loop = asyncio.get_running_loop()
        listener = Listener(shop, room, language, session)
        self._listeners.add(listener)
        self._note(shop)
        return listener

    def leave(self, listener: Listener) -> None:
        """The page is gone."""
        self._listeners.discard(listener)
        self._note(listener.shop)

    def close(self) -> None:
        """End every stream: the relay stops."""
        self._is_closed = True
        for listener in self._listeners:
            listener.news.set()

    async def events(
        self, listener: Listener, first: tuple[int, str], is_welcome: Callable[[], object]
    ) -> AsyncIterator[str]:
        """The stream of one page: its state now, and each new one. ``is_welcome`` (awaitable) is asked at
        every heartbeat whether its session is still good.
        """
        try:
            number, sent = first
            yield "retry: 2000\n\n" + _event(listener.room, sent)
            while not self._is_closed:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await listener.news.wait()
                except TimeoutError:
                    if not await is_welcome():  # type: ignore[misc]
                        return
                    yield ": \n\n"
                    continue
                listener.news.clear()
                newest, listener.newest = listener.newest, None
                # What was painted before the first state may be told after it.
                if newest is not None and newest[0] > number and newest[1] != sent:
                    number, sent = newest
                    yield _event(listener.room, sent)
        finally:
            self.leave(listener)

    def _note(self, shop: bytes) -> None:
        looked_at = frozenset((one.room, one.language) for one in self._listeners if one.shop == shop)
        # A new table each time: the office's thread reads it.
        self._looked_at = {**self._looked_at, shop: looked_at}
        if not looked_at:
            self._looked_at.pop(shop)

    def _hand_out(self, shop: bytes, room: str, language: str, state: tuple[int, str]) -> None:
        for listener in self._listeners:
            if (listener.shop, listener.room, listener.language) == (shop, room, language):
                listener.newest = state
                listener.news.set()

    # -- on the office's thread ------------------------------------------------------------------------------

    def shops(self) -> set[bytes]:
        """See ``Listeners``."""
        return set(self._looked_at)

    def paint(self, shop: OfficeShop, room: str, language: str) -> tuple[int, str]:
        """What a room shows now, with a number by which states are told apart: a later one is larger."""
        html = self._rooms[room](shop, language)
        self._painted += 1
        return self._painted, html

    def tell(self, shop: OfficeShop, *, by_commit: bool) -> None:
        """See ``Listeners``."""
        loop, name = self._loop, shop.log.shop
        for room, language in self._looked_at.get(name, ()):
            if not by_commit and room not in self._moves_alone:
                continue
            number, html = self.paint(shop, room, language)
            if self._last.get((name, room, language)) == html or loop is None or loop.is_closed():
                continue
            self._last[name, room, language] = html
            loop.call_soon_threadsafe(self._hand_out, name, room, language, (number, html))


def _event(room: str, html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"event: {room}\n{lines}\n"
