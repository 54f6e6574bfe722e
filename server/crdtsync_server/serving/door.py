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
import ssl
from asyncio.transports import BaseTransport
from collections.abc import Callable
from typing import Any, Final, Protocol

import h11
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import Protocol as Frames
from websockets.protocol import State

from crdtsync_server.config import RelayConfig
from crdtsync_server.serving.mailbox import Gate, Mailbox
from crdtsync_server.serving.metrics import RelayMetrics

RETRY_AFTER_S = 5

PROVED = "crdtsync.proved"
"""The extension of the ASGI scope by which the application says that a device has proved who it is."""

PIECES_MAX = 4096
"""Pieces of one message: without a bound, empty ones would cost memory for ever and never reach its size."""

WAITING_BYTES_MAX = 64 << 10
WAITING_MESSAGE_BYTES = 512
"""What waits for the application before the socket is read no more; a message counts for so much besides its
bytes. uvicorn stops and begins again at every message, which is two system calls for each.
"""

READ_BYTES = 64 << 10
"""What is read from a socket at a time. asyncio reserves four times as much for each read."""

SILENT_S = "crdtsync.silent_s"
"""The extension of the ASGI scope by which the application learns for how long nothing has come."""

WRITE = "crdtsync.write"
"""The extension of the ASGI scope that writes messages at once, if the device takes them."""

READ = "crdtsync.read"
"""The extension of the ASGI scope that gives the next message if it is here already."""

LISTEN = "crdtsync.listen"
"""The extension of the ASGI scope by which the application is called when something is there to be read."""

STAY = "crdtsync.stay"
"""The extension of the ASGI scope by which the application keeps the connection when it returns, and then
closes it itself. A task and the layers of ASGI that wait with each device would take 2 KB of memory.
"""

UNREAD_BYTES_MAX = 1 << 20
"""Answers to pings that a peer does not read. What the application sends is held back long before."""

_FULL = (
    f"HTTP/1.1 503 Service Unavailable\r\nretry-after: {RETRY_AFTER_S}\r\n"
    "connection: close\r\ncontent-length: 0\r\n\r\n"
).encode()


class Newcomer(Protocol):
    """A connection that has not said yet what it wants."""

    transport: asyncio.Transport


class Door:
    """The connections of one server: ``silent`` ones, oldest first, and how many are WebSockets."""

    def __init__(self, config: RelayConfig, metrics: RelayMetrics) -> None:
        self.config = config
        self.metrics = metrics
        self.silent: dict[Newcomer, asyncio.TimerHandle] = {}
        self.strangers: dict[CountedWebSocket, None] = {}
        self.websockets = 0
        self.one_left = asyncio.Event()
        """Set whenever a WebSocket is gone; whoever waits for it clears it before."""

    def wait_for(self, newcomer: Newcomer) -> None:
        """Let it stand here until ``has_spoken``, but no longer than a request may take."""
        if newcomer in self.silent:
            return
        while len(self.silent) >= self.config.silent_connections_max:
            self._give_up(next(iter(self.silent)), "silent-too-many")
        loop = asyncio.get_running_loop()
        timeout_s = self.config.request_timeout_s
        self.silent[newcomer] = loop.call_later(timeout_s, self._give_up, newcomer, "silent-too-long")

    def has_spoken(self, newcomer: Newcomer) -> None:
        """No more waiting for this connection. Idempotent."""
        timer = self.silent.pop(newcomer, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self, newcomer: Newcomer, reason: str) -> None:
        self.has_spoken(newcomer)
        self.turn_away(newcomer.transport, reason)

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

    def http_class(self) -> type[GuardedHttp]:
        """The HTTP protocol, bound to this door."""
        return type("GuardedHttp", (GuardedHttp,), {"door": self})

    def websocket_class(self) -> type[CountedWebSocket]:
        """The WebSocket protocol, bound to this door."""
        return type("CountedWebSocket", (CountedWebSocket,), {"door": self})


class GuardedTls(asyncio.Protocol):
    """A connection until its TLS handshake is done; then it is one of ``GuardedHttp``.

    asyncio's own way to serve TLS bounds the time of a handshake, but not how many are under way.
    """

    def __init__(self, door: Door, context: ssl.SSLContext, make_http: Callable[[], GuardedHttp]) -> None:
        self.transport: asyncio.Transport
        self._door = door
        self._context = context
        self._http = make_http()
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()  # Until the handshake takes what comes.
        self._door.wait_for(self)
        self._handshake = asyncio.get_running_loop().create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        # The door's own timeout comes first; asyncio's is there because it insists on one.
        timeout_s = self._door.config.request_timeout_s + 1
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                self.transport, self._http, self._context, server_side=True, ssl_handshake_timeout=timeout_s
            )
        except OSError:
            self._door.turn_away(self.transport, "tls-failed")
            self.transport.abort()
            return
        finally:
            self._door.has_spoken(self)
        if transport is not None:  # It is None where the connection was lost in the handshake.
            self._http.connection_made(transport)


class GuardedHttp(H11Protocol):
    """HTTP/1.1 that does not wait for ever."""

    door: Door
    _is_made = False
    _early = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection stands in the door until its first request is whole."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # Of asyncio's own loop, without TLS.
            transport.max_size = READ_BYTES
        self._is_made = True
        self.door.wait_for(self)
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """Whoever has begun a request must end it in time, however slowly the bytes drip."""
        if not self._is_made:
            # What came with the end of a TLS handshake, a moment before asyncio tells that it is done.
            self._early += data
            return
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self._is_done_here:
            self.door.wait_for(self)
        else:
            self.door.has_spoken(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.door.has_spoken(self)
        if self._is_made:
            super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the WebSocket protocol, unless there are enough."""
        self.door.has_spoken(self)
        if not self.door.makes_room():
            self.door.metrics.connections_turned_away.labels("full").inc()
            self.transport.write(_FULL)
            self.transport.close()
            return
        super().handle_websocket_upgrade(event)

    @property
    def _is_done_here(self) -> bool:
        return self.transport.is_closing() or self.transport.get_protocol() is not self


class CountedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is counted, and that a peer cannot make swell.

    It has so many attributes that a dictionary of them would take 1.6 KB with each device; in slots they take
    a quarter of that. What a later uvicorn adds goes into a dictionary as before.
    """

    __slots__ = (
        *("_heard_s", "_waiting_bytes", "app", "app_state", "asgi_version", "client", "close_sent"),
        *("close_timer", "close_timeout", "config", "conn", "connections", "curr_msg_data_type"),
        *("default_headers", "disconnected", "frames", "handshake_complete", "handshake_initiated"),
        *("initial_response", "last_ping_rtt", "logger", "loop", "pending_ping_payload", "ping_interval"),
        *("ping_sent_at", "ping_timeout", "ping_timer", "pong_timer", "queue", "read_paused", "request"),
        *("response", "root_path", "scheme", "scope", "server", "tasks", "transport", "writable"),
    )
    door: Door

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A peer that does not answer our close is not waited for longer than for anything else.
        self.close_timeout = min(self.close_timeout, self.door.config.request_timeout_s)
        self.queue: Mailbox = Mailbox(self.loop)  # type: ignore[assignment]
        self.writable: Gate = Gate(self.loop)  # type: ignore[assignment]
        self._waiting_bytes = 0
        self._heard_s = self.loop.time()

    def connection_made(self, transport: BaseTransport) -> None:
        """One more, and nobody knows who."""
        self.door.websockets += 1
        self.door.strangers[self] = None
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """One less."""
        self.door.websockets -= 1
        self.door.strangers.pop(self, None)
        super().connection_lost(exc)
        self.door.one_left.set()

    def has_proved(self) -> None:
        """This is a stranger no more."""
        self.door.strangers.pop(self, None)
        # Whoever proves that stays long: what it connected with is sent, and was read.
        self.response.headers.clear()
        self.scope.clear()  # type: ignore[attr-defined]

    def stay(self) -> None:
        """Do not close this when the application returns."""
        self.close_timer = _NO_TIMER  # Where there is one, whoever set it has seen to the end.

    def handle_connect(self, event: Request) -> None:
        """Let the application say who has proved who it is."""
        super().handle_connect(event)
        del self.request
        event.headers.clear()
        if not self.close_sent:
            # Its parser keeps the request as long as the connection lasts. Nothing but that request has come.
            self.conn.parser = Frames.parse(self.conn)
            next(self.conn.parser)
            extensions: dict[str, Any] = dict(self.scope.get("extensions") or {})
            self.scope["extensions"] = extensions | {
                PROVED: self.has_proved,
                STAY: self.stay,
                SILENT_S: self.silent_s,
                WRITE: self.write_now,
                READ: self.read_now,
                LISTEN: self.queue.listen,
            }

    def data_received(self, data: bytes) -> None:
        """Some bytes, which may be a part of something."""
        self._heard_s = self.loop.time()
        self.queue.hold()
        try:
            super().data_received(data)
        finally:
            self.queue.let_go()

    def silent_s(self) -> float:
        """For how long nothing has come."""
        return self.loop.time() - self._heard_s

    def keepalive_timeout(self) -> None:
        """A ping was not answered in time. Whoever sends is there all the same: over a slow line the answer
        waits behind what it sends.
        """
        if self.ping_timeout is None or self.silent_s() >= self.ping_timeout:
            super().keepalive_timeout()
            return
        self.pong_timer = self.pending_ping_payload = None
        self.schedule_ping()

    def send_receive_event_to_app(self) -> None:
        """A message is whole. Reading goes on until a few of them wait."""
        if self.curr_msg_data_type != "bytes" or self.close_sent:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        self._waiting_bytes += len(data) + WAITING_MESSAGE_BYTES
        if self._waiting_bytes >= WAITING_BYTES_MAX and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """The next message for the application."""
        message = await super().receive()
        self._has_taken(message)
        return message

    def read_now(self) -> ASGIReceiveEvent | None:
        """As ``receive``, for a message that is here already: where many wait, each need not wake a task."""
        if self.queue.empty():
            return None
        message = self.queue.get_nowait()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()
        self._has_taken(message)
        return message

    def _has_taken(self, message: ASGIReceiveEvent) -> None:
        data = message.get("bytes") if message["type"] == "websocket.receive" else None
        if data is not None:
            self._waiting_bytes -= len(data) + WAITING_MESSAGE_BYTES

    def write_now(self, messages: list[bytes]) -> bool:
        """Write all of them at once, or none: whoever does not take them is to be waited for."""
        if (
            self.disconnected
            or self.close_sent
            or not self.writable.is_set()
            or self.conn.state is not State.OPEN
            or self.transport.is_closing()
        ):
            return False
        # As `self.conn.send_binary` would write them, which copies each three times.
        parts = self.conn.data_to_send()
        for message in messages:
            parts += [_frame_head(len(message)), message]
        self.transport.write(b"".join(parts))
        return True

    def handle_bytes(self, event: Frame) -> None:
        """A message, or its first piece."""
        super().handle_bytes(event)
        event.data = b""  # The parser keeps the frame until the next one comes.

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


class _NoTimer(asyncio.TimerHandle):
    """Of a connection that is not being closed, and that its application does not end."""

    def __init__(self) -> None:
        """Nothing is waited for."""

    def cancel(self) -> None:
        """There is nothing to cancel."""


_NO_TIMER: Final = _NoTimer()


def _frame_head(length: int) -> bytes:
    """What stands before a whole binary message of a server (RFC 6455, 5.2: not masked, no extension)."""
    if length < 126:
        return bytes((0x82, length))
    if length < 1 << 16:
        return b"\x82\x7e" + length.to_bytes(2, "big")
    return b"\x82\x7f" + length.to_bytes(8, "big")
