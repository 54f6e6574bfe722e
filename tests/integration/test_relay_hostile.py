"""Every hostile or broken thing that can be sent to a relay, one after the other, while a register sells.

Each gets a clear refusal; the register's next sale is on the relay's disk within seconds all the same, the
relay's memory does not grow, and at the end nothing is lost. What is bounded by number and time before a
device has said anything is in ``test_relay_http`` and ``test_relay_tls``.
"""

import hashlib
import random
import socket
import struct
import threading
import time
from dataclasses import replace

import apsw
import psutil
import pytest
import zstandard
from pycrdt import Doc, Map
from websockets.exceptions import ConnectionClosed

from crdtsync import Register
from crdtsync.errors import AccessDenied, PairingRefused
from crdtsync.ids import (
    START,
    Item,
    Position,
    entry_record,
    next_hash,
    record_digest,
    update_record,
)
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.codec import decode, encode, encode_hello_body, frames
from crdtsync.protocol.messages import Ack, Pack, Records, Refused
from crdtsync.protocol.pairing import PairingCode
from crdtsync.storage.sqlite import SqliteStore
from tests.integration.conftest import wait_until
from tests.integration.raw_device import Device, Raw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MEMORY_GROWTH_MAX = 48 << 20
ACKNOWLEDGED_WITHIN_S = 30


class Site:
    """A relay with two shops, and a register of the first one that sells for as long as the tests last."""

    def __init__(self, folder, relay):
        self.folder, self.relay, self.made = folder, relay, 0
        self.honest = relay.join(folder / "honest", "honest", relay.first_code)
        self.honest.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        self.honest.start_sync()
        self.sold, self._stop = [], threading.Event()
        self._seller = threading.Thread(target=self._sell)
        self._seller.start()

    def _sell(self):
        with Register.open(self.folder / "honest") as till:
            while not self._stop.wait(0.02):
                self.sold.append(till.sell(["CM-19"], ["card"]).number)

    def register(self, name=""):
        """One more register of the first shop."""
        self.made += 1
        name = name or f"till-{self.made}"
        return self.relay.join(self.folder / name, name)

    def memory(self):
        return psutil.Process(self.relay.process.pid).memory_info().rss

    def is_undisturbed(self):
        """Whether what is sold by now is acknowledged soon."""
        end = self.honest.end.seq
        deadline_s = time.monotonic() + ACKNOWLEDGED_WITHIN_S
        while time.monotonic() < deadline_s:
            # Asked each time: the register may be meeting the relay just now.
            known = self.honest.replica.log.acknowledged(self.honest.replica.relay.log_id)
            if known is not None and known.position.seq >= end:
                return True
        return False

    def close(self):
        self._stop.set()
        self._seller.join()
        self.honest.stop_sync()
        self.honest.sync(60)
        pending, numbers = (
            self.honest.status().pending,
            [row.number for row in self.honest.sales(rows_max=100_000)],
        )
        self.honest.close()
        report = self.relay.command("verify")
        self.relay.stop()
        assert pending.records == 0
        assert set(numbers) == set(self.sold)
        assert self.sold  # How many depends on how many of these tests this process was given.
        assert "defect" not in report


@pytest.fixture(scope="module")
def site(tmp_path_factory, relay_process):
    folder = tmp_path_factory.mktemp("site")
    settings = ("--ping-interval-s", "1", "--ping-timeout-s", "1", "--request-timeout-s", "3")
    relay = relay_process(folder / "relay", *settings)
    relay.start()
    site = Site(folder, relay)
    yield site
    site.close()


def refused(site, *records):
    """With which codes records of a certified device are refused, on a connection that goes on."""
    with site.register() as till:
        device = Device(site, till).say_hello()
        to = START
        for record in records:
            to = Position(to.seq + 1, next_hash(to.h, record))
        device.send(*frames(Records(START, to, tuple(range(1, to.seq + 1)), records)))
        codes, acknowledged = [], START
        while acknowledged != to:
            message = decode(device.socket.recv(timeout=60))
            if isinstance(message, Refused):
                codes += [refusal.code for refusal in message.refusals]
            acknowledged = message.position if isinstance(message, Ack) else acknowledged
        device.socket.close()
        return codes


def an_entry(body):
    return entry_record(body + b"\x00" + b"A" * 86)


def hello_of(site):
    with site.register() as till:
        device = Device(site, till)
        device.session.receive(device.socket.recv(timeout=60), 0)
        device.socket.close()
        return device.session.take_ready().to_send[0]


def random_frames(site):
    chance, codes = random.Random(7), set()
    for _ in range(40):
        codes.add(Raw(site).send(chance.randbytes(chance.randint(1, 2000))).end())
    return codes


def truncated_frames(site):
    hello = hello_of(site)
    return {Raw(site).send(hello[:length]).end() for length in range(0, len(hello), 40)}


def a_hello_that_was_overheard(site):
    return Raw(site).send(hello_of(site)).end()


def text(site):
    return Raw(site).send("hello").end()


def a_frame_of_64_mb(site):
    raw = Raw(site)
    try:
        raw.send(bytes(64 << 20))
    except ConnectionClosed:
        raw.socket.close()
    # The relay hangs up while the device is still sending, which may then not get to see the code.
    return "refused" if raw.end() in (1009, "cut off") else "taken"


def a_frame_just_too_big(site):
    return Raw(site).send(bytes((1 << 20) + 1)).end()


def records_before_hello(site):
    return Raw(site).send(encode(Records(START, Position(1, bytes(32)), (1,), (b"x",)))).end()


def another_version(site):
    hello = replace(decode(hello_of(site)), version=99)
    return Raw(site).send(encode(replace(hello, body=encode_hello_body(hello)))).end()


def a_device_with_another_key(site):
    return Device(site, site.honest, key=PrivateKey.from_seed(b"stolen id")).say_hello().end()


def a_device_of_another_shop(site):
    made = site.relay.command("shop", "create", f"Bar {site.made}", "--json")
    code = made.split('"code": "')[1].split('"')[0]
    with site.relay.join(site.folder / f"bar-{site.made}", "Bar", code) as till:
        site.made += 1
        return Device(site, till, shop=site.honest.identity.shop).say_hello().end()


def a_shop_that_is_not_there(site):
    return Device(site, site.honest, shop=b"\x01" * 16).say_hello().end()


def a_device_that_claims_to_be_a_relay(site):
    with site.register() as till:
        return Device(site, till, is_relay=True).say_hello().end()


def a_revoked_device(site):
    with site.register("stolen") as till:
        site.relay.command("revoke", site.relay.shop.hex(), "stolen")
        with pytest.raises(AccessDenied, match="revoked"):
            till.sync(60)
    return "told"


def join_with(site, code):
    site.made += 1
    with pytest.raises(PairingRefused) as refused:
        site.relay.join(site.folder / f"till-{site.made}", "Caisse", code)
    return str(refused.value)


def a_used_code(site):
    return join_with(site, site.relay.first_code)


def an_expired_code(site):
    code = site.relay.code()
    connection = apsw.Connection(str(site.relay.folder / "access.sqlite"))
    connection.setbusytimeout(5000)
    connection.execute(
        "UPDATE code SET expires_ms = 0 WHERE selector = ?", (PairingCode.parse(code).selector,)
    )
    connection.close()
    return join_with(site, code)


def deeply_nested_json(site):
    nested = b'{"a":' * 9_000 + b"1" + b"}" * 9_000
    return refused(site, an_entry(nested), an_entry(b"[" * 60_000))


def a_record_over_its_limit(site):
    return refused(site, an_entry(b'{"note":"' + b"x" * 70_000 + b'"}'))


def updates_that_are_none(site):
    chance = random.Random(3)
    return set(refused(site, *(update_record("x/loyalty", chance.randbytes(200)) for _ in range(20))))


def updates_of_documents_that_take_none(site):
    ledger = f"ledger/{site.honest.identity.device.hex()}/2026-11-24"
    return refused(site, update_record(ledger, b"\x00\x00"), update_record("owner", b"\x00\x00"))


def bytes_that_are_no_record(site):
    return refused(site, b"?", b"U", b"U\xff\xff", b"E")


def pack_that_lies():
    """It says that it has 100 bytes, and has 256 MB."""
    content = zstandard.ZstdCompressor(level=3).compress(bytes(256 << 20))
    header = struct.pack(">8sBQQIII", b"crdtpack", 1, 1, 1, 0, 100, 1)
    return header + hashlib.sha256(header + content).digest() + content


def a_pack_that_swells(site):
    with site.register() as till:
        device = Device(site, till).say_hello()
        return device.send(encode(Pack(START, Position(1, bytes(32)), pack_that_lies()))).end()


def records_that_do_not_continue(site):
    with site.register() as till:
        device = Device(site, till).say_hello()
        return device.send(
            encode(Records(Position(7, bytes(32)), Position(8, bytes(32)), (8,), (b"x",)))
        ).end()


def garbage_on_the_port(site):
    chance, answers = random.Random(5), set()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", site.relay.port), timeout=60) as plain:
            plain.sendall(chance.randbytes(300) + b"\r\n\r\n")
            answers.add(plain.recv(100)[:12])
    return answers


def a_header_without_end(site):
    with socket.create_connection(("127.0.0.1", site.relay.port), timeout=60) as plain:
        try:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: relay\r\nX-Long: " + b"x" * (1 << 20))
            return plain.recv(100)[:12]
        except ConnectionError:
            return b"HTTP/1.1 400"  # Cut off while it was still sending.


ATTACKS = {
    random_frames: {4400},
    truncated_frames: {4400},
    a_hello_that_was_overheard: 4403,
    text: 4400,
    a_frame_of_64_mb: "refused",
    a_frame_just_too_big: 4413,
    records_before_hello: 4402,
    another_version: 4426,
    a_device_with_another_key: 4403,
    a_device_of_another_shop: 4403,
    a_shop_that_is_not_there: 4403,
    a_device_that_claims_to_be_a_relay: 4403,
    a_revoked_device: "told",
    a_used_code: "this pairing code was used already",
    an_expired_code: "this pairing code has expired",
    deeply_nested_json: ["malformed", "malformed"],
    a_record_over_its_limit: ["too-big"],
    updates_that_are_none: {"unsafe-update"},
    updates_of_documents_that_take_none: ["not-permitted", "not-permitted"],
    bytes_that_are_no_record: ["malformed"] * 4,
    a_pack_that_swells: 4400,
    records_that_do_not_continue: 4402,
    garbage_on_the_port: {b"HTTP/1.1 400"},
    a_header_without_end: b"HTTP/1.1 400",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_it_is_refused_and_nobody_else_is_disturbed(site, attack):
    before = site.memory()
    assert attack(site) == ATTACKS[attack]
    assert site.is_undisturbed()
    assert site.relay.get("/healthz")[0] == 200
    assert site.memory() - before < MEMORY_GROWTH_MAX


def big_updates(till, count):
    """Updates of a document of the user's own, 50 KB each, that are as they should be."""
    for number in range(count):
        doc = Doc(client_id=1000 + number)
        doc.get("notes", type=Map)[f"note {number}"] = "x" * 50_000
        yield "x/big", update_record("x/big", doc.get_update()), None


def test_devices_that_read_nothing_cost_little_memory_and_are_dropped(site):
    with site.register() as source, site.register() as till:
        store = SqliteStore(source.config.data / "register.sqlite")
        with store.transaction():
            for document, record, facts in big_updates(source, 60):
                log = store.shop(source.identity.shop)
                log.append(Item(record, document, record_digest(record), facts))
        store.close()
        source.sync(60)
        before = site.memory()
        lazy = [Device(site, till, max_queue=1).say_hello() for _ in range(4)]
        assert site.is_undisturbed()
        assert site.memory() - before < 4 * (4 << 20)
        wait_until(lambda: site.relay.metrics()["crdtsync_relay_devices_connected"] == 1)
        for device in lazy:
            device.socket.close()


def test_a_device_that_connects_again_and_again_keeps_its_newest_connections(site):
    with site.register() as till:
        devices = [Device(site, till).say_hello() for _ in range(7)]
        assert {device.end() for device in devices[:3]} == {1013}
        for device in devices[3:]:
            device.socket.close()
    assert site.is_undisturbed()


def test_no_secret_is_logged_whatever_happens(site):
    code = site.relay.code()
    with site.relay.join(site.folder / "last", "last", code):
        pass
    logged = site.relay.errors.read_text()
    keys = [path.read_text() for path in (site.relay.folder / "keys").iterdir()]
    secrets = {part for key in keys for part in key.split() if len(part) > 20} | {code, code.replace("-", "")}
    assert [secret for secret in secrets if secret in logged] == []
    assert all(site.relay.log())
