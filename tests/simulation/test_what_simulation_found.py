"""What simulated shops found, each as small as it could be told."""

import pytest

from crdtsync.model.ticket import Line
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.simulation.shop import Shop

WINE = Line("cm-2019", "Crozes-Hermitage", 1850, 2000, "N")


@pytest.fixture
def shop():
    with fast_signatures(), Shop(registers=2) as shop:
        shop.run(60)
        yield shop


def test_a_damaged_record_that_the_relay_does_not_have_yet_keeps_nobody_from_synchronising(shop):
    """Only who synchronises read it, and tried again for ever: nothing sold after it left the register."""
    first, second = shop.registers
    shop.network.partition({first.name: 1})
    tickets = [first.register.sell([WINE], ["cash"]) for _ in range(3)]
    assert shop.damage(first, first.register.end.seq - 1)
    shop.settle()
    known = {row.link for row in second.register.sales()}
    assert known == {tickets[0].link, tickets[2].link}


def test_a_status_is_given_although_a_record_that_is_pending_is_damaged(shop):
    register = shop.registers[0]
    shop.network.partition({register.name: 1})
    register.register.sell([WINE], ["cash"])
    register.register.sell([WINE], ["cash"])
    assert shop.damage(register, register.register.end.seq)
    status = register.register.status()
    assert status.pending.sales == 1
    assert status.state == "attention"


def seq_of(machine, found):
    """The number of the first record of a kind on a disk."""
    return next(seq for seq, record in enumerate(machine.records(), 1) if found in record)


@pytest.mark.parametrize("what", [b'"kind":"owner"', b'"name":"relay"', b'"name":"till 1"'])
@pytest.mark.parametrize("where", ["at the relay", "at a register"])
def test_what_the_owner_signed_rots_and_comes_back(shop, what, where):
    """Without the owner's first entry, or the relay's certificate, nobody knew anybody any more."""
    first, second = shop.registers
    machine = shop.relay if where == "at the relay" else first
    lost = machine.records()[seq_of(machine, what) - 1]
    assert shop.damage(machine, seq_of(machine, what))
    shop.crash(machine)
    ticket = second.register.sell([WINE], ["cash"])
    shop.settle()
    shop.scrub()
    shop.run(30)
    shop.settle()
    assert lost in machine.records()
    assert ticket.link in {row.link for row in first.register.sales()}
