"""A register that goes offline does so at once, also when something is sold in that very moment."""

import asyncio
from types import SimpleNamespace

import pytest

from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.syncer import Syncer
from crdtsync.storage.sqlite import SqliteStore


@pytest.fixture
def syncer(tmp_path):
    with Register.init(tmp_path, name="Caisse 1") as register:
        made = Syncer(
            open_store=lambda: SqliteStore(tmp_path / "register.sqlite"),
            identity=register.identity,
            key=register.replica.key,
            clock=SystemClock(),
            random=system_random,
        )
        yield made
        made.close()


@pytest.mark.parametrize("steps_between", range(4))
async def test_a_sale_in_the_moment_of_going_offline_holds_nothing_up(syncer, steps_between):
    connection = SimpleNamespace(session=SimpleNamespace(is_live=False))
    watching = asyncio.create_task(syncer._watch(connection, until_in_step=False))
    for _ in range(5):
        await asyncio.sleep(0)
    syncer._wake.set()
    for _ in range(steps_between):
        await asyncio.sleep(0)
    watching.cancel()
    done, _ = await asyncio.wait({watching}, timeout=2)
    watching.cancel()
    assert done == {watching}
