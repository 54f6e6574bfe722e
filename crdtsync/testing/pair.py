"""Two registers and their relay over real loopback sockets; and two ends of one real socket.

::

    async with Pair(tmp_path) as pair:
        pair.a.sell(["VIN"], ["card"])
        pair.line_b.cut()                   # the other register is off line
        ...
        pair.line_b.heal()
        await pair.in_step()
        assert pair.b.sales() == ...

Everything is real: disks, sockets, threads. Nothing is faster than it is in a shop: for many histories, and
for those in which much goes wrong, take the simulated shop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

from crdtsync.errors import NotSynchronised, UsageError
from crdtsync.ids import OWNER_DOCUMENT
from crdtsync.runtime.belonging.join import join_shop
from crdtsync.runtime.clock import Clock, SystemClock, system_random
from crdtsync.runtime.register.documents import fingerprint_of
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.address import SYNC_PATH
from crdtsync.runtime.syncing.link import Heard, Link, open_link
from crdtsync.testing.line import FaultyLine

if TYPE_CHECKING:
    from crdtsync_server import LocalRelay

SHOP_NAME: Final = "Cave du Port"
IN_STEP_WITHIN_S: Final = 60.0
PAUSE_S: Final = 0.01
"""Between two looks, so that those who are looked at get the processor; it decides nothing."""


class Pair:
    """Registers ``a`` and ``b`` of one shop, each with a line of its own to the relay, all synchronising.

    ``with`` or ``async with`` it. The registers belong to the thread that entered it. ``folder``: an empty
    one, in which they and the relay keep their data.
    """

    def __init__(self, folder: Path, *, clock: Clock | None = None, product: str = "VIN") -> None:
        """``product``: the SKU of a bottle at 18.50 that is in the catalogue from the beginning."""
        self._folder = Path(folder)
        self._clock = clock
        self._product = product
        self._held = ExitStack()
        self.relay: LocalRelay
        self.line_a: FaultyLine
        self.line_b: FaultyLine
        self.a: Register
        self.b: Register

    @property
    def registers(self) -> tuple[Register, Register]:
        """Both."""
        return self.a, self.b

    def __enter__(self) -> Self:
        """Start everything; returns when both registers are in step. Raises what starting raises."""
        from crdtsync_server import LocalRelay

        with ExitStack() as held:
            self.relay = held.enter_context(LocalRelay(self._folder / "relay", shop=SHOP_NAME))
            self.line_a = held.enter_context(FaultyLine(self.relay.url))
            self.line_b = held.enter_context(FaultyLine(self.relay.url))
            self.a = held.enter_context(self._register("Caisse 1", self.line_a))
            self.b = held.enter_context(self._register("Caisse 2", self.line_b))
            for register in self.registers:
                register.start_sync()
            self.a.products.add(
                self._product, name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000, unit="btl"
            )
            self.settle()
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        self._held.close()

    async def __aenter__(self) -> Self:
        """See ``__enter__``; the loop stands still meanwhile, since registers belong to its thread."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        self._held.close()

    def _register(self, name: str, line: FaultyLine) -> Register:
        folder, clock = self._folder / name, self._clock or SystemClock()
        # Joining runs a loop of its own, which it may not where one runs already.
        with ThreadPoolExecutor(1) as beside:
            beside.submit(
                join_shop,
                folder,
                line.url,
                self.relay.pairing_code(),
                name=name,
                clock=clock,
                random_bytes=system_random,
            ).result()
        return Register.open(folder, clock=clock)

    # -- waiting -------------------------------------------------------------------------------------------

    def is_in_step(self) -> bool:
        """Whether the relay has everything of both on its disk, and both have the same."""
        if any(register.status().pending.records for register in self.registers):
            return False
        return _content(self.a) == _content(self.b)

    async def in_step(self, timeout_s: float = IN_STEP_WITHIN_S) -> None:
        """Wait until that is so. Raises ``NotSynchronised``."""
        ends_s = time.monotonic() + timeout_s
        while not self.is_in_step():
            _check_time(ends_s, timeout_s)
            await asyncio.sleep(PAUSE_S)
        self._catch_up()

    def settle(self, timeout_s: float = IN_STEP_WITHIN_S) -> None:
        """The same for code without a loop."""
        ends_s = time.monotonic() + timeout_s
        while not self.is_in_step():
            _check_time(ends_s, timeout_s)
            time.sleep(PAUSE_S)
        self._catch_up()

    def _catch_up(self) -> None:
        for register in self.registers:
            register.products.refresh()


def _check_time(ends_s: float, timeout_s: float) -> None:
    if time.monotonic() >= ends_s:
        raise NotSynchronised(f"after {timeout_s:g} s the registers are not in step")


def _content(register: Register) -> object:
    """What a register holds, whatever the order in which it came."""
    replica = register.replica
    names = [row.name for row in replica.log.documents()]
    documents = [name for name in names if name != OWNER_DOCUMENT and not name.startswith("ledger/")]
    return replica.log.runs(), {name: fingerprint_of(replica, name) for name in documents}


@asynccontextmanager
async def socket_pair() -> AsyncIterator[tuple[Link, Link]]:
    """The two ends of a real WebSocket over loopback, for whoever writes a driver of a session: (connecting,
    accepting). Each has ``send``, ``receive`` and ``close``, as ``runtime.syncing.sockets`` asks for.
    """
    from websockets.asyncio.server import ServerConnection, serve

    class Accepting(Heard, ServerConnection):
        """The end that is connected to."""

    accepted: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def accept(socket: ServerConnection) -> None:
        if accepted.done():
            raise UsageError("this socket has two ends")
        accepted.set_result(socket)
        await over.wait()

    async with serve(
        accept, "127.0.0.1", 0, compression=None, close_timeout=2, create_connection=Accepting
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        near = await open_link(f"ws://127.0.0.1:{port}", SYNC_PATH)
        try:
            # Both ends of the library have the same methods.
            yield near, Link(cast(Any, await accepted))
        finally:
            over.set()
            await near.close(1000, "")
