from dataclasses import replace

import msgpack
import pytest

from crdtsync.errors import MalformedMessage, UnsupportedVersion
from crdtsync.model.signature import PrivateKey, sign_with_purpose, verify_with_purpose
from crdtsync.protocol import enrolment
from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.enrolment import (
    OFFER_PURPOSE,
    REQUEST_PURPOSE,
    DeviceEnd,
    EnrolAnswer,
    EnrolRequest,
    RelayEnd,
)
from crdtsync.protocol.messages import Enrol, Enrolled

RELAY_KEY, TILL_KEY, THIEF_KEY = (PrivateKey.from_seed(seed) for seed in (b"relay", b"till", b"thief"))
RELAY, TILL, SHOP = b"relay in a rack.", b"till number one.", b"the corner shop."
REQUEST = EnrolRequest("K7QW-XK2M", TILL, "Caisse 1", TILL_KEY.public)
ANSWER = EnrolAnswer(SHOP, (b"owner", b"certify"))


def signer(key):
    return lambda purpose, payload: sign_with_purpose(key, purpose, payload)


def relay_end(seed=b"r", key=RELAY_KEY):
    return RelayEnd(seed=seed * 32, nonce=seed * 16, device=RELAY, public_key=key.public, sign=signer(key))


def device_end(offer, seed=b"d"):
    return DeviceEnd(seed=seed * 32, offer=offer)


def asked(relay=None, request=REQUEST, key=TILL_KEY):
    """(relay end, device end, the device's message), over the wire."""
    relay = relay or relay_end()
    device = device_end(decode(encode(relay.offer)))
    return relay, device, decode(encode(device.request(request, signer(key))))


def offer_holds(offer, key=RELAY_KEY):
    return verify_with_purpose(key.public, OFFER_PURPOSE, device_end(offer).offer_payload(), offer.signature)


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# -- the good case -----------------------------------------------------------------------------------------


def test_the_relay_proves_the_key_that_the_pairing_code_names():
    assert offer_holds(relay_end().offer)


@pytest.mark.parametrize(
    "request_", [REQUEST, replace(REQUEST, chain=b"c" * 32, shop=SHOP, series="07", name="é" * 80)]
)
def test_the_relay_reads_what_the_device_asks(request_):
    relay, _, message = asked(request=request_)
    found, payload, signature = relay.open(message)
    assert found == request_
    assert verify_with_purpose(TILL_KEY.public, REQUEST_PURPOSE, payload, signature)


@pytest.mark.parametrize("answer", [ANSWER, EnrolAnswer(refusal="wrong code", hint="ask", retry_after_s=60)])
def test_the_device_reads_what_the_relay_answers(answer):
    relay, device, message = asked()
    relay.open(message)
    assert device.open(decode(encode(relay.answer(answer)))) == answer


def test_the_pairing_code_is_not_on_the_wire():
    _, _, message = asked()
    assert REQUEST.secret.encode() not in encode(message)


# -- somebody in between -----------------------------------------------------------------------------------


def test_a_relay_with_another_key_does_not_hold_the_offer():
    assert not offer_holds(relay_end(key=THIEF_KEY).offer)


@pytest.mark.parametrize("fact", ["nonce", "relay_device", "exchange_key", "signature"])
def test_an_offer_that_was_changed_does_not_hold(fact):
    offer = relay_end().offer
    assert not offer_holds(replace(offer, **{fact: flipped(getattr(offer, fact), 0)}))


def test_somebody_who_puts_a_key_of_his_own_into_the_offer_is_found_out():
    mine = relay_end(seed=b"m", key=THIEF_KEY).offer
    assert not offer_holds(replace(relay_end().offer, exchange_key=mine.exchange_key))


def test_somebody_in_between_cannot_open_the_request():
    _, _, message = asked()
    with pytest.raises(MalformedMessage):
        relay_end(seed=b"m").open(message)


def test_somebody_in_between_cannot_put_his_key_in_place_of_the_devices():
    """He can seal a box of his own, but not with the code: here he replaces only the exchange key."""
    relay, _, message = asked()
    other = device_end(relay.offer, seed=b"m").request(REQUEST, signer(THIEF_KEY))
    with pytest.raises(MalformedMessage):
        relay.open(Enrol(other.exchange_key, message.box))


def test_who_asks_for_a_key_that_he_does_not_have_is_found_out():
    relay, _, message = asked(key=THIEF_KEY)
    _, payload, signature = relay.open(message)
    assert not verify_with_purpose(TILL_KEY.public, REQUEST_PURPOSE, payload, signature)


def test_the_key_of_another_relay_in_the_offer_makes_another_box():
    """The relay's key is part of what a box is bound to."""
    relay = relay_end()
    device = device_end(replace(relay.offer, relay_key=THIEF_KEY.public))
    with pytest.raises(MalformedMessage):
        relay.open(device.request(REQUEST, signer(TILL_KEY)))


def test_a_request_is_no_answer_to_another_offer():
    _, _, message = asked(relay_end(seed=b"1"))
    with pytest.raises(MalformedMessage):
        relay_end(seed=b"2").open(message)


def test_a_request_is_no_answer_to_another_offer_with_the_same_exchange_key():
    _, _, message = asked(relay_end())
    again = RelayEnd(
        seed=b"r" * 32, nonce=b"2" * 16, device=RELAY, public_key=RELAY_KEY.public, sign=signer(RELAY_KEY)
    )
    with pytest.raises(MalformedMessage):
        again.open(message)


def test_an_answer_is_no_answer_to_another_device():
    relay, _, message = asked()
    relay.open(message)
    with pytest.raises(MalformedMessage):
        device_end(relay.offer, seed=b"e").open(relay.answer(ANSWER))


def test_a_request_sent_back_is_no_answer():
    relay, device, message = asked()
    relay.open(message)
    with pytest.raises(MalformedMessage):
        device.open(Enrolled(message.box))


def test_every_changed_bit_of_a_box_is_found():
    relay, device, message = asked()
    relay.open(message)
    answer = relay.answer(ANSWER)
    for bit in range(8 * len(message.box)):
        with pytest.raises(MalformedMessage):
            relay_end().open(Enrol(message.exchange_key, flipped(message.box, bit)))
    for bit in range(8 * len(answer.box)):
        with pytest.raises(MalformedMessage):
            device.open(Enrolled(flipped(answer.box, bit)))


@pytest.mark.parametrize("length", [0, 15, 16, 17])
def test_a_box_that_was_cut_short_is_found(length):
    relay, _, message = asked()
    with pytest.raises(MalformedMessage):
        relay.open(Enrol(message.exchange_key, message.box[:length]))


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31)])
def test_an_exchange_key_that_leads_to_a_known_secret_is_refused(public):
    with pytest.raises(MalformedMessage):
        relay_end().open(Enrol(public, b"box"))
    with pytest.raises(MalformedMessage):
        device_end(replace(relay_end().offer, exchange_key=public))


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_not_spoken(version):
    with pytest.raises(UnsupportedVersion):
        device_end(replace(relay_end().offer, version=version))


# -- what is in a box --------------------------------------------------------------------------------------

FIELDS = ["secret", TILL, "name", TILL_KEY.public, b"", b"", "", bytes(64)]
REPLY = [SHOP, [b"owner"], "", "", 0]


def with_field(fields, place, value):
    return [*fields[:place], value, *fields[place + 1 :]]


def sealed(relay_offer, plain):
    """A box that the relay can open, with anything inside, as somebody hostile would make it."""
    device = device_end(relay_offer)
    box = enrolment._close(device._key, enrolment._TO_RELAY, plain, enrolment._context(relay_offer))
    return Enrol(device._private.public_key().public_bytes_raw(), box)


@pytest.mark.parametrize(
    "plain",
    [
        [],
        "text",
        {"a": 1},
        FIELDS[:-1],
        [*FIELDS, 0],
        with_field(FIELDS, 0, b"secret"),
        with_field(FIELDS, 0, "s" * 81),
        with_field(FIELDS, 1, TILL[:-1]),
        with_field(FIELDS, 2, "n" * 81),
        with_field(FIELDS, 3, TILL_KEY.public[:-1]),
        with_field(FIELDS, 4, b"c" * 31),
        with_field(FIELDS, 5, b"s" * 15),
        with_field(FIELDS, 6, "0" * 21),
        with_field(FIELDS, 7, bytes(63)),
        with_field(FIELDS, 7, None),
    ],
)
def test_a_box_that_holds_something_else_is_refused(plain):
    relay = relay_end()
    with pytest.raises(MalformedMessage):
        relay.open(sealed(relay.offer, plain))


def test_a_box_of_deep_nesting_is_refused():
    relay = relay_end()
    device = device_end(relay.offer)
    inside = b"\x91" * 3000 + b"\x90"
    box = enrolment.ChaCha20Poly1305(device._key).encrypt(
        enrolment._TO_RELAY, inside, enrolment._context(relay.offer)
    )
    with pytest.raises(MalformedMessage):
        relay.open(Enrol(device._private.public_key().public_bytes_raw(), box))


@pytest.mark.parametrize(
    "plain",
    [
        [],
        REPLY[:-1],
        with_field(REPLY, 0, SHOP[:-1]),
        with_field(REPLY, 1, ["text"]),
        with_field(REPLY, 1, b"owner"),
        with_field(REPLY, 2, None),
        with_field(REPLY, 4, True),
        with_field(REPLY, 4, -1),
    ],
)
def test_an_answer_that_holds_something_else_is_refused(plain):
    relay, device, message = asked()
    relay.open(message)
    box = enrolment._close(relay._key, enrolment._TO_DEVICE, plain, enrolment._context(relay.offer))
    with pytest.raises(MalformedMessage):
        device.open(Enrolled(box))


def test_the_largest_request_fits_in_its_box():
    _, _, message = asked(
        request=EnrolRequest("s" * 80, TILL, "é" * 80, TILL_KEY.public, b"c" * 32, SHOP, "0" * 20)
    )
    assert len(msgpack.packb(message.box)) < 1000
