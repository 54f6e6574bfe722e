"""The relay of five hundred registers, of as many shops or of one, is killed and comes back, and all of them
come at the same moment.
"""

import asyncio
import resource

import pytest

from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.light import Crowd, LightRegister
from benchmarks.driver.processes import peak_mib, relay_process, rss_mib
from benchmarks.driver.shop import make_shop, make_shops
from benchmarks.driver.socket import Closed
from crdtsync.protocol.backoff import delay_ms
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]

REGISTERS, SEED = 500, 11
MEMORY_MIB_MAX = 100
"""For all of them: 25 KB for a connection that is quiet, and some records under way for each."""


@pytest.fixture(autouse=True)
def open_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(4 * REGISTERS, hard) if hard != resource.RLIM_INFINITY else 4 * REGISTERS
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Punctual(LightRegister):
    """What the relay says while the connection is being opened waits until it is."""

    def take_frames(self):
        if self._socket is not None:
            super().take_frames()


async def all_served(crowd, registers, *, sold):
    """Until the relay has all that they have sold, and they what it has."""
    async with asyncio.timeout(200):
        while not all(is_served(one, sold=sold) for one in registers):
            crowd.drain()
            crowd.check()
            await asyncio.sleep(0.02)


def registers_of(crowd, devices, sealed, **facts):
    return [
        Punctual(crowd, shop, device, own, **{name: value(number) for name, value in facts.items()})
        for number, ((shop, device), own) in enumerate(zip(devices, sealed, strict=True))
    ]


def devices_of_many_shops(folder):
    return [(shop, shop.devices[0]) for shop in make_shops(folder, REGISTERS, SEED)]


def devices_of_one_shop(folder):
    shop = make_shop(folder, REGISTERS, SEED)
    return [(shop, device) for device in shop.devices]


async def come(register, port):
    """Connect, and try again as a register does if the relay is not there yet or turns it away."""
    for attempt in range(1, 12):
        try:
            await register.connect(port)
        except (OSError, Closed, TimeoutError):
            await asyncio.sleep(delay_ms(attempt, 0.5) / 1000)
            continue
        return attempt
    raise AssertionError("a register was never let in")


@pytest.mark.parametrize("make", [devices_of_many_shops, devices_of_one_shop])
async def test_all_registers_are_served_and_their_sales_stored_and_the_relay_stays_small(tmp_path, make):
    devices = make(tmp_path / "relay")
    folder = devices[0][0].folder
    sealed = sealed_sales([device for _, device in devices], 2)
    crowd = Crowd()
    async with relay_process(folder, tmp_path / "relay.log") as relay:
        first = registers_of(crowd, devices, sealed)
        crowd.clients = list(first)
        for one in first:
            await one.connect(relay.port)
            crowd.drain()
        crowd.start_ticking()
        await all_served(crowd, first, sold=1)
        crowd.stop_ticking()
        await relay.kill()
        # Each sells while nobody is there to take it, and all of them want to be first.
        again = registers_of(
            crowd,
            devices,
            sealed,
            known=lambda number: 2,
            cursor=lambda number: first[number].session.inbound.stored,
            cursor_log=lambda number: first[number].session.peer.log_id,
        )
        arrivals = [asyncio.create_task(come(one, relay.port)) for one in again]
        await relay.start()
        before_mib = rss_mib(relay.pid())
        crowd.clients = list(again)
        crowd.each_turn = crowd.drain
        attempts = await asyncio.gather(*arrivals)
        crowd.start_ticking()
        await all_served(crowd, again, sold=2)
        crowd.stop_ticking()
        grown_mib = peak_mib(relay.pid()) - before_mib
        print(f"{REGISTERS} registers, {max(attempts)} attempts at most, {grown_mib:.0f} MiB")
        assert grown_mib < MEMORY_MIB_MAX
        for one in again:
            one.close()
    store = SqliteStore(DataFolder(folder).store)
    try:
        held = {shop: held_in(store.shop(shop)) for shop in store.shops()}
        for (shop, _), own in zip(devices, sealed, strict=True):
            assert set(own[:2]) <= held[shop.shop.id]
    finally:
        store.close()


def held_in(log):
    return {record[1:] for _, record in log.read(0, bytes_max=1 << 30).records}


def is_served(register, *, sold):
    session = register.session
    return session.is_in_step and session.outbound.acked.seq == sold
