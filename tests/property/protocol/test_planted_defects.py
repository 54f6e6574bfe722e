"""Defects planted one by one: what holds after a history of the shop does not hold with one of them.

Each is as small as a mistake is, and would lose sales without a word.
"""

import pytest

from crdtsync.protocol.inbound import Inbound
from crdtsync.protocol.outbound import Outbound
from crdtsync.protocol.session import Session
from crdtsync.storage.memory_log import MemoryLog
from crdtsync.storage.pack import decode_pack, encode_pack, pack_interval
from crdtsync.testing import stepped_replica
from crdtsync.testing.stepped import SteppedShop
from crdtsync.testing.stepped_truth import Truth

# -- histories ---------------------------------------------------------------------------------------------


def a_register_joins_after_the_relay_has_packed(shop):
    sell(shop.registers[0], 6)
    shop.settle()
    shop.relay.pack(6)
    shop.relay.crash()  # Or it would send from memory what is new.
    shop.enrol()


def two_sales_arrive_in_one_frame(shop):
    sell(shop.registers[0], 2)


def a_disk_is_put_back_and_sells_as_much_again(shop):
    register = shop.registers[0]
    sell(register, 1)
    shop.settle()
    morning = register.disk.copy()
    sell(register, 3)
    shop.settle()
    register.put_back(morning)
    sell(register, 3)


def the_wire_breaks_after_a_sale_was_refused(shop):
    shop.truth.bad.add(shop.registers[0].sell(bad=True))
    wire = next(shop.live_wires())
    shop.registers[0].process.look()
    while wire.deliver(wire.far):
        shop.relay.process.steps.commit()
        shop.relay.process.steps.hand_back()
    assert shop.relay.log.apart()
    shop.cut(wire, lost=True)


def what_came_twice_is_damaged(shop):
    seller, reader = shop.registers
    wire = shop.connect(reader, seller)
    seller.sell()
    seller.process.look()
    while wire.deliver(wire.near) or wire.deliver(wire.far):
        reader.process.steps.commit()
        reader.process.steps.hand_back()
    assert len(reader.rows()) == 1
    shop.settle()
    reader.damage(1)


def the_relay_compacts_the_catalogue(shop):
    for _ in range(3):
        shop.registers[0].write()
    shop.settle()
    assert shop.relay.compact("catalogue", 9)


def sell(register, count):
    for _ in range(count):
        register.sell()


# -- defects -----------------------------------------------------------------------------------------------


def a_pack_is_one_entry_short(patch):
    supply = Outbound.supply_pack

    def supply_short(outbound, to, blob, **more):
        first, last = pack_interval(blob)
        short = decode_pack(blob, bytes_max=1 << 20)[:-1]
        supply(outbound, to, encode_pack(short, first=first, last=last), **more)

    patch.setattr(Outbound, "supply_pack", supply_short)


def a_cursor_is_one_too_far(patch):
    take = Inbound._take
    patch.setattr(
        Inbound,
        "_take",
        lambda inbound, cursor, *, records=(), **more: take(inbound, cursor, records=records[:-1], **more),
    )


def the_running_hash_is_not_compared(patch):
    hash_at = MemoryLog.hash_at

    class Any(bytes):
        __eq__ = lambda self, other: True  # noqa: E731
        __hash__ = bytes.__hash__

    patch.setattr(MemoryLog, "hash_at", lambda log, seq: hash_at(log, seq) and Any(hash_at(log, seq)))


def refusals_are_not_repeated_at_hello(patch):
    tell = Session._tell_refused
    patch.setattr(
        Session,
        "_tell_refused",
        lambda session, refused, *, complete: tell(session, () if complete else refused, complete=complete),
    )


def damage_rewinds_only_the_log_it_came_from(patch):
    rewind = lambda log, seq, at_ms: log._tables.cursors.put(log._row_or_none(seq).origin[0], None)  # noqa: E731
    patch.setattr(MemoryLog, "_be_another_log", rewind)


def a_state_is_one_update_short(patch):
    compacted = stepped_replica.compacted
    patch.setattr(stepped_replica, "compacted", lambda records: compacted(list(records)[:-1]))


DEFECTS = {
    a_pack_is_one_entry_short: a_register_joins_after_the_relay_has_packed,
    a_cursor_is_one_too_far: two_sales_arrive_in_one_frame,
    the_running_hash_is_not_compared: a_disk_is_put_back_and_sells_as_much_again,
    refusals_are_not_repeated_at_hello: the_wire_breaks_after_a_sale_was_refused,
    damage_rewinds_only_the_log_it_came_from: what_came_twice_is_damaged,
    a_state_is_one_update_short: the_relay_compacts_the_catalogue,
}


def go_through(history):
    shop = SteppedShop(registers=2)
    shop.truth = Truth(shop)
    shop.settle()
    history(shop)
    shop.truth.come_to_rest()


@pytest.mark.parametrize("history", DEFECTS.values(), ids=lambda history: history.__name__)
def test_without_a_defect_the_history_ends_well(history):
    go_through(history)


@pytest.mark.parametrize("plant", DEFECTS, ids=lambda plant: plant.__name__)
def test_with_the_defect_the_same_history_is_found_wanting(plant, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        go_through(DEFECTS[plant])
