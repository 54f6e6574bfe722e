"""What a device may not say is held by both sides until somebody who may says otherwise."""

from dataclasses import replace

import pytest

from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.model.chain import next_body, start
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.testing.till import MemoryOwner, bytes_of
from tests.unit.runtime.hostile_device.conftest import SIDES, Side, both, shop

# It prints what it finds, and an entry may be long.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


def of_a_stranger():
    """A register of another shop, certified there."""
    other = MemoryOwner("bistro")
    return other.enrol("Caisse 9"), other


def a_new_key(device, **fields):
    """A first entry of the device with a key that nobody certified."""
    key = PrivateKey.from_seed(b"a key of its own")
    body = start(
        device.author, key.public, shop()[0].shop, series="01", nonce=bytes(16), moment=device.moment
    )
    return seal(body | fields, key)


def in_anothers_shop(device):
    """A first entry with the certified key, made for another shop."""
    other = replace(shop()[0].shop, id=bytes_of("shop", "bistro"))
    body = start(device.author, device.key.public, other, series="01", nonce=bytes(16), moment=device.moment)
    return seal(body, device.key)


HELD = {
    "the chain of a register of another shop": (lambda _: of_a_stranger()[0].sealed[0], "unknown-device"),
    "a certificate by another shop's owner": (lambda _: of_a_stranger()[1].sealed[1], "other-shop"),
    "another shop's owner": (lambda _: of_a_stranger()[1].sealed[0], "other-shop"),
    "a chain with a key that nobody certified": (a_new_key, "unknown-key"),
    "a chain that was begun for another shop": (in_anothers_shop, "other-shop"),
}


@pytest.mark.parametrize("what", HELD)
def test_what_it_may_not_say_is_held_by_both_and_kept_apart(sides, what):
    make, code = HELD[what]
    data = make(shop()[1])
    before = [side.look() for side in sides]
    assert both(sides, data) == [code]
    assert [side.look() for side in sides] == before
    assert [side.apart() for side in sides] == [{data: code}] * 2


def test_what_a_display_or_a_revoked_device_records_is_held_by_both(tmp_path):
    owner = MemoryOwner("with others")
    display, stolen = owner.enrol("Vitrine", role="display"), owner.enrol("Caisse 3", series="03")
    stolen.sell()
    owner.revoke(stolen, [stolen.end.known])
    stolen.sell()
    for kind in SIDES:
        side = Side(kind, tmp_path, owner)
        assert side.bring(*owner.sealed, *display.sealed, *stolen.sealed) == ["role", "revoked"]


def test_a_certificate_for_another_shop_by_our_owner_is_refused_by_both(sides):
    owner, device, _ = shop()
    certificate = Certificate(device.author, "x", "register", device.key.public, bytes_of("shop", "bistro"))
    body = next_body(owner.end, "certify", build_certify(certificate), owner.moment)
    before = [side.look() for side in sides]
    assert both(sides, seal(body, owner.key)) == ["malformed"]
    assert both(sides, seal(body, device.key)) == ["bad-signature"], "nor does it certify itself"
    assert [side.look() for side in sides] == before
