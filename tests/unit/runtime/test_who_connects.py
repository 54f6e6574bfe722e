"""Who says hello has to prove it."""

from crdtsync.model.signature import PrivateKey
from crdtsync.testing.stepped import SteppedShop


def sells_and_connects(shop, register):
    sale = register.sell()
    shop.connect(register)
    for _ in range(20):
        shop.step()
    return sale


def test_who_has_not_the_key_of_its_certificate_brings_nothing_in():
    shop = SteppedShop(registers=1)
    [register] = shop.registers
    register.key = PrivateKey.from_seed(b"another")
    assert sells_and_connects(shop, register) not in shop.relay.records()


def test_who_has_it_does():
    shop = SteppedShop(registers=1)
    assert sells_and_connects(shop, shop.registers[0]) in shop.relay.records()
