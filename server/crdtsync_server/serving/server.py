"""Serving the application: sockets, TLS, signals, readiness, a graceful stop."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from crdtsync.errors import CannotListen, UsageError
from crdtsync.protocol.limits import FRAME_BYTES_MAX
from crdtsync_server.config import RelayConfig
from crdtsync_server.serving.door import Door, GuardedHttp, GuardedTls
from crdtsync_server.serving.logs import get_logger
from crdtsync_server.serving.metrics import RelayMetrics
from crdtsync_server.serving.tls import TlsFiles

FRAME_OVERHEAD_BYTES = 1024
"""So that a frame just over the protocol's limit reaches the session, which says 4413 and why; anything
larger is refused by the WebSocket layer (1009) before it is in memory."""

BACKLOG = 2048
"""Connections waiting to be accepted: all registers of many shops come back at once after a restart."""

ACCEPTED_AT_ONCE = 1
"""asyncio tries to accept so many before it looks at anything else. Where no file is left for one, it fails
as often, with a line in the log for each, and comes back as often a second later: with 2,048 the relay did
nothing else any more.
"""

GOODBYE_S = 5.0
"""So long for the answers of devices that were told that the relay stops."""

EXPIRY_WARNING_S = 14 * 86_400

FILES_PER_RELAY = 256
"""Open files beside the connections: stores, sockets, libraries."""


class RelayServer(uvicorn.Server):
    """uvicorn with our signals: it ends with exit code 0 after SIGTERM, and says when it is ready.

    ``drain`` is awaited when no more connections are taken and before any is closed.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        door: Door,
        tls: TlsFiles | None,
        on_ready: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._door = door
        self._http_class = door.http_class()
        self._tls = tls
        self._on_ready = on_ready
        self._drain = drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A first SIGTERM or SIGINT stops gracefully, a second one at once; SIGHUP reads a renewed
        certificate.

        uvicorn's own version raises the signal again after a graceful stop, which would end the process as
        if it had been killed. Signals come to the main thread alone: on another one, nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        if self._tls is not None:
            loop.add_signal_handler(signal.SIGHUP, _reload_tls, self._tls, self._door.metrics)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen, then say so."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.should_exit = True
            return
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._new_connection if self._tls is None else self._new_tls_connection,
                sock=listener,
                backlog=ACCEPTED_AT_ONCE,
            )
            for listener in sockets or []
        ]
        for listener in sockets or []:
            listener.listen(BACKLOG)  # asyncio has just said another number.
        self.started = True
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let the application finish with its devices, then close what is left."""
        for server in self.servers:
            server.close()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                await self._drain()
                await self._goodbyes()
        except TimeoutError:
            get_logger().warning("stop_cut_short", reason="some devices do not read what they are sent")
        await super().shutdown(sockets)

    async def _goodbyes(self) -> None:
        """Wait, for a moment, until the devices that were told to go have answered. A socket that is closed
        while something it brought lies unread is reset, and what was sent last, acknowledgements, is lost.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                while any(getattr(one, "close_sent", False) for one in self.server_state.connections):
                    self._door.one_left.clear()
                    await self._door.one_left.wait()

    def _new_connection(self) -> GuardedHttp:
        return self._http_class(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _new_tls_connection(self) -> asyncio.Protocol:
        assert self._tls is not None
        return GuardedTls(self._door, self._tls.context, self._new_connection)

    def _stop(self, number: int) -> None:
        if self.should_exit:
            # Whoever asks twice means now. A relay can be killed at any moment: nothing is lost by it.
            get_logger().warning("relay_ends_at_once")
            os._exit(128 + number)
        self.should_exit = True


async def _nothing_to_drain() -> None:
    """An application that has nothing to bring to an end."""


def make_server(
    app: ASGIApp,
    config: RelayConfig,
    metrics: RelayMetrics,
    on_ready: Callable[[], None],
    drain: Callable[[], Awaitable[None]] = _nothing_to_drain,
) -> RelayServer:
    """A server for the application, to be run with ``serve(sockets=[listen(…)])``. ``on_ready`` is
    called when connections are accepted, ``drain`` awaited before they are closed. Raises ``UsageError`` for
    TLS files that cannot be used.
    """
    door = Door(config, metrics)
    tls = TlsFiles(config.tls_cert, config.tls_key) if config.tls_cert and config.tls_key else None
    settings = uvicorn.Config(
        app,
        loop="asyncio",
        ws=door.websocket_class(),
        ws_max_size=FRAME_BYTES_MAX + FRAME_OVERHEAD_BYTES,
        ws_ping_interval=config.ping_interval_s,
        ws_ping_timeout=config.ping_timeout_s,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=config.trusted_proxies,
        timeout_graceful_shutdown=config.stop_timeout_s,
    )
    settings.load()
    if tls is not None:
        _tell_expiry(tls, metrics)
    return RelayServer(settings, door=door, tls=tls, on_ready=on_ready, drain=drain)


def _reload_tls(tls: TlsFiles, metrics: RelayMetrics) -> None:
    try:
        tls.load()
    except UsageError as error:
        get_logger().error("tls_not_reloaded", reason=str(error), hint="the old certificate is still used")
        return
    get_logger().info("tls_reloaded", expires=tls.expires.isoformat())
    _tell_expiry(tls, metrics)


def _tell_expiry(tls: TlsFiles, metrics: RelayMetrics) -> None:
    metrics.tls_expires.set(tls.expires.timestamp())
    left_s = tls.expires.timestamp() - time.time()
    if left_s < EXPIRY_WARNING_S:
        get_logger().warning("tls_certificate_expires", at=tls.expires.isoformat(), expired=left_s <= 0)


def serve(server: RelayServer, config: RelayConfig, listener: socket.socket) -> None:
    """Serve until a signal comes; returns after a graceful stop."""
    _allow_open_files(config.connections_max + config.silent_connections_max + FILES_PER_RELAY)
    asyncio.run(server.serve(sockets=[listener]))


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address, not yet listening. Raises ``CannotListen``."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Only of a socket that is said to be TCP does asyncio turn Nagle's algorithm off; with it, a sale
        # that follows an acknowledgement waits for up to 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise CannotListen(f"{host} is no address of this machine: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        # Listening here tells at once that another process listens on this port.
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def tell_service_manager(state: str) -> None:
    """Tell systemd how things stand (``READY=1``, ``STOPPING=1``), if it asked for it. See sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.connect("\0" + path[1:] if path.startswith("@") else path)
        notify.sendall(state.encode())


def _allow_open_files(wanted: int) -> None:
    """A connection is an open file; many systems allow 1,024 until one asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = max(soft, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        if limit < wanted:
            get_logger().warning(
                "few_open_files",
                allowed=limit,
                wanted=wanted,
                hint="let the service open more files (LimitNOFILE=, ulimit -Hn), or lower --connections-max",
            )
