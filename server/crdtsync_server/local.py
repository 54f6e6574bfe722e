"""A relay in the same process: for programs that bring their own, for trying things out, for tests.

It is the relay that `crdtsync-relay serve` runs, with the same folder, the same locks and the same promises,
on a thread with an event loop of its own, on the loopback address of this machine. For other machines to
reach it, use `crdtsync-relay serve`. Its log goes to the logger ``crdtsync.relay`` of the standard library.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crdtsync.errors import StorageError, UnknownShop, UsageError
from crdtsync.runtime.clock import Clock, RandomBytes, system_random
from crdtsync_server.config import RelayConfig
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened
from crdtsync_server.relay import Relay
from crdtsync_server.serving.app import create_app
from crdtsync_server.serving.server import RelayServer, listen, make_server
from crdtsync_server.shops.access import Access, ShopRow

HOST = "127.0.0.1"


class LocalRelay:
    """A relay for as long as a ``with`` block lasts, or from ``start`` to ``stop``.

    ``folder`` is its data folder, made if it is not there; ``shop`` the name of a shop, which is made if this
    relay has none of that name. ``port`` 0 takes a free one. ``settings`` are those of ``RelayConfig``.
    ``start`` and ``stop`` belong to one thread; ``pairing_code`` may be called from any.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        shop: str | None = None,
        port: int = 0,
        clock: Clock | None = None,
        random: RandomBytes = system_random,
        **settings: Any,
    ) -> None:
        """Nothing is touched yet. ``clock`` and ``random`` are the machine's, unless a test gives its own.
        Raises ``UsageError`` for settings that cannot be.
        """
        self._clock, self._random = clock, random
        if "host" in settings:
            raise UsageError("a relay in this process is reached from this machine alone")
        self._config = RelayConfig(data=Path(folder), host=HOST, port=port, **settings)
        self._shop_name = shop
        self._thread: threading.Thread | None = None
        self._held: ExitStack | None = None
        self._server: RelayServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """What registers are given to join: ``ws://127.0.0.1:PORT``. Raises ``UsageError`` if none runs."""
        if self._thread is None:
            raise UsageError("the relay does not run", hint="use it in a `with` block")
        return f"{'wss' if self._config.tls else 'ws'}://{HOST}:{self._port}"

    def start(self) -> Self:
        """Serve; returns when registers can connect.

        Raises ``RoleTaken`` (another process serves this folder), ``CannotListen``, ``UsageError``,
        ``InvalidName``, ``StorageError``; then nothing runs.
        """
        if self._thread is not None:
            raise UsageError("the relay runs already")
        folder = DataFolder.create(self._config.data)
        with ExitStack() as held:
            held.enter_context(folder.serving())
            if self._shop_name is not None:
                self._make_shop(self._shop_name)
            listener = held.enter_context(listen(HOST, self._config.port))
            self._port = int(listener.getsockname()[1])
            self._ready.clear()
            self._failure = None
            relay = Relay(folder, self._config, clock=self._clock, random=self._random)
            self._server = make_server(
                create_app(relay, relay.office.routes()),
                self._config,
                relay.metrics,
                self._ready.set,
                relay.drain,
            )
            thread = threading.Thread(
                target=self._run, args=(self._server, listener), name="relay", daemon=True
            )
            thread.start()
            self._ready.wait()
            self._raise_failure(thread)
            self._thread, self._held = thread, held.pop_all()
        return self

    def stop(self) -> None:
        """Finish the commit under way, tell registers to come back later, end. Idempotent."""
        thread, server, loop, held = self._thread, self._server, self._loop, self._held
        if thread is None or server is None or loop is None or held is None:
            return
        with held:
            if not loop.is_closed():
                loop.call_soon_threadsafe(setattr, server, "should_exit", True)
            thread.join()
        self._thread = self._held = None

    def pairing_code(self, shop: str | None = None, *, role: str = "register") -> str:
        """A code that lets one device into a shop (its name or id), once. Durable on return.

        Without ``shop``: the shop that this relay was made with, or the only one that it has. ``role``:
        ``register``, ``backoffice`` or ``display``. Raises ``UnknownShop``, ``StorageError``.
        """
        with opened(self._config.data, clock=self._clock, random=self._random) as (access, _):
            return access.issue_code(self._shop(access, shop).id, role).code.format()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _make_shop(self, name: str) -> None:
        with opened(self._config.data, create=True, clock=self._clock, random=self._random) as (
            access,
            store,
        ):
            try:
                access.find_shop(name)
            except UnknownShop:
                access.create_shop(store, name)

    def _shop(self, access: Access, text: str | None) -> ShopRow:
        if text is None:
            text = self._shop_name
        if text is not None:
            return access.find_shop(text)
        shops = access.shops()
        if len(shops) != 1:
            raise UnknownShop(f"this relay has {len(shops)} shops: say which one")
        return shops[0]

    def _raise_failure(self, thread: threading.Thread) -> None:
        if self._failure is not None:
            thread.join()
            raise self._failure

    def _run(self, server: RelayServer, listener: socket.socket) -> None:
        try:
            asyncio.run(self._main(server, listener))
            if not self._ready.is_set():
                self._failure = StorageError(f"the relay of {self._config.data} did not start")
        except BaseException as error:  # The boundary of a thread: told by `start`, never lost.
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self, server: RelayServer, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await server.serve(sockets=[listener])
