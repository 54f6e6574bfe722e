"""The till's server: on the loopback address alone, for one folder at a time."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import CannotListen
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.folder.role import hold_role
from crdtsync.till.counter import Counter
from crdtsync.till.desk import Desk
from crdtsync.till.house import House, Visit, static
from crdtsync.till.live import Live
from crdtsync.till.pages import counter, day, drawer, menu, pay, tickets
from crdtsync.till.printing import Printer, PrinterAddress

_logger = logging.getLogger("crdtsync.till")

HOST: Final = "127.0.0.1"
"""Nobody else on the machine's network reaches it."""

TILL_LOCK: Final = "till.lock"
"""In a register's folder: the role of showing its till."""

STOP_S: Final = 3
"""How long pages that are being answered are waited for at the end."""

END_S: Final = 30
"""How long the server is, when they were cut off."""

KEEP_ALIVE_S: Final = 300
"""A payment that is typed after a minute finds the connection open."""


class Till:
    """The till of one register, from ``start`` to ``stop``, or for as long as a ``with`` block lasts.

    ``folder`` is the register's; ``port`` 0 takes a free one; ``settings`` are those of ``RegisterConfig``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        printer: PrinterAddress | None = None,
        columns: int = 42,
        clock: Clock | None = None,
        random: RandomBytes = system_random,
        **settings: Any,
    ) -> None:
        """Nothing is touched yet."""
        self._folder, self._port = folder, port
        self._clock = clock or SystemClock()
        self._secret = random(24).hex()
        self._live = Live()
        self._printer = Printer(printer, columns)
        self._counter = Counter(
            lambda: Desk(folder, clock=self._clock, random=random, **settings), self._live.told
        )
        self._held = ExitStack()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    @property
    def address(self) -> str:
        """What a browser opens first: the link of this start, which lets it in."""
        return f"{self.base}/enter/{self._secret}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def base(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> Self:
        """Open the register and serve; returns when a browser can come.

        Raises ``RoleTaken`` (another process shows this till), ``CannotListen``, ``NoRegister``,
        ``UsageError``, ``StorageError``; then nothing runs.
        """
        with ExitStack() as held:
            if self._folder.is_dir():
                held.enter_context(
                    hold_role(
                        self._folder / TILL_LOCK,
                        "another process shows the till of this register",
                        hint="use the till that is open, or end it first",
                    )
                )
            listener = held.enter_context(_listen(self._port))
            self._port = int(listener.getsockname()[1])
            self._printer.start()
            self._counter.start()
            held.callback(self._counter.stop)
            self._serve(listener)
            self._held = held.pop_all()
        return self

    def stop(self) -> None:
        """End the pages' streams, then the server, then the register. Idempotent."""
        server, thread = self._server, self._thread
        if server is not None and thread is not None:
            server.should_exit = True
            self._live.close_soon()
            thread.join(STOP_S + END_S)
            if thread.is_alive():
                _logger.error("the till's server does not end: it is left to the end of the process")
            self._server = self._thread = None
        self._held.close()
        self._printer.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it serves."""
        return self._thread is not None and self._thread.is_alive()

    def _serve(self, listener: socket.socket) -> None:
        house = House(self._counter, self._live, self._printer, self._clock, self._secret, self._port)
        config = uvicorn.Config(
            create_app(house, self._ready),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            http="h11",
            limit_concurrency=100,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
        )
        server = self._server = uvicorn.Server(config)
        thread = self._thread = threading.Thread(
            target=self._run, args=(server, listener), name="till-server", daemon=True
        )
        thread.start()
        self._ready.wait()
        if self._failure is not None:
            thread.join(END_S)
            self._server = self._thread = None
            raise self._failure

    def _run(self, server: uvicorn.Server, listener: socket.socket) -> None:
        try:
            asyncio.run(server.serve([listener]))
        except BaseException as error:  # The boundary of a thread: told by `start`, or in the log.
            self._failure = error if isinstance(error, Exception) else None
            _logger.exception("the till's server ended")
        finally:
            if not self._ready.is_set():
                self._failure = self._failure or CannotListen("the till's server did not start")
            self._ready.set()


def create_app(house: House, ready: threading.Event) -> Starlette:
    """The application; ``ready`` is set when it has begun."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        house.live.start()
        ready.set()
        yield
        house.live.close()

    async def lost(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404

        async def refuse(_: Visit) -> Response:
            raise HTTPException(status if status in (404, 405) else 404)

        return await house.page(refuse)(request)

    return Starlette(
        routes=[
            static.route(),
            Route("/enter/{secret}", house.enter),
            *counter.routes(house),
            *pay.routes(house),
            *tickets.routes(house),
            *day.routes(house),
            *drawer.routes(house),
            *menu.routes(house),
        ],
        exception_handlers={404: lost, 405: lost},
        lifespan=lifespan,
    )


def _listen(port: int) -> socket.socket:
    # Only of a socket that is said to be TCP does asyncio turn Nagle's algorithm off; with it, each page
    # waits for the browser's acknowledgement of its head, up to 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CannotListen(f"port {port} of {HOST} cannot be used: {error}") from error
    return listener
