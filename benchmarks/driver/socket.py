"""A WebSocket's client end, as little of it as a driver needs.

No compression, no fragments, and masks of zeros (which every server must take): the driver's own work should
not be what is measured. It speaks to the product's relay and to the bare one alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BINARY, CLOSE, PING, PONG = 0x82, 0x88, 0x89, 0x8A
OPEN_TIMEOUT_S = 30


class Closed(Exception):
    """The server hung up."""


class LightSocket(asyncio.Protocol):
    """One connection. ``on_frame`` is called with each binary message, ``on_end`` when it is over."""

    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        self.on_frame = on_frame
        self.on_end: Callable[[], object] = lambda: None
        self.bytes_received = 0
        self.closed: str = ""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int, path: str, on_frame: Callable[[bytes], None]) -> LightSocket:
        """Connect to this machine and shake hands. Raises ``Closed``, ``OSError``."""
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_connection(lambda: cls(on_frame), "127.0.0.1", port)
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert socket._transport is not None
        socket._transport.write(request.encode())
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await socket.opened
        return socket

    def send(self, payload: bytes) -> None:
        """Send one binary message."""
        self._write(BINARY, payload)

    def pause(self) -> None:
        """Read nothing more."""
        assert self._transport is not None
        self._transport.pause_reading()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        self.bytes_received += len(data)
        if self._rest:
            data = self._rest + data
        if not self.opened.done():
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            status = data.split(b"\r\n", 1)[0]
            if b" 101 " not in status:
                self.opened.set_exception(Closed(status.decode(errors="replace")))
                return
            self.opened.set_result(None)
            data = data[end + 4 :]
        self._rest = self._take_frames(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self.closed = self.closed or str(exc or "the connection ended")
        if not self.opened.done():
            self.opened.set_exception(Closed(self.closed))
        self.on_end()

    def _take_frames(self, data: bytes) -> bytes:
        """Hand on the whole frames; the rest."""
        at, size = 0, len(data)
        while size - at >= 2:
            length, begin = data[at + 1], at + 2
            if length == 126:
                length, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if begin + length > size:
                break
            self._take_frame(data[at], data[begin : begin + length])
            at = begin + length
        return data[at:] if at else data

    def _take_frame(self, kind: int, payload: bytes) -> None:
        if kind == BINARY:
            self.on_frame(payload)
        elif kind == PING:
            self._write(PONG, payload)
        elif kind == CLOSE:
            code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")
            self.closed = f"{code} {reason}"
        else:
            self.closed = f"a frame of kind {kind:#x}, which this client does not know"
            self.close()

    def _write(self, kind: int, payload: bytes) -> None:
        assert self._transport is not None
        length = len(payload)
        if length < 126:
            head = bytes((kind, 0x80 | length))
        elif length < 1 << 16:
            head = bytes((kind, 0x80 | 126)) + length.to_bytes(2, "big")
        else:
            head = bytes((kind, 0x80 | 127)) + length.to_bytes(8, "big")
        self._transport.write(head + b"\0\0\0\0" + payload)
