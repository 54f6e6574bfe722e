"""A register comes back and there is nothing new, to a shop of whatever age."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.context import Bench, settle
from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.history import copied, old_shop
from benchmarks.driver.light import Crowd, LightRegister
from benchmarks.driver.processes import bare_relay, relay_process
from benchmarks.driver.shop import BenchShop
from benchmarks.driver.socket import LightSocket
from benchmarks.figures import COUNTING, Bound, Budget, Figure, Measured
from crdtsync.ids import Position
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder

ROUND_TRIPS_MAX = 1
BYTES_MAX = 1024
DELAY_S = 0.25


@dataclass(frozen=True, slots=True)
class Size:
    """Ages of the shop in sales, and how often a register comes back."""

    ages: tuple[int, ...]
    times: int


SIZES = {
    "full": Size((1_000, 100_000), 40),
    "quick": Size((1_000, 10_000), 15),
    "smallest": Size((300,), 3),
}


@dataclass(slots=True)
class Return:
    """One return: until both ends know that there is nothing to do."""

    ms: float
    frame_bytes: int
    wire_bytes: int


class Listening(LightRegister):
    """A register that counts what goes to and fro, and can hear everything later."""

    frame_bytes = sent_bytes = 0
    delay_s = 0.0

    async def come_back(self, port: int) -> Return:
        """Connect, and wait until it is in step."""
        began_s = time.perf_counter()
        socket = await self.connect(port)
        await self._crowd.until(lambda: self.session.is_in_step)
        ms = (time.perf_counter() - began_s) * 1000
        return Return(ms, self.frame_bytes, socket.bytes_received + self.sent_bytes)

    def _send(self, frame: bytes) -> None:
        self.frame_bytes += len(frame)
        self.sent_bytes += len(frame)
        super()._send(frame)

    def _take(self, frame: bytes) -> None:
        self.frame_bytes += len(frame)
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self._take_late, frame)
        else:
            super()._take(frame)

    def _take_late(self, frame: bytes) -> None:
        super()._take(frame)
        self._crowd.turn()


def run(bench: Bench) -> list[Figure]:
    """Bytes, round trips and time for each age."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    figures = []
    for sales in size.ages:
        shop = copied(old_shop(bench, sales), bench.folder / f"relay-{sales}")
        returns, late_ms = await _returns(bench, shop, size.times)
        bounds = await _bound_ms(size.times, returns[0].frame_bytes)
        # The relay's challenge comes with its answer to the upgrade; each delay after it is a round trip.
        waits = (late_ms - Measured.of([one.ms for one in returns]).value) / 1000 / DELAY_S
        figures += _figures(sales, returns, bounds, round(waits) - 1)
    return figures


async def _returns(bench: Bench, shop: BenchShop, times: int) -> tuple[list[Return], float]:
    """The returns, and how long one takes when everything that the relay says is heard late."""
    device = shop.devices[0]
    # An entry of its own that the relay holds already: its chain is in the history.
    sealed = sealed_sales([device], 0)[0]
    end, log_id = _end_of(shop)
    async with relay_process(shop.folder, bench.folder / "relay.log") as relay:
        returns = []
        for turn in range(times + 2):
            crowd = Crowd()
            register = Listening(crowd, shop, device, sealed, cursor=end, cursor_log=log_id, known=1)
            crowd.clients = [register]
            if turn == 1:
                settle()
            register.delay_s = DELAY_S if turn == times + 1 else 0.0
            returns.append(await register.come_back(relay.port))
            end = register.session.inbound.stored
            register.close()
    return returns[1:-1], returns[-1].ms


async def _bound_ms(times: int, frame_bytes: int) -> list[float]:
    """Connect to the bare relay and have one message of as many bytes passed on by it."""
    took = []
    async with bare_relay() as (port, _):
        arrived = asyncio.Event()
        await LightSocket.open(port, "/", lambda _: arrived.set())
        for _ in range(times):
            began_s = time.perf_counter()
            socket = await LightSocket.open(port, "/", lambda _: None)
            socket.send(bytes(frame_bytes))
            await arrived.wait()
            took.append((time.perf_counter() - began_s) * 1000)
            arrived.clear()
            socket.close()
    return took


def _end_of(shop: BenchShop) -> tuple[Position, bytes]:
    store = SqliteStore(DataFolder(shop.folder).store)
    try:
        log = store.shop(shop.shop.id)
        return log.end, log.log_id
    finally:
        store.close()


def _figures(
    sales: int, returns: Sequence[Return], bounds: Sequence[float], round_trips: int
) -> list[Figure]:
    size = {"sales": sales, "returns": len(returns)}
    what = f"reconnect with nothing new, {sales:,} sales"
    return [
        Figure(
            f"{what}: time",
            "ms",
            Measured.of([one.ms for one in returns]),
            Bound("connect to the bare relay, one message through it", Measured.of(bounds)),
            None,
            COUNTING,
            size=size,
            note="from opening the socket until both ends know that there is nothing to do",
        ),
        Figure(
            f"{what}: bytes",
            "B",
            Measured.of([one.frame_bytes for one in returns]),
            None,
            Budget(BYTES_MAX),
            COUNTING,
            size=size,
            note=f"in messages both ways; with the upgrade's answer {returns[0].wire_bytes} B",
        ),
        Figure(
            f"{what}: round trips",
            "",
            Measured.of([round_trips]),
            None,
            Budget(ROUND_TRIPS_MAX),
            COUNTING,
            size=size,
            note=f"after the upgrade: how much longer it takes if messages are heard {DELAY_S:g} s late",
        ),
    ]
