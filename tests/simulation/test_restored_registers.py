"""Registers that are lost and replaced by a code, and an owner who changes his key."""

import pytest

from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.belonging import replacing as product
from crdtsync.testing.simulation import checks
from crdtsync.testing.simulation.broken import Broken
from crdtsync.testing.simulation.replacing import restore
from tests.simulation.test_revoked_registers import new_shop, sell


def offline_sales(shop, register, many=2):
    """It sells where nobody hears it."""
    sell(register, many)
    shop.run(10)
    shop.network.partition({register.name: 1})
    sell(register, many)
    shop.run(10)


@pytest.mark.parametrize("seed", range(6))
def test_the_new_one_sells_at_once_and_has_all_that_the_relay_had(seed):
    with new_shop(seed) as shop:
        first, *others = shop.registers
        offline_sales(shop, first)
        new = restore(shop, first, found_after_s=None)
        shop.run(1)
        [ticket] = sell(new)
        sell(others[0])
        shop.settle()
        shop.check_at_rest()
        came_back = new.register.status().came_back
        assert (came_back.is_complete, came_back.tickets) == (True, 2)
        assert ticket.number.startswith(f"{new.identity.series}-")


@pytest.mark.parametrize("seed", range(6))
def test_when_the_lost_one_is_found_again_its_unsent_sales_wait_for_a_person(seed):
    with new_shop(seed) as shop:
        first = shop.registers[0]
        offline_sales(shop, first)
        new = restore(shop, first, found_after_s=15)
        shop.network.partition({})
        shop.run(20)
        sell(new)
        shop.settle()
        shop.check_at_rest()
        assert len(checks._apart_on(shop, shop.relay)) == 2
        assert shop.approve(first) == 2
        shop.settle()
        shop.check_at_rest()
        assert new.register.status().came_back.tickets == 4


@pytest.mark.parametrize("seed", range(6))
def test_a_key_that_is_rotated_between_and_a_relay_that_loses_its_disk_change_nothing(seed):
    with new_shop(seed) as shop:
        first, second, _ = shop.registers
        offline_sales(shop, first)
        shop.rotate_owner_key()
        restore(shop, first, found_after_s=40)
        shop.run(5)
        shop.wipe_relay()
        shop.run(30)
        shop.rotate_owner_key()
        shop.network.partition({})
        shop.revoke(second)
        newest = shop.enrol()
        shop.run(20)
        sell(newest)
        shop.settle()
        shop.check_at_rest()
        assert len(shop.owner.directory.keys.known) == 3


def test_a_register_that_says_that_all_came_back_when_it_did_not_is_found_out(monkeypatch):
    with new_shop(3, registers=2) as shop:
        first, second = shop.registers
        sell(first, 3)
        shop.run(10)
        shop.lose(second)
        new = restore(shop, first, found_after_s=None)
        shop.network.partition({new.name: 1})
        shop.wipe_relay()
        shop.run(5)
        shop.settle()
        shop.check_at_rest()
        assert not new.register.status().came_back.is_complete
        monkeypatch.setattr(product, "_is_here", lambda log, chain, n: True)
        with pytest.raises(Broken, match="what came back is all"):
            shop.check_at_rest()


def test_a_register_that_forgets_whose_place_it_took_is_found_out(monkeypatch):
    monkeypatch.setattr("crdtsync.testing.simulation.shop.save_lost", lambda log, lost: None)
    with new_shop(4) as shop:
        restore(shop, shop.registers[0], found_after_s=None)
        shop.settle()
        with pytest.raises(Broken, match="who replaces another says so"):
            shop.check_at_rest()


def test_an_owner_who_signs_with_the_key_that_he_gave_up_is_found_out():
    with new_shop(5) as shop:
        shop.rotate_owner_key()
        shop.run(10)
        shop.settle()
        shop.check_at_rest()
        given_up = PrivateKey.from_seed(b"nobody's")
        shop.owner.key = given_up
        shop.relay.append([shop.owner.revoke(bytes(16), ())])
        shop.settle()
        with pytest.raises(Broken, match="owner"):
            shop.check_at_rest()


def test_what_the_relay_had_of_a_register_when_that_was_lost_may_not_get_lost():
    with new_shop(6, registers=3) as shop:
        first = shop.registers[0]
        [ticket, _] = sell(first, 2)
        shop.run(10)
        restore(shop, first, found_after_s=None)
        shop.settle()
        shop.check_at_rest()
        assert ticket.link.hex() in shop.notebook.vouched
