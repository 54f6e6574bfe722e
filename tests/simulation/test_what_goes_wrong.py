"""Each kind of fault does what it says, and the checks see what is broken on purpose."""

import pytest

from crdtsync.errors import UsageError
from crdtsync.model.ticket import Line
from crdtsync.runtime.committing.work import Outcome
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.simulation import checks, plan
from crdtsync.testing.simulation.broken import Broken
from crdtsync.testing.simulation.machine import SimulatedCommitter
from crdtsync.testing.simulation.notebook import Told
from crdtsync.testing.simulation.plan import FAULTS, IN_BETWEEN, SHORT, Action, Plan
from crdtsync.testing.simulation.run import play
from crdtsync.testing.simulation.shop import Shop

WINE = Line("cm-2019", "Crozes-Hermitage", 1850, 2000, "N")


@pytest.fixture(params=["memory", "sqlite"])
def shop(request):
    with fast_signatures(), Shop(registers=2, disks=request.param) as shop:
        shop.run(30)
        yield shop


def sell(register):
    return register.register.sell([WINE], ["cash"])


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_happens_and_the_shop_comes_through(fault):
    begin_ms = plan.OPENING_MS
    actions = (
        Action(begin_ms, "sell", 0, 1),
        Action(begin_ms + 1, "open", 1, 1),
        Action(begin_ms + 2_000, "sell", 1, 2),
        Action(begin_ms + 2_001, fault, 1, 5),
        Action(begin_ms + 2_500, "sell", 2, 3),
        Action(begin_ms + 90_000, "sell", 1, 4),
    )
    is_open_line = fault == IN_BETWEEN
    result = play(Plan(3, SHORT, is_open_line=is_open_line, faults=(fault,), actions=actions))
    assert not result.failure, "\n".join((*result.story, result.failure))
    assert result.faults[fault] == 1


def test_what_was_sold_survives_a_crash_at_that_moment(shop):
    register = shop.registers[0]
    ticket = sell(register)
    shop.crash(register)
    assert ticket.link.hex() in checks.links_on(register)


@pytest.mark.parametrize("shop", ["memory"], indirect=True)
@pytest.mark.parametrize(("after", "is_there"), [(1, False), (2, True)])
def test_power_that_goes_in_a_commit_leaves_all_of_it_or_nothing(shop, after, is_there):
    register = shop.registers[0]
    register.register.sales()
    before = checks.links_on(register)
    register.plate.lose_power_soon(after)
    with pytest.raises(Exception, match="the power is off"):
        sell(register)
    assert bool(checks.links_on(register) - before) is is_there


def test_a_full_disk_refuses_the_sale_and_takes_the_next_one(shop):
    register = shop.registers[0]
    register.plate.set_trouble("full")
    with pytest.raises(Exception, match="full"):
        sell(register)
    register.plate.set_trouble("")
    assert sell(register).n == 2


@pytest.mark.parametrize("shop", ["memory", "sqlite"], indirect=True)
def test_what_was_still_to_go_wrong_goes_wrong_no_more(shop):
    register = shop.registers[0]
    register.plate.set_trouble("full")
    register.plate.lose_power_soon(1)
    register.plate.fail_next_commit(is_written=False)
    shop.calm()
    assert sell(register).n == 2
    assert not register.plate.is_off


def test_a_partition_lets_nothing_through_until_it_is_over(shop):
    first, second = shop.registers
    shop.network.partition({second.name: 1})
    ticket = sell(first)
    shop.run(60)
    assert ticket.link.hex() not in checks.links_on(second)
    shop.network.partition({})
    shop.run(60)
    assert ticket.link.hex() in checks.links_on(second)


# -- what the checks see -------------------------------------------------------------------------------------


def test_a_ticket_that_was_told_and_is_nowhere_is_missed(shop):
    shop.notebook.note(Told(0, "till 1", "01-26-000009", "ab" * 32, 100))
    shop.settle()
    with pytest.raises(Broken, match="every ticket exists"):
        shop.check_at_rest()


def test_an_amount_that_is_not_what_was_told_is_seen(shop):
    ticket = sell(shop.registers[0])
    shop.notebook.note(Told(0, "till 1", ticket.number, ticket.link.hex(), ticket.total_minor + 1))
    shop.settle()
    with pytest.raises(Broken, match="amounts are what was told"):
        shop.check_at_rest()


def test_a_relay_that_acknowledges_what_it_does_not_store_is_found_out(monkeypatch):
    def commit_nothing(committer, store, batch):
        outcomes = [Outcome([(delivery.number, ()) for delivery in work.deliveries]) for work in batch]
        committer._hand_back(batch, outcomes, [], 0.0, None)

    with fast_signatures(), Shop(registers=2) as shop:
        shop.run(30)
        genuine = SimulatedCommitter._commit
        is_relay = lambda committer: committer._machine is shop.relay  # noqa: E731
        monkeypatch.setattr(
            SimulatedCommitter,
            "_commit",
            lambda self, store, batch: (commit_nothing if is_relay(self) else genuine)(self, store, batch),
        )
        sell(shop.registers[0])
        with pytest.raises(Broken, match="acknowledged means on the relay's disk"):
            shop.run(30, each=shop.check)


def test_a_view_that_lacks_a_ticket_is_seen(shop):
    register = shop.registers[0]
    sell(register)
    shop.settle()
    register.register.sales()
    database = register.register.replica.store.database
    with database.whole_transaction():
        database.write("DELETE FROM view_ticket")
    with pytest.raises(Broken, match="views equal a fold"):
        shop.check_at_rest()


@pytest.mark.parametrize("how", [{"disks": "floppy"}, {"registers": -1}, {"registers": "two"}])
def test_a_shop_that_cannot_be_is_refused(how):
    with pytest.raises(UsageError):
        Shop(**how)
