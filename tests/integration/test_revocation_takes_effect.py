"""A device that is connected is cut off within a second of its revocation, on the relay's own clock."""

import asyncio
import threading
from functools import partial

import pytest

from crdtsync import Register
from crdtsync.errors import AccessDenied
from crdtsync_server import local
from crdtsync_server.local import LocalRelay, opened
from crdtsync_server.relay import Relay
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WITHIN_S = 1.0


class HeldClock:
    """The pauses of a relay between its looks: each ends when the test lets the time pass."""

    def __init__(self):
        self._passes = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)
        self._is_free = False
        self._asked_s = 0.0
        self.passed_s = 0.0

    async def pause(self, seconds):
        if self._is_free:
            await asyncio.sleep(seconds)
            return
        self._asked_s = seconds
        self._waits.release()
        await asyncio.to_thread(self._passes.acquire)

    def next_look(self):
        """Let the pause that is under way end, and the look after it; how long it was counts as passed."""
        assert self._waits.acquire(timeout=60), "the relay does not look any more"
        self.passed_s += self._asked_s
        self._passes.release()

    def let_go(self):
        self._is_free = True
        self._passes.release()


@pytest.fixture
def clock():
    clock = HeldClock()
    yield clock
    clock.let_go()


@pytest.fixture
def shop(tmp_path, clock, monkeypatch):
    """A relay whose time stands still, and two registers that are connected to it."""
    monkeypatch.setattr(local, "Relay", partial(Relay, pause=clock.pause))
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        folders = [tmp_path / name for name in ("till-1", "till-2")]
        with (
            Register.join(folders[0], relay.url, relay.pairing_code(), name="Caisse 1") as first,
            Register.join(folders[1], relay.url, relay.pairing_code(), name="Caisse 2") as second,
        ):
            first.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
            yield relay, first, second
        clock.let_go()


def cut_off(folder, till):
    with opened(folder / "relay") as (access, store):
        access.revoke(store, till.identity.shop, till.identity.device, "stolen")


def at_relay(folder, till):
    """Links of entries that the relay has stored, and of those that it holds."""
    with opened(folder / "relay") as (_, store):
        log = store.shop(till.identity.shop)
        held = {row.digest for row in log.apart() if row.code == "revoked"}
        numbers = [(run.chain, n) for run in log.runs() for n in range(run.lo, run.hi + 1)]
        return {link for chain, n in numbers for link in log.links_at(chain, n)}, held


def connected(till):
    """Its sync, connected, when nothing is on its way any more: a look waits for what is."""
    sync = till.start_sync()
    wait_until(lambda: sync.is_connected and till.status().pending.records == 0)
    return sync


def test_who_is_connected_is_cut_off_before_a_second_has_passed(shop, tmp_path, clock):
    _, first, second = shop
    stolen, other = connected(first), connected(second)
    cut_off(tmp_path, first)
    assert stolen.is_running
    while clock.passed_s < WITHIN_S:
        clock.next_look()
    # No more looks come: whoever is not cut off by now stays connected, and this waits in vain.
    wait_until(lambda: not stolen.is_running, "the revoked device is still connected after a second")
    assert isinstance(stolen.error, AccessDenied)
    assert other.is_connected


def test_what_it_sells_in_that_second_is_stored_or_held_and_what_it_sells_after_it_is_held(
    shop, tmp_path, clock
):
    _, first, _ = shop
    stolen = connected(first)
    cut_off(tmp_path, first)
    ticket = first.sell(["CM-19"], ["card"])
    wait_until(lambda: ticket.link in set.union(*at_relay(tmp_path, first)))
    while clock.passed_s < WITHIN_S:
        clock.next_look()
    wait_until(lambda: not stolen.is_running, "the revoked device is still connected after a second")
    late = first.sell(["CM-19"], ["card"])
    with pytest.raises(AccessDenied):
        first.sync(60)
    stored, held = at_relay(tmp_path, first)
    assert late.link in held - stored
