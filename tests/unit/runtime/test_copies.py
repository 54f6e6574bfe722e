"""Who leaves a chain that somebody else may write, and what everybody is told of it."""

import shutil

import pytest

from crdtsync import Register
from crdtsync.ids import Item, entry_record
from crdtsync.model.entry import read_entry
from crdtsync.model.ticket import Line
from crdtsync.runtime.belonging.copies import begin_own_chain, copied_registers, is_contested, left_chains
from crdtsync.runtime.folder.identity import HEAD
from crdtsync.testing.clock import ManualClock, seeded_bytes

WINE = Line("CM-19", "Crozes-Hermitage 2019", 1850, 2000)


@pytest.fixture
def tills(tmp_path):
    """A register with one ticket, and a copy of its folder."""
    Register.init(
        tmp_path / "till", name="Caisse 1", clock=ManualClock(), random_bytes=seeded_bytes(1)
    ).close()
    with Register.open(tmp_path / "till", clock=ManualClock()) as till:
        till.sell([WINE], ["card"])
    shutil.copytree(tmp_path / "till", tmp_path / "copy")
    opened = [
        Register.open(tmp_path / name, clock=ManualClock(), random_bytes=seeded_bytes(number))
        for number, name in enumerate(("till", "copy"))
    ]
    yield opened
    for till in opened:
        till.close()


def bring(to, *tills):
    """What others hold and one does not, as a relay would bring it."""
    log = to.replica.log
    for till in tills:
        records = till.replica.log.read(0, bytes_max=1 << 20).records
        with to.replica.store.transaction():
            for _, record in records:
                entry = read_entry(record[1:])
                log.append(Item(entry_record(entry.sealed), entry.facts.document, entry.link, entry.facts))
    to.replica.views.catch_up()


def leave(till):
    """It finds out that it was copied."""
    replica = till.replica
    with replica.store.transaction():
        begin_own_chain(replica.log, replica.identity, replica.key, replica.clock, replica.random_bytes)
    replica.views.catch_up()


def series(till):
    return till.sell([WINE], ["card"]).number.partition("-")[0]


def test_a_register_writes_on_in_its_chain_while_nobody_else_does(tills):
    till, _ = tills
    assert not is_contested(till.replica.log, till.replica.writer.head())
    assert series(till) == till.identity.series
    assert copied_registers(till.replica.log) == []
    assert left_chains(till.replica.log) == set()


def test_who_finds_entries_after_its_own_last_one_sells_on_in_another_chain(tills):
    till, copy = tills
    copy.sell([WINE], ["card"])
    bring(till, copy)
    assert is_contested(till.replica.log, till.replica.writer.head())
    ticket = till.sell([WINE], ["card"])
    assert ticket.number.partition("-")[0] != till.identity.series
    assert any("numbered anew" in notice for notice in ticket.notices)
    assert till.verify().findings == ()
    (told,) = till.status().copied
    assert (told.is_own, told.forks_at) == (True, None)


def test_who_finds_a_version_that_nobody_has_left_leaves_its_own(tills):
    till, copy = tills
    till.sell([WINE], ["card"])
    copy.sell([WINE], ["cash"])
    bring(till, copy)
    assert series(till) != till.identity.series


def test_who_finds_a_version_that_was_left_writes_on(tills):
    till, copy = tills
    till.sell([WINE], ["card"])
    copy.sell([WINE], ["cash"])
    leave(copy)
    bring(till, copy)
    assert not is_contested(till.replica.log, till.replica.writer.head())
    assert series(till) == till.identity.series
    (told,) = till.status().copied
    assert not told.is_own
    assert told.forks_at is not None
    assert told.series == series(copy)


def test_a_chain_is_left_when_each_of_its_ends_was(tills):
    till, copy = tills
    chain = till.replica.writer.head().chain
    leave(copy)
    assert left_chains(copy.replica.log) == {chain}
    till.sell([WINE], ["card"])
    bring(copy, till)
    assert left_chains(copy.replica.log) == {chain} - {chain}, "the other holder writes on"


def test_who_leaves_twice_is_told_once(tills):
    _, copy = tills
    leave(copy)
    first = copy.replica.writer.head().chain
    copy.sell([WINE], ["card"])
    leave(copy)
    (one,) = copied_registers(copy.replica.log)
    assert (one.chain, one.goes_on) == (first, copy.replica.writer.head().chain)
    assert copy.verify().findings == ()


def test_the_day_goes_on_where_it_was_left(tills):
    _, copy = tills
    before = copy.sell([WINE], ["card"])
    leave(copy)
    assert copy.sell([WINE], ["card"]).business_day == before.business_day
    report = copy.report(before.business_day)
    assert (report.tickets, report.total_minor) == (3, 3 * 1850)


def lose_head(till, folder):
    """The end of its chain cannot be read any more: it is made again from the entries."""
    log = till.replica.log
    with till.replica.store.transaction():
        log.set_state(HEAD, None)
    till.close()
    return Register.open(folder, clock=ManualClock(), random_bytes=seeded_bytes(9))


def sold_by(till):
    return [row.number for row in till.sales()]


def test_who_left_its_chain_does_not_go_back_to_it_when_its_head_is_lost(tills, tmp_path):
    """The other holder of the copy goes on there: no number is given twice."""
    till, _ = tills
    for _ in range(3):
        till.sell([WINE], ["card"])
    leave(till)
    began = series(till)
    with lose_head(till, tmp_path / "till") as again:
        assert series(again) not in (began, again.identity.series)
        assert len(set(sold_by(again))) == len(sold_by(again)) == 6


def test_who_sold_nothing_since_the_other_left_does_not_write_into_the_others_chain(tills, tmp_path):
    till, copy = tills
    leave(copy)
    copy.sell([WINE], ["card"])
    bring(till, copy)
    with lose_head(till, tmp_path / "till") as again:
        sold = again.sell([WINE], ["card"]).number
        assert sold != copy.sell([WINE], ["card"]).number
        assert not sold.startswith(tuple(number.partition("-")[0] for number in sold_by(copy)))


@pytest.mark.parametrize("who", [0, 1])
def test_who_cannot_tell_which_chain_was_its_own_writes_into_neither(tills, tmp_path, who):
    till, copy = tills
    leave(till)
    till.sell([WINE], ["card"])
    copy.sell([WINE], ["card"])
    bring(till, copy)
    bring(copy, till)
    before = set(sold_by(till)) | set(sold_by(copy))
    with lose_head(tills[who], tmp_path / ("till", "copy")[who]) as again:
        sold = again.sell([WINE], ["card"]).number
        others = {tills[1 - who].sell([WINE], ["card"]).number}
        assert sold not in before | others
        assert not sold.startswith(tuple(number.partition("-")[0] for number in before))
        assert again.verify().findings == ()
