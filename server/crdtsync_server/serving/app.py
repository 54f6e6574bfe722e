"""The relay as an ASGI application: synchronising, back office, health and metrics on one port.

It can be served by ``crdtsync-relay serve`` or mounted in another application.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from crdtsync.protocol.about import NONCE_BYTES, About
from crdtsync.runtime.syncing.address import ABOUT_PATH, ENROL_PATH, SYNC_PATH
from crdtsync_server.serving.metrics import CONTENT_TYPE, RelayMetrics

_ABOUT = """This is a crdtsync relay: through it the registers of a shop synchronise sales and catalogue.

Registers connect to {path} of this address: crdtsync join {address} CODE
The back office is at this address in a browser. Health is at /healthz, Prometheus metrics are at /metrics.
"""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the relay can do its work now. ``problem`` says in a sentence why not, or is empty.

    ``last_commit_age_s`` is None when nothing was committed since the start.
    """

    store_writable: bool
    last_commit_age_s: float | None
    disk_free_mb: int
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Nothing has to be done."""
        return self.store_writable and not self.problem


class SyncRelay(Protocol):
    """What the application needs of the relay."""

    @property
    def metrics(self) -> RelayMetrics:
        """What ``/metrics`` shows."""
        ...

    async def start(self) -> None:
        """Begin to work. Called once, before the first connection."""
        ...

    async def stop(self) -> None:
        """Finish the commit under way, then let go of everything. Called once, after the last connection."""
        ...

    async def serve_socket(self, websocket: WebSocket) -> bool:
        """Synchronise with the device at the other end of an accepted WebSocket, until it is gone. True: it
        is not gone, the server keeps it without a task, and ``metrics.connections`` is told when it goes.
        """
        ...

    async def serve_enrolment(self, websocket: WebSocket) -> None:
        """Deal with the device at the other end of an accepted WebSocket that comes with a pairing code."""
        ...

    def health(self) -> Health:
        """Look at the store. May block on the disk."""
        ...

    def about(self, nonce: bytes) -> About:
        """What there is to say of this relay, its key proved over ``nonce``. May block on the disk."""
        ...


class RelayApp(Starlette):
    """Starlette, but for devices that synchronise: the layers between do nothing but wait with each of them,
    and cost six kilobytes for every device that is connected.
    """

    def __init__(self, sync: Callable[[WebSocket], Awaitable[None]], **settings: Any) -> None:
        super().__init__(**settings)
        self._sync = sync

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "websocket" and _route(scope) == SYNC_PATH:
            await self._sync(WebSocket(scope, receive, send))
        else:
            await super().__call__(scope, receive, send)


def create_app(relay: SyncRelay, rooms: Sequence[BaseRoute] = (), *, home: str = "/today") -> Starlette:
    """The application of one relay. ``rooms`` are the pages of its back office, and ``home`` the one that a
    browser is led to. Starting and stopping the relay is part of its lifespan.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await relay.start()
        try:
            yield
        finally:
            await relay.stop()

    async def enrol(websocket: WebSocket) -> None:
        await websocket.accept()
        await relay.serve_enrolment(websocket)

    async def healthz(_request: Request) -> Response:
        health = await asyncio.to_thread(relay.health)
        facts = {
            "ok": health.ok,
            "version": version("crdtsync"),
            "store_writable": health.store_writable,
            "last_commit_age_s": health.last_commit_age_s,
            "disk_free_mb": health.disk_free_mb,
            "problem": health.problem,
        }
        return JSONResponse(
            facts, status_code=200 if health.ok else 503, headers={"cache-control": "no-store"}
        )

    async def metrics(_request: Request) -> Response:
        await asyncio.to_thread(relay.health)
        return Response(relay.metrics.render(), media_type=CONTENT_TYPE)

    async def about(request: Request) -> Response:
        nonce = _hexadecimal(request.query_params.get("nonce", ""))
        if len(nonce) != NONCE_BYTES:
            return PlainTextResponse(f"nonce={2 * NONCE_BYTES} hexadecimal digits are expected", 400)
        said = await asyncio.to_thread(relay.about, nonce)
        return JSONResponse(said.to_json(), headers={"cache-control": "no-store"})

    return RelayApp(
        _sync(relay),
        routes=[
            Route("/", _front(home if rooms else None)),
            Route(ABOUT_PATH, about),
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            WebSocketRoute(ENROL_PATH, enrol),
            *rooms,
        ],
        lifespan=lifespan,
    )


def _sync(relay: SyncRelay) -> Callable[[WebSocket], Awaitable[None]]:
    """Devices that synchronise, counted."""

    async def sync(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.scope["headers"].clear()  # The layers of the server keep them as long as it lasts.
        relay.metrics.connections_opened.inc()
        relay.metrics.connections.inc()
        stays = False
        try:
            stays = await relay.serve_socket(websocket)
        finally:
            if not stays:
                relay.metrics.connections.dec()

    return sync


def _front(home: str | None) -> Callable[[Request], Awaitable[Response]]:
    """Browsers go to the back office, if there is one; whoever else asks is told what this is."""

    async def front(request: Request) -> Response:
        if home is not None and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(home, 303, headers={"vary": "accept", "cache-control": "no-store"})
        scheme = "wss" if request.url.scheme == "https" else "ws"
        return PlainTextResponse(_ABOUT.format(path=SYNC_PATH, address=f"{scheme}://{request.url.netloc}"))

    return front


def _route(scope: Scope) -> str:
    """The path within this application, which may be mounted in another one."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _hexadecimal(text: str) -> bytes:
    """The bytes, none where that is no text of hexadecimal digits."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
