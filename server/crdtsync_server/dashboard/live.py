"""Live pages: what changed is computed once a shop, room and language, and handed to every open page.

A page listens by Server-Sent Events. Each listener has room for the newest state alone: a slow browser
misses states in between, and costs no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from crdtsync.errors import CrdtsyncError
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.serving.logs import get_logger

PAGES_MAX: Final = 512
PAGES_PER_SHOP_MAX: Final = 128
"""One shop leaves room for the pages of the others of its relay."""

PAGES_PER_SESSION_MAX: Final = 8
HEARTBEAT_S: Final = 15.0
"""Proxies cut a connection that is silent for a minute; and a session that ended is noticed by then, however
much is told meanwhile.
"""

FRESH_S: Final = 0.5
REST_FACTOR: Final = 20.0
"""A page that opens is shown what was painted last, if that is no older than half a second, or than twenty
times what painting took: fifty that open at once cost one painting. What came since is told to all.
"""

Paint = Callable[..., str]
"""What a room shows now, as HTML: of that shop, in that language, and, where the room has many pages, of what
stands behind its name: ``register/0f3c…`` is painted by ``register`` about ``0f3c…``. On the office's thread.
"""


@dataclass(frozen=True, slots=True)
class State:
    """What a room shows; ``event`` is sent to every page of it. Of two, the later has the larger number."""

    number: int
    html: str
    event: bytes


@dataclass(eq=False)
class Listener:
    """One open page. ``newest`` is what it has not been sent yet; ``is_over``: it could not be painted;
    ``is_doubted``: whether its session is still good is to be asked before anything else is told.
    """

    shop: bytes
    room: str
    language: str
    session: str
    newest: State | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False
    is_doubted: bool = False


class Live:
    """All open pages of one relay. ``rooms`` says how to paint each."""

    def __init__(
        self,
        rooms: dict[str, Paint],
        *,
        moves_alone: frozenset[str] = frozenset(),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``moves_alone``: rooms whose state changes without a commit."""
        self._rooms, self._now_s = rooms, now_s
        self._moves_alone = moves_alone
        self._listeners: set[Listener] = set()
        self._looked_at: dict[bytes, frozenset[tuple[str, str]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shown: dict[tuple[bytes, str, str], tuple[State, float]] = {}
        self._is_closed = False
        self._painted = 0

    # -- on the event loop ---------------------------------------------------------------------------------

    def join(self, shop: bytes, room: str, language: str, session: str) -> Listener | None:
        """One more open page; None if there are enough. ``leave`` it in the end."""
        of_session = sum(one.session == session for one in self._listeners)
        of_shop = sum(one.shop == shop for one in self._listeners)
        is_full = len(self._listeners) >= PAGES_MAX or of_shop >= PAGES_PER_SHOP_MAX
        if self._is_closed or is_full or of_session >= PAGES_PER_SESSION_MAX:
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

    def look_at_the_door(self, shop: bytes) -> None:
        """Somebody of the shop was signed out: no page of his is told anything more. Pages of other programs
        (`crdtsync-relay people`) end at their next heartbeat.
        """
        for listener in self._listeners:
            if listener.shop == shop:
                listener.is_doubted = True
                listener.news.set()

    def close(self) -> None:
        """End every stream: the relay stops."""
        self._is_closed = True
        for listener in self._listeners:
            listener.news.set()

    async def events(
        self, listener: Listener, first: State, is_welcome: Callable[[], object]
    ) -> AsyncIterator[bytes]:
        """The stream of one page: its state now, and each new one. ``is_welcome`` (awaitable) says whether
        its session is still good: asked at first, at every heartbeat, and when somebody was signed out.
        """
        try:
            sent, asked_s = first, self._now_s()
            if not await self._is_welcome(listener, is_welcome):
                return
            yield b"retry: 2000\n\n" + first.event
            while not (self._is_closed or listener.is_over):
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await listener.news.wait()
                except TimeoutError:
                    pass
                is_silent = not listener.news.is_set()
                listener.news.clear()  # What comes while the door is looked at is told at the next turn.
                if listener.is_doubted or is_silent or self._now_s() - asked_s >= HEARTBEAT_S:
                    if not await self._is_welcome(listener, is_welcome):
                        return
                    asked_s = self._now_s()
                    yield b": \n\n"
                    if listener.is_doubted:  # Somebody was signed out while a slow browser took that.
                        continue
                newest, listener.newest = listener.newest, None
                # What was painted before the first state may be told after it.
                if newest is not None and newest.number > sent.number and newest.html != sent.html:
                    sent = newest
                    yield sent.event
        finally:
            self.leave(listener)

    async def _is_welcome(self, listener: Listener, ask: Callable[[], object]) -> bool:
        while True:
            listener.is_doubted = False
            is_welcome = bool(await ask())  # type: ignore[misc]
            if not listener.is_doubted:  # Nobody was signed out while it was asked.
                return is_welcome

    def _note(self, shop: bytes) -> None:
        looked_at = frozenset((one.room, one.language) for one in self._listeners if one.shop == shop)
        # A new table each time: the office's thread reads it.
        self._looked_at = {**self._looked_at, shop: looked_at}
        if not looked_at:
            self._looked_at.pop(shop)

    def _hand_out(self, shop: bytes, room: str, language: str, state: State) -> None:
        for listener in self._listeners:
            if (listener.shop, listener.room, listener.language) == (shop, room, language):
                listener.newest = state
                listener.news.set()

    def _let_go(self, shop: bytes, room: str, language: str) -> None:
        """End the streams of a page that cannot be painted: it says so, asks again, and is answered so."""
        for listener in self._listeners:
            if (listener.shop, listener.room, listener.language) == (shop, room, language):
                listener.is_over = True
                listener.news.set()

    # -- on the office's thread ------------------------------------------------------------------------------

    def shops(self) -> set[bytes]:
        """See ``Listeners``."""
        return set(self._looked_at)

    def paint(self, shop: OfficeShop, room: str, language: str) -> State:
        """What a room shows now."""
        name, _, about = room.partition("/")
        html = self._rooms[name](shop, language, *filter(None, [about]))
        self._painted += 1
        return State(self._painted, html, _event(name, html))

    def first(self, shop: OfficeShop, room: str, language: str) -> State:
        """What a page that opens is shown, after it has joined."""
        state, good_until_s = self._shown.get((shop.log.shop, room, language), (None, 0.0))
        if state is None or self._now_s() >= good_until_s:
            state = self._show(shop, room, language)
        return state

    def tell(self, shop: OfficeShop, *, by_commit: bool) -> None:
        """See ``Listeners``."""
        looked_at = self._looked_at.get(shop.log.shop, frozenset())
        for key in [key for key in self._shown if key[0] == shop.log.shop and key[1:] not in looked_at]:
            del self._shown[key]  # Nobody would tell whoever opens it next what has changed now.
        moving = [key for key in looked_at if by_commit or key[0].partition("/")[0] in self._moves_alone]
        with shop.at_one_look():
            failed = [error for key in moving if (error := self._try_to_show(shop, *key)) is not None]
        if failed:
            raise failed[-1]

    def _try_to_show(self, shop: OfficeShop, room: str, language: str) -> CrdtsyncError | None:
        """As ``_show``; where it fails, the streams of that page end, and the others are told."""
        failed = None
        try:
            self._show(shop, room, language)
            return None
        except CrdtsyncError as error:  # Whoever tells knows what to do about it, after the others.
            failed = error
        except Exception as error:  # The boundary of a page: the others are told.
            get_logger().exception("page_failed", room=room, reason=repr(error))
        self._shown.pop((shop.log.shop, room, language), None)
        self._on_loop(self._let_go, shop.log.shop, room, language)
        return failed

    def _show(self, shop: OfficeShop, room: str, language: str) -> State:
        """Paint, and hand out what differs from what all have."""
        key, began_s = (shop.log.shop, room, language), self._now_s()
        state, known = self.paint(shop, room, language), self._shown.get(key)
        painted_s = self._now_s()
        if known is not None and known[0].html == state.html:
            state = known[0]
        else:
            self._on_loop(self._hand_out, *key, state)
        self._shown[key] = state, painted_s + max(FRESH_S, REST_FACTOR * (painted_s - began_s))
        return state

    def _on_loop(self, work: Callable[..., None], *what: object) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(work, *what)


def _event(room: str, html: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"event: {room}\n{lines}\n".encode()
