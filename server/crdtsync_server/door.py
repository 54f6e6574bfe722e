"""Who may stand in the door: bounds on connections that have not said anything useful yet.

uvicorn bounds requests, not connections that never send one. Here a connection must bring a whole request
within ``request_timeout_s``; of those that have not yet, at most ``silent_connections_max`` are kept, and the
oldest goes first, so that a flood of silent connections does not shut out a register that speaks at once.
WebSocket connections are bounded by ``connections_max``; what comes after is told to try again later.
"""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from crdtsync_server.config import RelayConfig
from crdtsync_server.metrics import RelayMetrics

RETRY_AFTER_S = 5

_FULL = (
    f"HTTP/1.1 503 Service Unavailable\r\nretry-after: {RETRY_AFTER_S}\r\n"
    "connection: close\r\ncontent-length: 0\r\n\r\n"
).encode()


class Door:
    """The connections of one server: ``silent`` ones, oldest first, and how many are WebSockets."""

    def __init__(self, config: RelayConfig, metrics: RelayMetrics) -> None:
        self.config = config
        self.metrics = metrics
        self.silent: dict[GuardedHttp, asyncio.TimerHandle] = {}
        self.websockets = 0

    @property
    def is_full(self) -> bool:
        """No more WebSockets are taken."""
        return self.websockets >= self.config.connections_max

    def turn_away(self, transport: asyncio.Transport, reason: str) -> None:
        """Cut a connection off at once."""
        self.metrics.connections_turned_away.labels(reason).inc()
        transport.abort()

    def http_class(self) -> type[asyncio.Protocol]:
        """The HTTP protocol, bound to this door."""
        return type("GuardedHttp", (GuardedHttp,), {"door": self})

    def websocket_class(self) -> type[asyncio.Protocol]:
        """The WebSocket protocol, bound to this door."""
        return type("CountedWebSocket", (CountedWebSocket,), {"door": self})


class GuardedHttp(H11Protocol):
    """HTTP/1.1 that does not wait for ever."""

    door: Door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection stands in the door until its first request is whole."""
        super().connection_made(transport)
        door = self.door
        while len(door.silent) >= door.config.silent_connections_max:
            oldest = next(iter(door.silent))
            oldest.speaks()
            door.turn_away(oldest.transport, "silent-too-many")
        self._falls_silent()

    def data_received(self, data: bytes) -> None:
        """Whoever has begun a request must end it in time, however slowly the bytes drip."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self._is_done_here:
            self._falls_silent()
        else:
            self.speaks()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.speaks()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the WebSocket protocol, unless there are enough."""
        self.speaks()
        if self.door.is_full:
            self.door.metrics.connections_turned_away.labels("full").inc()
            self.transport.write(_FULL)
            self.transport.close()
            return
        super().handle_websocket_upgrade(event)

    def speaks(self) -> None:
        """No more waiting for this connection."""
        timer = self.door.silent.pop(self, None)
        if timer is not None:
            timer.cancel()

    @property
    def _is_done_here(self) -> bool:
        return self.transport.is_closing() or self.transport.get_protocol() is not self

    def _falls_silent(self) -> None:
        if self not in self.door.silent:
            timeout_s = self.door.config.request_timeout_s
            self.door.silent[self] = self.loop.call_later(timeout_s, self._was_silent_too_long)

    def _was_silent_too_long(self) -> None:
        self.door.silent.pop(self, None)
        self.door.turn_away(self.transport, "silent-too-long")


class CountedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is counted."""

    door: Door

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A peer that does not answer our close is not waited for longer than for anything else.
        self.close_timeout = min(self.close_timeout, self.door.config.request_timeout_s)

    def connection_made(self, transport: BaseTransport) -> None:
        """One more."""
        self.door.websockets += 1
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """One less."""
        self.door.websockets -= 1
        super().connection_lost(exc)
