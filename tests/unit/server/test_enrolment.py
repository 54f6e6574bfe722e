import asyncio

import pytest

from crdtsync.errors import LinkClosed
from crdtsync.ids import START
from crdtsync.model.signature import PrivateKey, sign_with_purpose, verify_with_purpose
from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.enrolment import OFFER_PURPOSE, DeviceEnd, EnrolRequest
from crdtsync.protocol.messages import Ack
from crdtsync.protocol.pairing import PairingCode
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import open_store
from crdtsync_server.shops import enrolment
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.enrolment import EnrolmentDesk

ADDRESS = "198.51.100.7"
KEY = PrivateKey.from_seed(b"till 1")


class Wire:
    """A socket whose other end is the test."""

    def __init__(self):
        self.to_device = asyncio.Queue()
        self.to_relay = asyncio.Queue()
        self.closed = None

    async def send(self, frame):
        self.to_device.put_nowait(frame)

    async def receive(self):
        frame = await self.to_relay.get()
        if frame is None:
            raise LinkClosed("gone")
        return frame

    async def close(self, code, reason):
        self.closed = (code, reason)


@pytest.fixture
def folder(tmp_path):
    return DataFolder.create(tmp_path / "relay")


@pytest.fixture
def access(folder, clock, seeded):
    access = Access(folder, clock=clock, random=seeded)
    yield access
    access.close()


@pytest.fixture
def shop(access, folder):
    store = open_store(folder)
    yield access.create_shop(store, "Cave du Port")
    store.close()


@pytest.fixture
def desk(access, shop, folder, clock, seeded):
    desk = EnrolmentDesk(folder, access.relay_device, access.relay_key, clock=clock, random=seeded)
    yield desk
    desk.close()


@pytest.fixture
def code(access, shop):
    return access.issue_code(shop.id, "register").code


def facts(code, key=KEY):
    return EnrolRequest(secret=code.secret, device=b"d" * 16, name="till 1", public_key=key.public)


async def come(desk, request, key=KEY):
    """A device comes with its request: (what the desk says of it, the wire, the device's end)."""
    wire = Wire()
    serving = asyncio.create_task(desk.serve(wire, ADDRESS))
    device_end = DeviceEnd(seed=bytes(32), offer=decode(await wire.to_device.get()))
    message = device_end.request(request, lambda purpose, payload: sign_with_purpose(key, purpose, payload))
    wire.to_relay.put_nowait(encode(message))
    return await serving, wire, device_end


async def answered(desk, request):
    result, wire, device_end = await come(desk, request)
    return result, device_end.open(decode(wire.to_device.get_nowait())), wire.closed


async def test_the_desk_first_proves_the_key_that_the_code_names(desk, code):
    wire = Wire()
    serving = asyncio.create_task(desk.serve(wire, ADDRESS))
    offer = decode(await wire.to_device.get())
    signed = DeviceEnd(seed=bytes(32), offer=offer).offer_payload()
    assert code.matches(offer.relay_key)
    assert verify_with_purpose(offer.relay_key, OFFER_PURPOSE, signed, offer.signature)
    wire.to_relay.put_nowait(None)
    assert await serving == "gone"


async def test_a_device_with_a_code_gets_its_certificate(desk, code, shop):
    result, answer, closed = await answered(desk, facts(code))
    assert (result, answer.shop, len(answer.sealed), closed[0]) == ("enrolled", shop.id, 3, 1000)


async def test_a_device_that_asks_again_gets_the_same_answer(desk, code):
    _, first, _ = await answered(desk, facts(code))
    result, again, _ = await answered(desk, facts(code))
    assert (result, again) == ("repeated", first)


async def test_a_device_without_a_right_code_is_told_and_what_to_do(desk, code):
    wrong = PairingCode(code.selector, "0" * 12, code.fingerprint)
    result, answer, closed = await answered(desk, facts(wrong))
    assert (result, answer.refusal, closed[0]) == (
        "refused",
        "the relay does not know this pairing code",
        4403,
    )
    assert answer.hint == "ask for a new code: `crdtsync-relay pair SHOP`"


async def test_a_device_that_guesses_is_told_when_to_come_back(desk, code):
    wrong = PairingCode(code.selector, "0" * 12, code.fingerprint)
    for _ in range(10):
        await answered(desk, facts(wrong))
    result, answer, _ = await answered(desk, facts(code))
    assert (result, answer.retry_after_s) == ("limited", 600)


async def test_a_key_that_the_device_does_not_have_is_not_certified(desk, code):
    stolen = PrivateKey.from_seed(b"till 2")
    result, wire, _ = await come(desk, facts(code, stolen), key=KEY)
    assert (result, wire.closed[0]) == ("malformed", 4400)
    assert (await answered(desk, facts(code)))[0] == "enrolled"


async def test_the_relays_own_trouble_is_not_told_in_detail_and_the_code_stays_good(desk, code, folder, shop):
    key = folder.keys / f"{shop.id.hex()}.owner"
    elsewhere = key.rename(folder.root / "safe")
    key.write_text("no key any more")
    result, answer, _ = await answered(desk, facts(code))
    assert (result, answer.refusal) == ("failed", "the relay could not write the certificate")
    elsewhere.rename(key)
    assert (await answered(desk, facts(code)))[0] == "enrolled"


async def test_whoever_sends_something_else_is_sent_away(desk):
    wire = Wire()
    wire.to_relay.put_nowait(encode(Ack(START)))
    assert await desk.serve(wire, ADDRESS) == "malformed"
    assert wire.closed[0] == 4402


async def test_whoever_says_nothing_is_not_waited_for(desk, monkeypatch):
    monkeypatch.setattr(enrolment, "HELLO_TIMEOUT_MS", 10)
    wire = Wire()
    assert await desk.serve(wire, ADDRESS) == "gone"
    assert wire.closed[0] == 4508
