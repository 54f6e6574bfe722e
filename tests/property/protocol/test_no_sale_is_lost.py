"""Any history of a small shop: what is acknowledged is on the relay's disk, nothing is lost, all converge."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from crdtsync.protocol import limits
from crdtsync.runtime.committing import batches
from crdtsync.runtime.syncing import answer, connection
from crdtsync.testing.stepped import SHOP, SteppedShop
from crdtsync.testing.stepped_truth import DOCUMENTS, Truth

SMALL = {
    "HEADS_ROWS_MIN": 5,
    "CUT_ROWS_MIN": 9,
    "WANT_SEQS": 4,
    "WANT_SEQS_UNDER_WAY": 8,
    "WANTS_UNDER_WAY_MAX": 3,
    "FIRST_INTERVALS_MAX": 2,
    "BATCH_BYTES": 700,
    "IN_FLIGHT_BYTES_MAX": 1500,
    "ACK_EVERY_BYTES": 900,
    "ROOM_BYTES": 1200,
    "RUNS_PER_MESSAGE_MAX": 2,
    "DOCUMENTS_PER_MESSAGE_MAX": 1,
    "REFUSALS_PER_MESSAGE_MAX": 2,
}
"""Bounds that histories of a few dozen records reach."""

OUTBOX_BYTES_MAX = 1200
PACKED_BYTES_MIN = 400
KEPT_ROWS_MIN = 2
REGISTERS_MAX = 4


class AnyShop(RuleBasedStateMachine):
    """Two registers and a relay; commits, frames, crashes, restores and clones in any order."""

    replicas = Bundle("replicas")
    registers = Bundle("registers")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in SMALL.items():
            self.patch.setattr(limits, name, value)
        self.patch.setattr(connection, "OUTBOX_BYTES_MAX", OUTBOX_BYTES_MAX)
        self.patch.setattr(answer, "PACKED_BYTES_MIN", PACKED_BYTES_MIN)
        self.patch.setattr(batches, "KEPT_ROWS_MIN", KEPT_ROWS_MIN)

    def teardown(self) -> None:
        try:
            if hasattr(self, "shop"):
                self.truth.come_to_rest()
                self.truth.check_days()
        finally:
            self.patch.undo()

    @initialize(target=replicas, seed=st.integers(0, 2**32))
    def open_shop(self, seed):
        self.shop = SteppedShop(2, seed)
        self.truth = Truth(self.shop)
        self.copies = []
        return multiple(*self.shop.replicas)

    # -- what people do ------------------------------------------------------------------------------------

    @rule(data=st.data(), count=st.integers(1, 8))
    def sell(self, data, count):
        register = data.draw(st.sampled_from(self.shop.registers))
        for _ in range(count):
            register.sell()
        self.look(data, register)

    @rule(data=st.data(), needs=st.sampled_from(["a", "b"]))
    def sell_what_is_not_permitted_yet(self, data, needs):
        register = data.draw(st.sampled_from(self.shop.registers))
        register.sell(needs=needs)

    @rule(data=st.data())
    def sell_what_nobody_admits(self, data):
        register = data.draw(st.sampled_from(self.shop.registers))
        self.truth.bad.add(register.sell(bad=True))

    @rule(name=st.sampled_from(["a", "b"]))
    def permit(self, name):
        self.shop.relay.permit(name)

    @rule(data=st.data(), count=st.integers(1, 2))
    def refund(self, data, count):
        """At any register, also of what another one sold, also what another one refunds at that moment."""
        registers = data.draw(st.lists(st.sampled_from(self.shop.registers), min_size=1, max_size=count))
        for register in registers:
            sales = [record for record in register.rows() if record[:1] == b"E" and b'"text":"#' in record]
            if sales:
                register.refund(sales[-1])

    @rule(data=st.data(), count=st.integers(1, 4), document=st.sampled_from(DOCUMENTS))
    def change_a_document(self, data, count, document):
        for _ in range(count):
            replica = data.draw(st.sampled_from(self.shop.replicas))
            replica.write(document)
            self.look(data, replica)

    def look(self, data, replica):
        if data.draw(st.booleans()):
            replica.process.look()

    @rule(sales=st.integers(5, 20), seed=st.integers(0, 2**32), rows=st.integers(0, 5))
    def have_a_busy_day(self, sales, seed, rows):
        chance = random.Random(seed)
        for _ in range(sales):
            replica = chance.choice(self.shop.replicas)
            if chance.random() < 0.2:
                replica.write(chance.choice(DOCUMENTS))
            elif not replica.is_relay:
                replica.sell()
        while rows and self.shop.relay.pack(rows):
            pass

    # -- what the network does -----------------------------------------------------------------------------

    @rule(data=st.data())
    def connect_to_the_relay(self, data):
        self.shop.connect(data.draw(st.sampled_from(self.shop.registers)))

    @precondition(lambda self: len(self.shop.registers) > 1)
    @rule(data=st.data())
    def connect_to_a_neighbour(self, data):
        near, far = data.draw(st.permutations(self.shop.registers))[:2]
        if near.device != far.device:
            self.shop.connect(near, far)

    def wire(self, data):
        return data.draw(st.sampled_from(self.shop.wires))

    has_wires = precondition(lambda self: self.shop.wires)

    @has_wires
    @rule(data=st.data(), side=st.booleans(), count=st.integers(1, 6))
    def deliver(self, data, side, count):
        wire = self.wire(data)
        for _ in range(count):
            wire.deliver(wire.near if side else wire.far)

    @has_wires
    @rule(data=st.data(), lost=st.booleans())
    def cut(self, data, lost):
        self.shop.cut(self.wire(data), lost=lost)

    @rule(ms=st.sampled_from([250, 1100, 1100, 61_000]))
    def pass_time(self, ms):
        self.shop.pass_time(ms)

    # -- what machines do ----------------------------------------------------------------------------------

    @rule(data=st.data(), told=st.booleans())
    def commit(self, data, told):
        replica = data.draw(st.sampled_from(self.shop.replicas))
        replica.process.steps.commit()
        if told:
            self.hand_back(replica)

    @rule(data=st.data())
    def tell_what_was_committed(self, data):
        self.hand_back(data.draw(st.sampled_from(self.shop.replicas)))

    def hand_back(self, replica):
        replica.process.steps.hand_back()
        for wire in list(self.shop.wires):
            wire.settle_errors()

    @rule(count=st.integers(1, 5))
    def everybody_works(self, count):
        for _ in range(count):
            self.shop.step()

    @rule(seed=st.integers(0, 2**32), count=st.integers(10, 80))
    def go_on_in_some_order(self, seed, count):
        """Frames, commits and what follows from them, one at a time."""
        chance = random.Random(seed)
        for _ in range(count):
            replica = chance.choice(self.shop.replicas)
            what = chance.randrange(12)
            if what < 7 and self.shop.wires:
                wire = chance.choice(self.shop.wires)
                wire.deliver(chance.choice(wire.ends))
            elif what < 9:
                replica.process.steps.commit()
            elif what < 11:
                self.hand_back(replica)
            else:
                replica.process.look()
                self.shop.pass_time(50)
            self.truth.check()

    @rule()
    def let_a_quiet_minute_pass(self):
        self.shop.settle()
        self.shop.pass_time(61_000)
        for _ in range(5):
            self.shop.step()

    @rule(data=st.data(), rows=st.integers(1, 6))
    def pack(self, data, rows):
        data.draw(st.sampled_from(self.shop.replicas)).pack(rows)

    @rule(data=st.data(), document=st.sampled_from(DOCUMENTS), rows=st.integers(2, 30))
    def compact(self, data, document, rows):
        data.draw(st.sampled_from(self.shop.replicas)).compact(document, rows)

    @rule(data=st.data(), seed=st.integers(0, 2**32), edits=st.integers(3, 8))
    def compact_while_some_have_half(self, data, seed, edits):
        """Edits travel, some of them arrive, then they become one state here and there."""
        document = data.draw(st.sampled_from(DOCUMENTS))
        for _ in range(edits):
            data.draw(st.sampled_from(self.shop.replicas)).write(document)
        self.go_on_in_some_order(seed, 40)
        for replica in self.shop.replicas:
            if data.draw(st.booleans()):
                replica.compact(document, 30)

    # -- what happens to machines --------------------------------------------------------------------------

    @rule(data=st.data())
    def crash(self, data):
        data.draw(st.sampled_from(self.shop.replicas)).crash()

    @rule(data=st.data())
    def fill_a_disk(self, data):
        data.draw(st.sampled_from(self.shop.replicas)).process.steps.finds_no_room = True

    @rule(data=st.data())
    def back_up(self, data):
        replica = data.draw(st.sampled_from(self.shop.replicas))
        self.copies.append((replica, replica.disk.copy()))

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def put_a_copy_back(self, data):
        replica, disk = data.draw(st.sampled_from(self.copies))
        replica.put_back(disk)

    @rule(data=st.data(), sales=st.integers(5, 15), seed=st.integers(0, 2**32), settles=st.booleans())
    def lose_a_day_of_one_disk(self, data, sales, seed, settles):
        """Back up in the morning, sell and synchronise, put the backup back."""
        replica = data.draw(st.sampled_from(self.shop.replicas))
        disk = replica.disk.copy()
        self.have_a_busy_day(sales, seed, 0)
        if settles:
            self.shop.settle()
        else:
            self.go_on_in_some_order(seed, 60)
        replica.put_back(disk)

    @rule()
    def wipe_the_relay(self):
        self.shop.relay.wipe()

    def damage(self, data, replica, is_hit):
        rows = replica.disk.shops[SHOP].rows.committed
        seqs = [seq for seq, row in rows.items() if row.record is not None and is_hit(row.origin[0])]
        if seqs:
            replica.damage(data.draw(st.sampled_from(seqs)), at_start=data.draw(st.booleans()))

    @rule(data=st.data())
    def damage_what_came_from_the_relay(self, data):
        relay_log = self.shop.relay.log.log_id
        self.damage(data, data.draw(st.sampled_from(self.shop.registers)), lambda log: log == relay_log)

    @rule(data=st.data())
    def damage_what_came_from_a_neighbour(self, data):
        neighbours = [register.log.log_id for register in self.shop.registers]
        self.damage(data, data.draw(st.sampled_from(self.shop.registers)), neighbours.__contains__)

    @rule(data=st.data())
    def damage_an_own_record(self, data):
        self.damage(data, data.draw(st.sampled_from(self.shop.replicas)), lambda log: log is None)

    @rule(data=st.data())
    def damage_at_the_relay(self, data):
        self.damage(data, self.shop.relay, lambda log: True)

    @precondition(lambda self: len(self.shop.registers) > 1)
    @rule(data=st.data(), is_replaced=st.booleans())
    def lose_a_register(self, data, is_replaced):
        """It is stolen: what only it had is gone, what was acknowledged is not."""
        lost = data.draw(st.sampled_from(self.shop.registers))
        self.shop.lose(lost)
        self.copies = [(replica, disk) for replica, disk in self.copies if replica is not lost]
        if is_replaced:
            self.shop.connect(self.shop.enrol())

    has_room = precondition(lambda self: len(self.shop.registers) < REGISTERS_MAX)

    @has_room
    @rule()
    def take_in_a_new_register(self):
        self.shop.connect(self.shop.enrol())

    @has_room
    @rule(data=st.data())
    def clone(self, data):
        self.shop.clone(data.draw(st.sampled_from(self.shop.registers)))

    @invariant()
    def what_is_promised_holds(self):
        if hasattr(self, "truth"):
            self.truth.check()

    # -- the end of the day --------------------------------------------------------------------------------

    @rule()
    def rest(self):
        self.truth.come_to_rest()


def histories(count, **how):
    """A test of so many histories."""
    case = type(AnyShop.TestCase)(f"Histories{count}", (AnyShop.TestCase,), {})
    case.settings = settings(
        max_examples=count, deadline=None, database=None, report_multiple_bugs=False, **how
    )
    return case


TestAnyShop = histories(settings.default.max_examples * 2 // 5, derandomize=True, stateful_step_count=40)
TestAnyLongLifeOfAShop = pytest.mark.slow(histories(60, derandomize=True, stateful_step_count=100))
TestAsManyShopsAsThereIsTimeFor = pytest.mark.deep(
    pytest.mark.timeout(0)(histories(5000, derandomize=False, print_blob=True, stateful_step_count=60))
)
