"""Histories that a search found, made as small as they could be: each lost something, or broke off."""

import pytest

from crdtsync.protocol import limits
from crdtsync.runtime.committing import batches
from crdtsync.testing.stepped import SteppedShop
from crdtsync.testing.stepped_truth import Truth

SMALL = {
    "CUT_ROWS_MIN": 20,
    "WANT_SEQS": 4,
    "WANT_SEQS_UNDER_WAY": 4,
    "BATCH_BYTES": 700,
    "IN_FLIGHT_BYTES_MAX": 1500,
}


@pytest.fixture
def shop(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(limits, name, value)
    monkeypatch.setattr(batches, "KEPT_ROWS_MIN", 2)
    shop = SteppedShop(registers=2)
    shop.settle()
    return shop


def end_well(shop):
    truth = Truth(shop)
    truth.check()
    truth.come_to_rest()
    truth.check_days()


def test_a_relay_that_packs_while_a_register_fetches_the_past(shop):
    """The pack reached beyond the cut: an answer beyond what the register was told of."""
    for _ in range(24):
        shop.registers[0].sell()
    shop.settle()
    newcomer = shop.enrol()
    wire = shop.connect(newcomer)
    while not wire.near.connection.session.inbound.wanted:
        assert wire.deliver(wire.near) or wire.deliver(wire.far)
    shop.relay.permit("a")
    shop.relay.pack(25)
    shop.settle()
    end_well(shop)


def test_a_relay_whose_record_is_damaged_while_a_register_is_connected(shop):
    """The register had left the record out for the old log, and the relay claimed to hold it."""
    shop.relay.write()
    shop.relay.process.look()
    shop.relay.damage(1, at_start=False)
    for _ in range(5):
        shop.step()
    shop.pass_time(1100)
    for _ in range(5):
        shop.step()
    end_well(shop)


def test_a_register_that_sends_from_memory_what_its_disk_has_lost(shop):
    """The relay took it for a row of the register's new log, and did not give it back."""
    shop.relay.permit("a")
    shop.settle()
    shop.registers[0].damage(1, at_start=False)
    shop.relay.damage(1, at_start=False)
    end_well(shop)


def test_a_disk_put_back_while_the_relay_forgets_how_far_it_had_it(shop):
    """Nobody noticed, and what came from the disk before was left out for it."""
    register = shop.registers[0]
    shop.registers[1].sell()
    morning = register.disk.copy()
    for _ in range(12):
        register.sell()
    shop.settle()
    register.put_back(morning)
    shop.relay.damage(1)
    for _ in range(12):
        register.sell()
    end_well(shop)


def test_the_number_of_a_refused_sale_is_another_sale_s_by_now(shop):
    """It was shown as pending for ever."""
    register = shop.registers[0]
    register.sell()
    shop.settle()
    morning = register.disk.copy()
    bad = register.sell(bad=True)
    shop.settle()
    register.put_back(morning)
    shop.relay.damage(1)
    register.sell()
    truth = Truth(shop)
    truth.bad.add(bad)
    truth.come_to_rest()


def test_a_full_disk_keeps_out_what_was_refused_and_not_the_acknowledgement_after_it(shop):
    """The refused sale was shown as confirmed by the relay."""
    register, truth = shop.registers[0], Truth(shop)
    [wire] = [wire for wire in shop.live_wires() if wire.near_replica is register]
    register.sell(needs="a")
    register.process.look()
    while wire.deliver(wire.far):
        pass
    shop.relay.process.steps.commit()
    shop.relay.process.steps.hand_back()
    register.process.steps.finds_no_room = True
    arrived = 0
    while wire.deliver(wire.near):
        arrived += register.process.steps.has_work
        register.process.steps.commit()
        truth.check()
    assert arrived > 1
    register.process.steps.hand_back()
    end_well(shop)


def test_a_held_sale_is_admitted_after_the_disk_that_had_it_was_put_back(shop):
    """And after the relay, for damage, had forgotten how far it had that disk: it counted as held there."""
    register = shop.registers[0]
    morning = register.disk.copy()
    register.sell(needs="a")
    shop.settle()
    shop.relay.write()
    register.put_back(morning)
    shop.relay.damage(shop.relay.log.end.seq, at_start=False)
    shop.relay.permit("a")
    register.sell()
    end_well(shop)


@pytest.mark.parametrize("at_start", [False, True])
def test_damage_takes_the_only_copy_of_the_permit_by_which_the_relay_admitted_a_sale(shop, at_start):
    """Nobody else can admit the sale. All keep it apart, and have it when the owner has signed again."""
    register, other = shop.registers
    sale = register.sell(needs="a")
    shop.settle()
    shop.relay.permit("a")
    [wire] = [wire for wire in shop.live_wires() if wire.near_replica is register]
    register.sell()
    register.process.look()
    while wire.deliver(wire.far):
        pass
    shop.relay.process.steps.commit()
    assert sale in shop.relay.records()
    for wire in list(shop.wires):
        shop.cut(wire, lost=True)
    shop.relay.damage(1, at_start=at_start)
    shop.settle()
    assert sale not in other.records()
    assert [apart.record for apart in other.log.apart() if apart.held] == [sale]
    end_well(shop)
    assert all(sale in replica.records() for replica in shop.replicas)
