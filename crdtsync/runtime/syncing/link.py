"""The WebSocket of a connecting end, as a ``Socket`` of ``runtime.syncing.connection``."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.protocol import State

from crdtsync.errors import LinkClosed, RelayUnreachable
from crdtsync.protocol.fields import printable
from crdtsync.protocol.limits import FRAME_BYTES_MAX
from crdtsync.runtime.syncing.address import SYNC_PATH, socket_url, trusting, what_mends, why

OPEN_TIMEOUT_S = 10
PING_EVERY_S = 15.0
SILENCE_S_MAX = 35.0
"""After so long without a single byte, not even the answer to a ping, nobody is there any more."""


READ_BYTES = 64 << 10
"""What is read at a time. asyncio reserves a quarter of a megabyte for each read, which the C library takes
from the system and gives back: that takes several times as long as to read the message of a sale.
"""


class Heard(Connection):
    """A WebSocket that knows when something last came. Its own way to find out whether the other end lives
    is to wait for the answer to a ping: over a slow line that waits behind a megabyte of history.
    """

    heard_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # Of asyncio's own loop, without TLS.
            transport.max_size = READ_BYTES

    def data_received(self, data: bytes) -> None:
        """Some bytes, which may be a part of something."""
        self.heard_s = self.loop.time()
        super().data_received(data)

    def send_now(self, frames: list[bytes]) -> bool:
        """Send all of these messages if nothing waits to be sent before them; whether they were. Raises
        nothing: where that fails the connection is lost.
        """
        if self.protocol.state is not State.OPEN or self.paused or self.transport.get_write_buffer_size():
            return False
        try:
            for frame in frames:
                self.protocol.send_binary(frame)
            self.send_data()
        except Exception as error:  # As the library's own `send` does.
            self.set_connection_exc(error)
            self.transport.abort()
        return True


class _Connecting(Heard, ClientConnection):
    """The end that connects."""


class Link:
    """An open WebSocket to a relay or a register."""

    def __init__(self, socket: Heard) -> None:
        self._socket = socket

    def silent_s(self) -> float:
        """For how long nothing has come. Raises ``LinkClosed`` if that is too long."""
        silent_s = self._socket.loop.time() - self._socket.heard_s
        if silent_s > SILENCE_S_MAX:
            self.abandon()
            raise LinkClosed("nothing comes from the peer any more", code=4508)
        return silent_s

    async def send(self, frame: bytes) -> None:
        """Raises ``LinkClosed``."""
        try:
            await self._socket.send(frame)
        except websockets.ConnectionClosed as error:
            raise _closed(error) from error

    def send_now(self, frames: list[bytes]) -> bool:
        """Send all of them without waiting, or none: whether they were sent. A task for it, and two turns of
        the event loop, would take longer than to send them.
        """
        return self._socket.send_now(frames)

    async def receive(self) -> bytes:
        """The next frame. Raises ``LinkClosed``."""
        try:
            frame = await self._socket.recv()
        except websockets.ConnectionClosed as error:
            raise _closed(error) from error
        if isinstance(frame, str):
            raise LinkClosed("the peer sent text where the protocol has bytes", code=4400)
        return frame

    async def answers(self, timeout_s: float) -> bool:
        """Whether the other end answers a ping in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._socket.ping())
        except (TimeoutError, websockets.ConnectionClosed):
            return False
        return True

    def abandon(self) -> None:
        """Give the connection up without a word: nobody is there to hear it."""
        self._socket.transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """Close it; never raises for a connection that is gone already."""
        await self._socket.close(code, reason.encode()[:120].decode(errors="ignore"))


async def open_link(url: str, path: str = SYNC_PATH, *, tls_ca: str | None = None) -> Link:
    """Connect to a relay. ``tls_ca``: a file of certificates to trust besides the system's, for ``wss``.

    Raises ``RelayUnreachable``, ``InvalidName`` for what is no address, ``UsageError`` for another file.
    """
    full = socket_url(url, path)
    context = trusting(tls_ca) if full.startswith("wss:") else None
    try:
        socket = await connect(
            full,
            ssl=context,
            compression=None,
            max_size=FRAME_BYTES_MAX + 1024,
            max_queue=16,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_EVERY_S,
            ping_timeout=None,
            create_connection=_Connecting,
            close_timeout=2,
            proxy=None,
        )
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        hint = what_mends(error, int(time.time() * 1000)) or None
        raise RelayUnreachable(f"{url} cannot be reached: {_why(error)}", hint=hint) from error
    return Link(cast(Heard, socket))


def _closed(error: websockets.ConnectionClosed) -> LinkClosed:
    if error.rcvd is None:
        return LinkClosed("the connection broke", code=1006)
    # Whoever answers at an address may say anything: it is shown by `status`, on a terminal.
    reason = printable(error.rcvd.reason)
    what = f"the peer closed the connection ({error.rcvd.code}{f': {reason}' if reason else ''})"
    return LinkClosed(what, code=error.rcvd.code, reason=reason)


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {OPEN_TIMEOUT_S} s"
    if isinstance(error, websockets.InvalidStatus):
        return f"it answered HTTP {error.response.status_code}, not as a relay does"
    if isinstance(error, websockets.InvalidHandshake):
        return "it does not answer as a relay does"
    return why(error)
