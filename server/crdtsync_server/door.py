"""Who may stand in the door: bounds on connections that have not said anything useful yet.

uvicorn bounds requests, not connections that never send one. Here a connection must bring a whole request
within ``request_timeout_s``; of those that have not yet, at most ``silent_connections_max`` are kept, and the
oldest goes first, so that a flood of silent connections does not shut out a register that speaks at once.
WebSocket connections are bounded by ``connections_max``. When they are all taken, the oldest whose device has
not proved yet who it is (a *stranger*) makes room, so that a flood of strangers shuts out no register either.
If there is none, who comes is told to try again later.
"""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from crdtsync_server.config import RelayConfig
from crdtsync_server.metrics import RelayMetrics

RETRY_AFTER_S = 5

PROVED = "crdtsync.proved"
"""The extension of the ASGI scope by which the application says that a device has proved who it is."""

PIECES_MAX = 4096
"""Pieces of one message: without a bound, empty ones would cost memory for ever and never reach its size."""

UNREAD_BYTES_MAX = 1 << 20
"""Answers to pings that a peer does not read. What the application sends is held back long before."""

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
        self.strangers: dict[CountedWebSocket, None] = {}
        self.websockets = 0

    def makes_room(self) -> bool:
        """Whether one more WebSocket is taken, for which the oldest stranger may have to go."""
        if self.websockets < self.config.connections_max:
            return True
        if not self.strangers:
            return False
        oldest = next(iter(self.strangers))
        del self.strangers[oldest]
        self.turn_away(oldest.transport, "stranger-too-many")
        return True

    def turn_away(self, transport: asyncio.Transport, reason: str) -> None:
        """Cut a connection off at once."""
        if transport.is_closing():
            return
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
        if not self.door.makes_room():
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
    """A WebSocket that is counted, and that a peer cannot make swell."""

    door: Door

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A peer that does not answer our close is not waited for longer than for anything else.
        self.close_timeout = min(self.close_timeout, self.door.config.request_timeout_s)

    def connection_made(self, transport: BaseTransport) -> None:
        """One more, and nobody knows who."""
        self.door.websockets += 1
        self.door.strangers[self] = None
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """One less."""
        self.door.websockets -= 1
        self.has_proved()
        super().connection_lost(exc)

    def has_proved(self) -> None:
        """This is a stranger no more."""
        self.door.strangers.pop(self, None)

    def handle_connect(self, event: Request) -> None:
        """Let the application say who has proved who it is."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = dict(self.scope.get("extensions") or {})
            self.scope["extensions"] = extensions | {PROVED: self.has_proved}

    def handle_cont(self, event: Frame) -> None:
        """One more piece of a message."""
        if len(self.frames) >= PIECES_MAX:
            self.door.turn_away(self.transport, "too-many-pieces")
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping, if the peer reads its answers at all."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self.door.turn_away(self.transport, "reads-nothing")
