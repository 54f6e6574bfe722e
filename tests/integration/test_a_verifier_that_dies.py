"""Under load a relay has a second process verify signatures. Whatever ends it, everybody goes on selling."""

import asyncio
import signal
from contextlib import asynccontextmanager, closing, suppress

import psutil
import pytest

from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.flat_out import flat_out
from benchmarks.driver.light import Crowd, LightRegister, connect_all
from benchmarks.driver.shop import make_shop
from benchmarks.replay.relay import RelayProcess
from crdtsync.storage.sqlite import SqliteStore
from tests import forked

pytestmark = pytest.mark.timeout(300)

REGISTERS, ROUND, ROUNDS_MAX = 60, 900, 40
UNDER_WAY = 96
"""Sales not acknowledged yet: one or two of each register, as where a verifier is of use."""
WORKED_S = 0.2
"""Of processor time: of which to start takes a third."""


class Shop:
    """A relay in a process of its own, and registers that sell as fast as it goes."""

    def __init__(self, relay, registers, crowd):
        self.relay, self.registers, self.crowd = relay, registers, crowd
        self.rounds = 0

    async def sell(self):
        """A round: over when every register knows all of it to be on the relay's disk."""
        for register in self.registers:
            register.begin()
        await flat_out(self.crowd, ROUND, UNDER_WAY)
        self.rounds += 1

    def verifier(self):
        """The second process, once it has worked."""
        for one in psutil.Process(self.relay.pid()).children():
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                if times.user + times.system >= WORKED_S:
                    return one
        return None

    async def sell_until_it_works(self):
        while (found := self.verifier()) is None:
            assert self.rounds < ROUNDS_MAX
            await self.sell()
        return found


@asynccontextmanager
async def shop_that_sells(folder):
    made = make_shop(folder / "relay", REGISTERS, 1)
    chains = sealed_sales(made.devices, ROUND // REGISTERS * (ROUNDS_MAX + 2))
    relay, crowd = RelayProcess(made.folder, folder / "relay.log"), Crowd()
    try:
        await relay.start()
        registers = [
            LightRegister(crowd, made, device, sealed)
            for device, sealed in zip(made.devices, chains, strict=True)
        ]
        await connect_all(crowd, registers, relay.port, expected=2 + 2 * REGISTERS - 1)
        yield Shop(relay, registers, crowd)
        crowd.stop_ticking()
        for register in registers:
            register.close()
    finally:
        relay.abandon()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_sales_go_on_and_each_is_verified(tmp_path, how):
    async with shop_that_sells(tmp_path) as shop:
        verifier = await shop.sell_until_it_works()
        selling = asyncio.create_task(shop.sell())
        await asyncio.sleep(0)  # The first of the round are under way.
        verifier.send_signal(how)
        await selling
        await shop.sell()
        await asyncio.to_thread(psutil.wait_procs, [verifier], timeout=60)
        assert not verifier.is_running()
        sold, folder = shop.rounds * ROUND, shop.relay.folder
        await shop.relay.stop()
    with closing(SqliteStore(folder / "relay.sqlite")) as store:
        (shop_id,) = store.shops()
        log = store.shop(shop_id)
        assert log.end.seq == 2 + 2 * REGISTERS + sold
        assert list(log.apart()) == []
    checked = forked.run(["-m", "crdtsync_server", "verify", "--data", folder])
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_it_ends_with_a_relay_that_is_killed(tmp_path):
    async with shop_that_sells(tmp_path) as shop:
        verifier = await shop.sell_until_it_works()
        await shop.relay.kill()
        gone, _ = await asyncio.to_thread(psutil.wait_procs, [verifier], timeout=60)
        assert gone == [verifier]
