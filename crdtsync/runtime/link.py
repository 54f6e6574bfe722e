"""The WebSocket of a connecting end, as a ``Socket`` of ``runtime.connection``."""

from __future__ import annotations

import asyncio
import os
import re
import socket as sockets
import ssl
from urllib.parse import urlsplit, urlunsplit

import websockets
from websockets.asyncio.client import ClientConnection, connect

from crdtsync.errors import InvalidName, LinkClosed, RelayUnreachable, UsageError
from crdtsync.protocol.limits import FRAME_BYTES_MAX

OPEN_TIMEOUT_S = 10
PING_EVERY_S = 15
PING_TIMEOUT_S = 20
SYNC_PATH, ENROL_PATH = "/v1/sync", "/v1/enrol"


class Link:
    """An open WebSocket to a relay or a register."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, frame: bytes) -> None:
        """Raises ``LinkClosed``."""
        try:
            await self._socket.send(frame)
        except websockets.ConnectionClosed as error:
            raise _closed(error) from error

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
    context = _context(tls_ca) if full.startswith("wss:") else None
    try:
        socket = await connect(
            full,
            ssl=context,
            compression=None,
            max_size=FRAME_BYTES_MAX + 1024,
            max_queue=16,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_EVERY_S,
            ping_timeout=PING_TIMEOUT_S,
            close_timeout=2,
            proxy=None,
        )
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        raise RelayUnreachable(f"{url} cannot be reached: {_why(error)}") from error
    return Link(socket)


def socket_url(url: str, path: str) -> str:
    """The WebSocket address below a relay's ``http``, ``https``, ``ws`` or ``wss`` address.

    Raises ``InvalidName``.
    """
    wrong = InvalidName(f"{url!r} is no address of a relay: http://HOST:PORT or https://HOST is expected")
    try:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong from None
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not is_address:
        raise wrong
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))


def _context(tls_ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=tls_ca)
    except OSError as error:
        raise UsageError(
            f"{tls_ca} is no file of certificates: {error.strerror or error}",
            hint="CRDTSYNC_TLS_CA names a PEM file, or nothing",
        ) from error


def _closed(error: websockets.ConnectionClosed) -> LinkClosed:
    if error.rcvd is None:
        return LinkClosed("the connection broke", code=1006)
    reason = f": {error.rcvd.reason}" if error.rcvd.reason else ""
    return LinkClosed(f"the peer closed the connection ({error.rcvd.code}{reason})", code=error.rcvd.code)


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return f"no answer within {OPEN_TIMEOUT_S} s"
    if isinstance(error, websockets.InvalidStatus):
        return f"it answered HTTP {error.response.status_code}, not as a relay does"
    if isinstance(error, websockets.InvalidHandshake):
        return "it does not answer as a relay does"
    if isinstance(error, sockets.gaierror):
        return f"its host is not known ({error.strerror})"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        # A name may stand for several addresses, each with a reason of its own.
        reasons = {os.strerror(int(number)) for number in re.findall(r"\[Errno ([0-9]+)\]", str(error))}
        return ", ".join(sorted(reasons)) or str(error) or type(error).__name__
    return str(error) or type(error).__name__
