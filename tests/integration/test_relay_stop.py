"""Stopping a relay while registers sell: what came is acknowledged, and everybody comes back."""

import signal
import socket
import threading
import time

import pytest
from websockets.sync.client import connect

from crdtsync import Register
from crdtsync.storage.sqlite import SqliteStore
from tests import forked
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

UPGRADE = (
    b"GET /v1/sync HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

SOMETHING = b"\x82\xfe\x10\x00" + bytes(4) + bytes(4096)
GOODBYE = b"\x88\x82" + bytes(4) + b"\x03\xe8"
"""Frames of a WebSocket: a message, masked with zeros, and a close."""

SELLER = """
import sys
from crdtsync import Register

with Register.open(sys.argv[1]) as till:
    till.start_sync()
    while True:
        print(till.sell(["CM-19"], ["card"]).number, flush=True)
"""


@pytest.fixture
def till_folder(relay, tmp_path):
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sync(60)
    return tmp_path / "till"


class Seller:
    """A register that sells as fast as it can, in a process of its own."""

    def __init__(self, folder):
        self.process = forked.Process(["-c", SELLER, folder], stdout=forked.PIPE)
        self.sold = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for _ in self.process.stdout:
            self.sold += 1

    def wait_for(self, sold):
        while self.sold < sold and self.process.poll() is None:
            self._reader.join(0.005)
        assert self.sold >= sold

    def kill(self):
        self.process.kill()
        self._reader.join()
        self.process.stdout.close()
        self.process.wait()


def held_and_acknowledged(relay, folder):
    """How far the relay holds the register's log, and how far the register knows that it does."""
    till, store = SqliteStore(folder / "register.sqlite"), relay.open_store()
    try:
        mine, theirs = till.shop(relay.shop), store.shop(relay.shop)
        known = mine.acknowledged(theirs.log_id)
        return theirs.cursor(mine.log_id).position.seq, known.position.seq
    finally:
        till.close()
        store.close()


@pytest.mark.parametrize("after", [20, 150, 400])
def test_all_that_a_stopping_relay_has_stored_is_acknowledged(relay, till_folder, after):
    seller = Seller(till_folder)
    seller.wait_for(after)
    # A relay at work: one that stops before it has heard of a sale shows nothing.
    wait_until(lambda: held_and_acknowledged(relay, till_folder)[0] > after // 2)
    assert relay.stop() == 0
    # The register notes it a moment later; waiting longer changes nothing.
    wait_until(lambda: len(set(held_and_acknowledged(relay, till_folder))) == 1)
    seller.kill()
    held, acknowledged = held_and_acknowledged(relay, till_folder)
    assert held == acknowledged


def test_registers_come_back_to_a_relay_that_was_stopped(relay, till_folder):
    seller = Seller(till_folder)
    for _ in range(3):
        seller.wait_for(seller.sold + 50)
        relay.stop()
        relay.start()
    seller.kill()
    with Register.open(till_folder) as till:
        till.sync(60)
        assert till.status().pending.records == 0
        assert len(till.sales(rows_max=1_000_000)) >= seller.sold


def test_devices_are_told_to_come_back_with_1012(relay):
    with connect(relay.url + "/v1/sync", compression=None, proxy=None) as device:
        device.recv()
        relay.stop()
        assert (device.close_code, device.close_reason) == (1012, "the relay restarts")


def test_a_device_that_sends_on_is_told_all_before_a_stop(relay):
    """A socket closed over something unread is reset: what was on its way to the device is lost."""
    with socket.create_connection(("127.0.0.1", relay.port), timeout=60) as device:
        device.sendall(UPGRADE)
        told = b""
        relay_stops = threading.Thread(target=relay.stop)
        while b"the relay restarts" not in told:
            if told.startswith(b"HTTP/1.1 101") and not relay_stops.ident:
                relay_stops.start()
            told += (came := device.recv(65_536))
            assert came
        for _ in range(50):
            device.sendall(SOMETHING)
        device.sendall(GOODBYE)
        assert device.recv(1) == b""
        relay_stops.join(60)


def test_a_device_that_answers_nothing_holds_up_a_stop_no_longer_than_is_set(relay_of):
    relay = relay_of("--stop-timeout-s", "1")
    with socket.create_connection(("127.0.0.1", relay.port)) as device:
        device.sendall(UPGRADE)
        assert device.recv(1000).startswith(b"HTTP/1.1 101")
        started_s = time.monotonic()
        assert relay.stop() == 0
    assert time.monotonic() - started_s < 10


def test_a_second_signal_ends_at_once(relay_of):
    relay = relay_of("--stop-timeout-s", "60")
    with connect(relay.url + "/v1/sync", compression=None, proxy=None) as device:
        device.recv()
        # Both are there when it goes on, so that the second finds the first one's work unfinished.
        relay.process.send_signal(signal.SIGSTOP)
        relay.process.send_signal(signal.SIGTERM)
        relay.process.send_signal(signal.SIGINT)
        relay.process.send_signal(signal.SIGCONT)
        assert relay.process.wait(60) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
        relay.process.stdout.close()
        relay.process = None
    assert relay.log()[-1]["event"] == "relay_ends_at_once"
