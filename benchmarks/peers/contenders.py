"""The relay and the peers, each with registers that speak its protocol: what the workloads are run with."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.light import Client, Crowd, LightRegister
from benchmarks.driver.light import connect_all as connect_light
from benchmarks.driver.shop import BenchShop, make_shop
from benchmarks.driver.socket import LightSocket
from benchmarks.peers import client, hocuspocus, pycrdt_websocket, y_websocket_server
from benchmarks.peers.client import PeerRegister
from benchmarks.peers.peer import Command, Peer
from benchmarks.peers.sales import SALE_BYTES, sales_of, updates_of
from benchmarks.peers.server import Server, free_port, serving
from crdtsync.ids import entry_record

PEERS: Final = {
    module.PEER.name: module.PEER for module in (hocuspocus, y_websocket_server, pycrdt_websocket)
}
OURS: Final = "crdtsync"
OUR_SALE_BYTES: Final = 880
QUIET_S: Final = 2.0
"""After a kill: when nothing new has come for so long, what is missing is counted as lost."""

Seen = Mapping[int, Callable[[Any], None]]
"""By number of the register: what is called when sales have come to it."""


class Register(Client, Protocol):
    """A client that can be made deaf."""

    @property
    def socket(self) -> LightSocket:
        """Its connection."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, and registers that are connected to it, the sellers first."""

    server: Server
    registers: Sequence[Register]


class Contender(Protocol):
    """``per_update``: how many sales a register sends at once where only their bytes matter."""

    name: str
    sale_bytes: int
    per_update: int

    def prepare(
        self, folder: Path, registers: int, each: int, seed: int, *, at_once: int = 1, silent: int = 0
    ) -> object:
        """Sales of so many registers, each so many times ``at_once``: made once, sold in every repeat. And
        ``silent`` registers more that sell nothing.
        """
        ...

    def connected(
        self, prepared: Any, folder: Path, crowd: Crowd, count: int, seen: Seen
    ) -> AbstractAsyncContextManager[Served]:
        """A server with an empty shop in that folder (which is made), and the first ``count`` registers."""
        ...

    async def survivors(self, prepared: Any, folder: Path, sold: int) -> int:
        """Start a server on that folder again; how many of the first register's first ``sold`` sales a
        newcomer gets from it, while all others are away.
        """
        ...


@dataclass(frozen=True, slots=True)
class OurSales:
    """A shop with enrolled devices, and what they seal."""

    shop: BenchShop
    chains: list[list[bytes]]


class Ours:
    """The product's relay, with clients that count."""

    name = OURS
    sale_bytes = OUR_SALE_BYTES
    per_update = 1

    def prepare(
        self, folder: Path, registers: int, each: int, seed: int, *, at_once: int = 1, silent: int = 0
    ) -> OurSales:
        """See ``Contender``."""
        shop = make_shop(folder / "made", registers + silent, seed)
        chains = sealed_sales(shop.devices[:registers], each * at_once)
        return OurSales(shop, chains + (sealed_sales(shop.devices[registers:], 0) if silent else []))

    @asynccontextmanager
    async def connected(
        self, prepared: OurSales, folder: Path, crowd: Crowd, count: int, seen: Seen
    ) -> AsyncIterator[Served]:
        """See ``Contender``."""
        shutil.copytree(prepared.shop.folder, folder)
        devices = prepared.shop.devices
        registers = [
            LightRegister(crowd, prepared.shop, device, sealed, seen=seen.get(device.number))
            for device, sealed in zip(devices[:count], prepared.chains, strict=False)
        ]
        async with relay(folder) as server:
            # The owner, the relay's certificate, one certificate of each, and a first entry of the others.
            expected = 2 + len(devices) + count - 1
            await connect_light(crowd, registers, server.port, expected=expected)
            try:
                yield Served(server, registers)
            finally:
                crowd.stop_ticking()
                for register in registers:
                    register.close()

    async def survivors(self, prepared: OurSales, folder: Path, sold: int) -> int:
        """See ``Contender``."""
        own = {entry_record(sealed) for sealed in prepared.chains[0][1 : sold + 1]}
        found: set[bytes] = set()
        crowd = Crowd()
        newcomer = LightRegister(
            crowd,
            prepared.shop,
            prepared.shop.devices[-1],
            prepared.chains[-1][:1],
            seen=lambda records: found.update(own.intersection(record for _, record in records)),
        )
        async with relay(folder) as server:
            crowd.clients = [newcomer]
            crowd.start_ticking()
            await newcomer.connect(server.port)
            try:
                await crowd.until(lambda: found == own, timeout_s=QUIET_S)
            except TimeoutError:
                pass
            finally:
                crowd.stop_ticking()
                newcomer.close()
        return len(found)


@asynccontextmanager
async def relay(folder: Path) -> AsyncIterator[Server]:
    """``crdtsync-relay serve`` on a folder."""
    port = free_port()
    command = str(Path(sys.executable).parent / "crdtsync-relay")
    arguments = (command, "serve", "--data", str(folder), "--port", str(port), "--json")
    async with serving(Command(arguments), port, folder.parent / f"{folder.name}.log") as server:
        yield server


@dataclass(frozen=True, slots=True)
class PeerSales:
    """Of each register its sales and the updates that append them."""

    sales: list[list[bytes]]
    updates: list[list[bytes]]
    at_once: int


class Theirs:
    """A peer."""

    sale_bytes = SALE_BYTES
    per_update = 100

    def __init__(self, peer: Peer, installed: Path) -> None:
        self.name = peer.name
        self.peer = peer
        self._installed = installed

    def prepare(
        self, folder: Path, registers: int, each: int, seed: int, *, at_once: int = 1, silent: int = 0
    ) -> PeerSales:
        """See ``Contender``."""
        sales = [sales_of(seed, number, each * at_once) for number in range(registers)]
        sales += [[] for _ in range(silent)]
        updates = [updates_of(seed, place, own, per_update=at_once) for place, own in enumerate(sales)]
        return PeerSales(sales, updates, at_once)

    @asynccontextmanager
    async def connected(
        self, prepared: PeerSales, folder: Path, crowd: Crowd, count: int, seen: Seen
    ) -> AsyncIterator[Served]:
        """See ``Contender``."""
        folder.mkdir(parents=True)  # noqa: ASYNC240
        registers = [
            PeerRegister(
                crowd, self.peer.dialect, updates, per_update=prepared.at_once, seen=seen.get(number)
            )
            for number, updates in enumerate(prepared.updates[:count])
        ]
        async with self.serve(folder) as server:
            await client.connect_all(crowd, registers, server.port)
            try:
                yield Served(server, registers)
            finally:
                crowd.stop_ticking()
                for register in registers:
                    register.close()

    async def survivors(self, prepared: PeerSales, folder: Path, sold: int) -> int:
        """See ``Contender``."""
        own = {sale.decode() for sale in prepared.sales[0][:sold]}
        async with self.serve(folder) as server:
            joined = await client.join(
                self.peer.dialect, server.port, len(prepared.sales), expected=sold, quiet_s=QUIET_S
            )
        return len(own.intersection(joined.sales))

    @asynccontextmanager
    async def serve(self, folder: Path) -> AsyncIterator[Server]:
        """The peer on a folder."""
        port = free_port()
        command = self.peer.start(self._installed, folder, port)
        async with serving(command, port, folder.parent / f"{folder.name}.log") as server:
            yield server
