"""Who synchronises once tells the relay what it has pending before it ends: else the back office would go on
showing what was pending a moment before.
"""

import threading
from contextlib import closing

import pytest

from crdtsync.runtime.clock import SystemClock
from crdtsync.runtime.register import syncing
from crdtsync.runtime.register.home import RegisterHome
from crdtsync_server.shops.contacts import read_contact
from tests.integration.conftest import wait_until

WINE = "CM-19"


@pytest.fixture
def till(relay, tmp_path):
    """Caisse 1, with three tickets that the relay has not heard of."""
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add(WINE, name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
        till.sync(60)
        for _ in range(3):
            till.sell([WINE], ["card"])
        yield till


@pytest.fixture
def told(monkeypatch):
    """What a register tells of itself, each time; from another thread, too."""
    told, genuine = [], syncing.presence_of

    def presence_of(log, device):
        told.append(genuine(log, device)["pending_sales"])
        return genuine(log, device)

    monkeypatch.setattr(syncing, "presence_of", presence_of)
    return told


def pending_as_the_relay_knows_it(relay, till, since_ms):
    """What it has written down that the register said last, when that has left."""
    found = []

    def has_left():
        with closing(relay.open_store()) as store:
            found[:] = [read_contact(store.shop(relay.shop), till.identity.device)]
        [contact] = found
        return contact is not None and not contact.connected and contact.at_ms >= since_ms

    wait_until(has_left, "the relay does not write down that it left")
    return found[0].pending_sales


def test_when_it_ends_the_relay_knows_that_nothing_is_pending(relay, till, told):
    since_ms = SystemClock().now_ms()
    till.sync(60)
    assert told[-1] == 0
    assert pending_as_the_relay_knows_it(relay, till, since_ms) == 0


def test_what_it_told_while_an_acknowledgement_came_to_its_disk_is_not_its_last_word(
    relay, till, told, monkeypatch
):
    """It looks in the moment when the relay has acknowledged everything, and its own disk does not know."""
    genuine, has_told = RegisterHome.acknowledged, threading.Event()
    tell = syncing.presence_of

    def presence_of(log, device):
        facts = tell(log, device)
        has_told.set()
        return facts

    def acknowledged(home, connection, position):
        write = genuine(home, connection, position)

        def later(log):
            assert has_told.wait(60), "it never told what is pending"
            write(log)

        return write and later

    monkeypatch.setattr(syncing, "presence_of", presence_of)
    monkeypatch.setattr(RegisterHome, "acknowledged", acknowledged)
    since_ms = SystemClock().now_ms()
    till.sync(60)
    assert told[0] == 3, "this is that moment"
    assert told[-1] == 0
    assert pending_as_the_relay_knows_it(relay, till, since_ms) == 0
