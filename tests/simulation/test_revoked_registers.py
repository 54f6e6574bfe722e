"""Registers that are cut off, whatever else goes wrong: they hand over, get nothing, and a person decides."""

import pytest

from crdtsync.testing.simulation import checks
from crdtsync.testing.simulation.broken import Broken
from crdtsync.testing.simulation.shop import Shop
from crdtsync_server import home as relay_home


def sell(register, many=1):
    return [register.register.sell(["vin"], ["cash"]) for _ in range(many)]


def new_shop(seed, registers=3):
    shop = Shop(registers, seed)
    shop.registers[0].register.products.add("vin", name="Vin", price_minor=850, vat_rate=2000)
    shop.run(20)
    return shop


def cut_off_while_offline(shop, register, many=2):
    """It sells where nobody hears it, and is revoked meanwhile."""
    sell(register)
    shop.run(10)
    shop.network.partition({register.name: 1})
    sell(register, many)
    shop.run(10)
    shop.revoke(register)
    shop.run(5)


@pytest.mark.parametrize("seed", range(8))
def test_what_it_sold_goes_on_hold_and_in_when_a_person_says_so(seed):
    with new_shop(seed) as shop:
        first, *others = shop.registers
        cut_off_while_offline(shop, first)
        sell(others[0])
        shop.settle()
        shop.check_at_rest()
        held = checks._apart_on(shop, shop.relay)
        assert len(held) == 2
        assert not held & checks.links_on(others[0])
        assert first.register.status().pending.sales == 2
        assert shop.approve(first) == 2
        shop.settle()
        shop.check_at_rest()
        assert all(held <= checks.links_on(machine) for machine in (shop.relay, *others))
        assert checks._apart_on(shop, shop.relay) == set()
        assert first.register.status().pending.sales == 0
        assert shop.approve(first) == 0


@pytest.mark.parametrize("seed", range(8))
def test_who_is_connected_when_it_is_cut_off_hands_over_by_itself(seed):
    with new_shop(seed) as shop:
        first, other = shop.registers[:2]
        sell(first)
        shop.revoke(first)
        shop.run(1)
        sell(first)
        sell(other, 3)
        shop.run(30)
        assert first.syncer.connection is None
        assert not checks.links_on(first) & {ticket.link.hex() for ticket in sell(other)}
        shop.settle()
        shop.check_at_rest()


@pytest.mark.parametrize("seed", range(6))
def test_neither_a_crash_nor_a_wiped_relay_loses_what_was_handed_over(seed):
    with new_shop(seed) as shop:
        first = shop.registers[0]
        cut_off_while_offline(shop, first)
        shop.network.heal()
        first.syncer.try_now()
        shop.run(0.03 * (seed + 1))
        shop.crash(first if seed % 2 else shop.relay)
        shop.settle()
        shop.check_at_rest()
        shop.wipe_relay()
        shop.settle()
        shop.check_at_rest()
        shop.approve(first)
        shop.settle()
        shop.check_at_rest()


def test_a_relay_that_serves_who_was_cut_off_is_found_out(monkeypatch):
    def serves_on(self, shop):
        """A relay that does not look."""

    monkeypatch.setattr(relay_home.RelayHome, "_drop_revoked", serves_on)
    with new_shop(1) as shop:
        shop.revoke(shop.registers[0])
        shop.run(10)
        with pytest.raises(Broken, match="nobody serves a revoked device"):
            shop.check_in_step()


def test_a_relay_that_tells_who_was_cut_off_of_its_log_is_found_out(monkeypatch):
    with new_shop(1) as shop:
        first = shop.registers[0]
        cut_off_while_offline(shop, first)
        monkeypatch.setattr(
            "crdtsync.runtime.belonging.revoked.START", shop.relay.home.shop_log(shop.shop_id).end
        )
        shop.network.heal()
        first.syncer.try_now()
        with pytest.raises(Broken, match="who was cut off gets nothing"):
            shop.run(30, each=shop.check)


def test_a_relay_that_drops_what_it_holds_is_found_out(monkeypatch):
    with new_shop(1) as shop:
        first = shop.registers[0]
        cut_off_while_offline(shop, first)
        shop.settle()
        store = shop.relay.plate.open()
        with store.transaction():
            log = store.shop(shop.shop_id)
            for apart in log.apart():
                log.settle_refusals(apart.digest)
        with pytest.raises(Broken, match="who was cut off has handed over"):
            checks.who_was_cut_off_has_handed_over(shop)


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_served_a_second_after_a_revocation_was_written(seed):
    """In virtual time, at any moment between the relay's looks."""
    with new_shop(seed) as shop:
        first = shop.registers[0]
        shop.run(0.05 * seed)
        served = first.syncer.connection
        assert served.session.is_live
        shop.revoke(first)
        shop.run(1.0)
        assert not served.end.is_open
        assert not any(
            one.session.peer.device == first.identity.device and not one.takes_only
            for live in shop.relay.home.connections.values()
            for one in live
        )
