"""Signatures inside runs are handed to a process beside; whatever becomes of it, each of them is checked."""

import time
from contextlib import closing
from dataclasses import replace

import pytest

from crdtsync.ids import START, Position, entry_record
from crdtsync.model import sealed
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing import checking, line
from crdtsync.runtime.committing import upkeep as upkeep_module
from crdtsync.runtime.committing.admission import Admission, entry_item
from crdtsync.runtime.committing.checking import Checker
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.shop_commit import ShopCommit
from crdtsync.runtime.committing.signature_checks import bad_signatures, checked_up_to
from crdtsync.runtime.committing.upkeep import Upkeep
from crdtsync.runtime.committing.work import Work
from crdtsync.runtime.syncing.tail import Growth, Row
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.till import MemoryOwner
from tests.verifiers import SKIPS_ONE, STRANGE, command

PEER, STRANGER = b"p" * 16, PrivateKey.from_seed(b"another")


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


class Relay:
    """The store of a relay, a till that sells there, and the upkeep of that store."""

    def __init__(self, path, checker):
        self.owner = MemoryOwner()
        self.till = self.owner.enrol("Caisse 1")
        self.shop, self.brought = self.owner.author, 0
        self.store = SqliteStore(path)
        with self.store.transaction():
            self.log = self.store.create_shop(self.shop, b"l" * 16)
            for entry in self.owner.entries:
                self.log.append(entry_item(entry, entry_record(entry.sealed)))
        self.admission = Admission(self.shop)
        self.reading = SqliteStore(path)
        self.upkeep = Upkeep(self.reading, self.submit, checker=checker)

    def submit(self, shop, change, done):
        with self.store.transaction():
            change(self.log)
        done(True)

    def sell(self, count, forged=None):
        """So many sales in one commit; one of them, of that place, is signed by somebody else."""
        for place in range(count):
            self.till.key, genuine = STRANGER if place == forged else self.till.key, self.till.key
            self.till.sell()
            self.till.key = genuine
        return self.bring(self.till.sealed[self.brought :])

    def bring(self, entries):
        start = self.log.cursor(PEER).position if self.brought else START
        self.brought += len(entries)
        records = tuple((start.seq + place + 1, entry_record(data)) for place, data in enumerate(entries))
        to = Position(start.seq + len(entries), b"e" * 32)
        work = Work(self.shop, PEER, "register", print, [Delivery(1, start, to, records)])
        commit = ShopCommit(self.log, self.admission, 0)
        self.admission.is_stale = True
        commit.judge([work])
        with self.store.transaction():
            commit.begin(self.store)
            assert commit.apply(work).error is None
            return commit.finish()

    def seq_of(self, growth, place):
        return growth.start.seq + 1 + place

    def told(self):
        """(How far all are checked, which are bad), as it is on the disk."""
        self.upkeep.save()
        return checked_up_to(self.log), bad_signatures(self.log)

    def close(self):
        self.reading.close()
        self.store.close()


@pytest.fixture
def checkers(monkeypatch):
    """Make checkers, which may be as slow as the machine; they are ended with the test."""
    monkeypatch.setattr(line, "ANSWER_S", 60.0)
    made = []

    def make(*then, clock=None, cores=2):
        started = {"command": command(then[0])} if then else {}
        made.append(Checker(clock or time.monotonic, cores=cores, **started))
        return made[-1]

    yield make
    for checker in made:
        checker.stop()


@pytest.fixture
def relays(tmp_path):
    made = []

    def make(checker):
        made.append(Relay(tmp_path / "relay.sqlite", checker))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


@pytest.fixture
def own_checks(monkeypatch):
    """The numbers in their chain of those that upkeep verified itself."""
    verified = []

    def holds(entry, directory):
        verified.append(entry.facts.n)
        return genuine(entry, directory)

    genuine = upkeep_module.signature_holds
    monkeypatch.setattr(upkeep_module, "signature_holds", holds)
    return verified


def left(count, rows=None):
    """What a commit leaves unchecked that brings so much."""
    rows = [Row(seq, b"h" * 32, b"\x00a sale", None) for seq in range(1, (rows or count) + 1)]
    seqs = tuple(range(1, count + 1))
    return Growth(b"s" * 16, START, rows, unchecked=seqs, keys=(b"k" * 33,) * count)


def much(checker, commits=checking.LEFT_COMMITS):
    for _ in range(commits):
        checker.hand_over(left(checking.LEFT_MIN))


def ready(checker):
    """Start it, and wait until it can be asked; it was asked nothing."""
    much(checker)
    until_s = time.monotonic() + 60
    while not checker.is_ready:
        assert time.monotonic() < until_s
        checker.hand_over(left(0))
        time.sleep(0.005)
    return checker


def to_the_end(relay, checker):
    until_s = time.monotonic() + 60
    while relay.upkeep.step(is_quiet=False) or checker.is_awaited:
        assert time.monotonic() < until_s
    return relay.told()


def test_what_a_run_left_is_checked_without_upkeep_verifying_anything(relays, checkers, own_checks):
    checker = ready(checkers())
    relay = relays(checker)
    to_the_end(relay, checker)
    own_checks.clear()
    for _ in range(3):
        relay.upkeep.grew(relay.sell(100))
    assert to_the_end(relay, checker) == (relay.log.end.seq, [])
    assert own_checks == []


def test_one_that_its_author_did_not_sign_is_found_and_verified_again(relays, checkers, own_checks):
    checker = ready(checkers())
    relay = relays(checker)
    to_the_end(relay, checker)
    own_checks.clear()
    growth = relay.sell(20, forged=7)
    relay.upkeep.grew(growth)
    assert to_the_end(relay, checker) == (relay.log.end.seq, [relay.seq_of(growth, 8)])
    assert set(own_checks) == {9}  # The first entry of the chain came with the sales.


@pytest.mark.parametrize("how", STRANGE)
def test_one_that_goes_wrong_keeps_nothing_unchecked(relays, checkers, monkeypatch, how):
    if how == "says nothing":
        monkeypatch.setattr(line, "ANSWER_S", 0.05)
    checker = ready(checkers(STRANGE[how]))
    relay = relays(checker)
    growth = relay.sell(100, forged=90)
    relay.upkeep.grew(growth)
    assert to_the_end(relay, checker) == (relay.log.end.seq, [relay.seq_of(growth, 91)])
    assert checker.pid is None


def test_an_answer_to_another_question_checks_nothing(relays, checkers):
    checker = ready(checkers(SKIPS_ONE))
    relay = relays(checker)
    forged, genuine = relay.sell(20, forged=7), relay.sell(21)
    relay.upkeep.grew(forged)
    relay.upkeep.grew(genuine)
    assert len(forged.unchecked) == len(genuine.unchecked)
    assert to_the_end(relay, checker) == (relay.log.end.seq, [relay.seq_of(forged, 8)])


def test_what_is_not_answered_is_not_said_to_be_checked(relays, checkers):
    clock = Clock()
    checker = ready(checkers(STRANGE["says nothing"], clock=clock))
    relay = relays(checker)
    while relay.upkeep.step(is_quiet=False):
        pass
    growth = relay.sell(20)
    relay.upkeep.grew(growth)
    relay.upkeep.grew(relay.sell(1))
    assert not relay.upkeep.step(is_quiet=False)
    assert relay.told() == (growth.unchecked[0] - 1, [])
    clock.now_s += line.ANSWER_S + 1
    assert to_the_end(relay, checker) == (relay.log.end.seq, [])


def test_what_its_line_does_not_hold_is_checked_by_upkeep(relays, checkers, own_checks, monkeypatch):
    monkeypatch.setattr(line, "LINE_BYTES", 128 << 10)
    checker = ready(checkers(STRANGE["says nothing"]))
    relay = relays(checker)
    while relay.upkeep.step(is_quiet=False):
        pass
    own_checks.clear()
    growths = [relay.sell(150) for _ in range(6)]
    for growth in growths:
        relay.upkeep.grew(growth)
    while relay.upkeep.step(is_quiet=False):
        pass
    asked = sum(len(growth.unchecked) for growth in growths) - len(own_checks)
    assert own_checks
    assert asked > 50
    checker.stop()
    assert to_the_end(relay, checker) == (relay.log.end.seq, [])


def test_a_key_that_is_not_the_one_it_was_signed_with_makes_nothing_bad(relays, checkers):
    """A register that was enrolled anew has two; only one of them is shown."""
    checker = ready(checkers())
    relay = relays(checker)
    growth = relay.sell(20)
    relay.upkeep.grew(replace(growth, keys=(STRANGER.public,) * len(growth.unchecked)))
    assert to_the_end(relay, checker) == (relay.log.end.seq, [])


def test_what_came_before_it_began_is_not_handed_over_a_second_time(relays, checkers):
    checker = ready(checkers())
    relay = relays(checker)
    growth = relay.sell(20, forged=7)
    relay.upkeep = Upkeep(relay.reading, relay.submit, checker=checker)
    relay.upkeep.grew(growth)
    assert not checker.is_awaited
    assert to_the_end(relay, checker) == (relay.log.end.seq, [relay.seq_of(growth, 8)])


def test_each_is_shown_with_a_key_of_its_author(relays, checkers):
    relay = relays(checkers())
    first, other = relay.sell(3), relay.owner.enrol("Caisse 2")
    assert first.keys == (relay.till.key.public,) * len(first.unchecked)
    for _ in range(3):
        other.sell()
    with relay.store.transaction():
        entry = relay.owner.entries[-1]
        relay.log.append(entry_item(entry, entry_record(entry.sealed)))
    relay.till.sell()
    relay.till.sell()
    both = relay.bring([*relay.till.sealed[relay.brought :], *other.sealed])
    tills = [relay.till.key.public, *[other.key.public] * 3]
    assert list(both.keys) == tills
    assert [sealed.link(row.record[1:]) for row in both.rows if row.seq in both.unchecked] == [
        sealed.link(data) for data in [*relay.till.sealed[-2:-1], *other.sealed[:-1]]
    ]


def test_there_is_none_while_commits_leave_little(checkers):
    checker = checkers()
    for _ in range(100):
        checker.hand_over(left(checking.LEFT_MIN - 1))
    much(checker, checking.LEFT_COMMITS - 1)
    checker.hand_over(left(1))
    much(checker, checking.LEFT_COMMITS - 1)
    assert checker.pid is None
    much(checker, 1)
    assert checker.pid is not None


def test_there_is_none_for_a_past_nor_on_one_core(checkers):
    checker = checkers()
    for _ in range(100):
        checker.hand_over(left(checking.LEFT_MIN, rows=checking.ROWS_MAX + 1))
    assert checker.pid is None
    single = checkers(cores=1)
    much(single)
    assert single.pid is None


def test_few_are_not_handed_over(checkers):
    checker = ready(checkers())
    assert checker.hand_over(left(checking.FEW - 1)) == []
    assert [one.seqs for one in checker.hand_over(left(checking.FEW))] == [list(range(1, checking.FEW + 1))]


def test_it_is_ended_when_nothing_was_asked_for_long(checkers):
    clock = Clock()
    checker = ready(checkers(clock=clock))
    clock.now_s += line.IDLE_S - 1
    assert checker.rests_s() == 1
    clock.now_s += 1
    assert checker.rests_s() is None
    assert checker.pid is None


class Quiet:
    def committed(self, growths, seconds, error):
        assert error is None


async def test_it_ends_with_the_committer(checkers, tmp_path):
    checker = ready(checkers())
    with closing(SqliteStore(tmp_path / "relay.sqlite")) as store, store.transaction():
        store.create_shop(b"s" * 16, b"l" * 16)
    committer = Committer(
        lambda: SqliteStore(tmp_path / "relay.sqlite"),
        Admission,
        Quiet(),
        lambda: 0,
        time.monotonic,
        checker=checker,
    )
    committer.start()
    await committer.stop()
    assert checker.pid is None
