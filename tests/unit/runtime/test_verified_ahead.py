"""Signatures are verified ahead by a process of its own; whatever becomes of it, only what is good counts."""

import asyncio
import os
import signal
import sys
import time
from contextlib import closing

import psutil
import pytest

from crdtsync.ids import START, Position, entry_record
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing import ahead
from crdtsync.runtime.committing.admission import Admission, entry_item
from crdtsync.runtime.committing.ahead import Verifier
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.work import Work
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.till import MemoryOwner

SPEAKS_FIRST = """
import socket, sys, time
import msgpack
from crdtsync.runtime.committing.verifying import READY, answer
line = socket.socket(fileno=0)
line.send(READY)
"""
STRANGE = {
    "dies": "line.recv(1 << 20)",
    "talks nonsense": "line.recv(1 << 20); line.send(b'\\xc1' * 40); time.sleep(600)",
    "says nothing": "line.recv(1 << 20); time.sleep(600)",
    "says too little": "n, g = msgpack.unpackb(line.recv(1 << 20)); line.send(msgpack.packb([n, b'\\1']))"
    "; time.sleep(600)",
    "knows a third answer": "n, g = msgpack.unpackb(line.recv(1 << 20))"
    "; line.send(msgpack.packb([n, b'\\2' * sum(len(r) for _, r in g)])); time.sleep(600)",
    "gives a map": "line.recv(1 << 20); line.send(msgpack.packb({1: 2, 3: 4})); time.sleep(600)",
}
SKIPS_ONE = "line.recv(1 << 20); line.send(answer(line.recv(1 << 20))); time.sleep(600)"


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


class Shop:
    """An owner and a register that has sold six times; its fourth sale was changed afterwards."""

    def __init__(self):
        self.owner = MemoryOwner()
        self.till = self.owner.enrol("Caisse 1")
        for _ in range(6):
            self.till.sell()
        self.good = [entry_record(entry.sealed) for entry in self.till.entries]
        changed = self.good[4].replace(b'"op":', b'"op" :', 1)
        self.bad = changed[:40] + bytes([changed[40] ^ 1]) + changed[41:]
        self.key = self.till.key.public

    def work(self, *records, key=None, done=lambda outcome: None):
        numbered = tuple(enumerate(records, start=1))
        came = Delivery(1, START, Position(len(records), b"e" * 32), numbered)
        key = self.key if key is None else key
        return Work(self.owner.author, b"p" * 16, "register", done, [came], key=key)

    def sealed(self, *records):
        return [(self.key, record[1:]) for record in records]


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def verifiers(monkeypatch):
    """Make verifiers, which may be as slow as the machine; they are ended with the test."""
    monkeypatch.setattr(ahead, "ANSWER_S", 60.0)
    made = []

    def make(*then, clock=None, cores=2):
        command = {"command": [sys.executable, "-P", "-c", SPEAKS_FIRST + then[0]]} if then else {}
        made.append(Verifier(clock or Clock(), cores=cores, **command))
        return made[-1]

    yield make
    for verifier in made:
        verifier.stop()


def load(verifier, commits=ahead.LOADED_COMMITS):
    for _ in range(commits):
        verifier.committed(sold_by(ahead.LOADED_DEVICES))


def sold_by(devices, each=1):
    """What so many registers have sold meanwhile."""
    return [sold(each, key=bytes([device])) for device in range(devices)]


def sold(count, key=b"k"):
    """What one register has sold meanwhile."""
    records = tuple((seq, b"a sale") for seq in range(count))
    came = [Delivery(1, START, Position(count, b"e" * 32), records)]
    return Work(b"s" * 16, b"p" * 16, "register", print, came, key=key)


def ready(verifier):
    """Start it, and wait until it can be asked."""
    load(verifier)
    until_s = time.monotonic() + 60
    while not verifier.is_ready:
        assert time.monotonic() < until_s
        verifier.committed([])
        time.sleep(0.005)
    return verifier


def test_what_is_good_is_known_and_nothing_else(shop, verifiers):
    verifier = ready(verifiers())
    works = [
        shop.work(*shop.good[1:4]),
        shop.work(shop.good[4], shop.bad, b"\x01no entry", b""),
        shop.work(*shop.good[:2], key=shop.owner.key.public),
        shop.work(*shop.good[:2], key=b"no key"),
    ]
    verifier.ask(works, is_waiting=True)
    assert verifier.known(works[3]) == []
    assert verifier.known(works[0]) == shop.sealed(*shop.good[1:4])
    assert verifier.known(works[1]) == shop.sealed(shop.good[4])
    assert verifier.known(works[2]) == []


def test_many_questions_at_once_are_all_answered(shop, verifiers):
    """More than one message holds, and more than the line does: what was not asked is not known."""
    verifier = ready(verifiers())
    works = [shop.work(*shop.good[1:]) for _ in range(400)]
    verifier.ask(works, is_waiting=True)
    asked = [work for work in works if work.ahead is not None]
    assert len(asked) > 10
    expected = shop.sealed(*shop.good[1:])
    assert [verifier.known(work) for work in works] == [expected if work.ahead else [] for work in works]


def test_few_records_that_wait_for_nothing_are_not_asked(shop, verifiers):
    verifier = ready(verifiers())
    few, waiting = shop.work(shop.good[1]), shop.work(shop.good[1])
    verifier.ask([few], is_waiting=False)
    verifier.ask([waiting], is_waiting=True)
    assert few.ahead is None
    assert verifier.known(waiting) == shop.sealed(shop.good[1])


def test_what_is_as_large_as_a_backlog_is_not_asked(shop, verifiers):
    verifier = ready(verifiers())
    large = shop.work(*[shop.good[1]] * 200)
    verifier.ask([large, small := shop.work(shop.good[2])], is_waiting=True)
    assert large.ahead is None
    assert verifier.known(small) == shop.sealed(shop.good[2])


def test_there_is_none_while_little_comes_in(verifiers):
    verifier = verifiers()
    for _ in range(100):
        verifier.committed(sold_by(ahead.LOADED_DEVICES - 1))
    load(verifier, ahead.LOADED_COMMITS - 1)
    verifier.committed([sold(1)])
    load(verifier, ahead.LOADED_COMMITS - 1)
    verifier.committed([Work(b"s" * 16, b"", "", print)])  # By upkeep, between two others.
    assert verifier.pid is None
    load(verifier, 1)
    assert verifier.pid is not None


def test_there_is_none_where_a_register_hands_over_a_backlog(verifiers):
    verifier = verifiers()
    backlog = sold(ahead.QUESTION_BYTES_MAX)
    for _ in range(100):
        verifier.committed([backlog, *sold_by(ahead.LOADED_DEVICES - 1)])
    assert verifier.pid is None


def test_there_is_none_where_few_registers_sell_much(shop, verifiers):
    """One signature vouches for what one of them has sold in a row; the others are checked later."""
    verifier = verifiers()
    for _ in range(100):
        verifier.committed(sold_by(2, each=40))
        verifier.committed(sold_by(ahead.LOADED_DEVICES, each=ahead.EACH_MAX + 1))
        verifier.committed([sold(1) for _ in range(60)])
    assert verifier.pid is None
    load(ready(verifier), 1)
    verifier.committed(sold_by(2, each=40))
    verifier.ask([work := shop.work(shop.good[1])], is_waiting=True)
    assert work.ahead is None
    load(verifier, 1)
    verifier.ask([work], is_waiting=True)
    assert verifier.known(work) == shop.sealed(shop.good[1])


def test_there_is_none_on_one_core(verifiers):
    verifier = verifiers(cores=1)
    load(verifier)
    assert verifier.pid is None


def test_it_is_ended_when_nothing_was_asked_for_long(shop, verifiers):
    clock = Clock()
    verifier = ready(verifiers(clock=clock))
    clock.now_s += ahead.IDLE_S - 1
    assert verifier.rests_s() == 1
    pid = verifier.pid
    verifier.ask([shop.work(shop.good[1])], is_waiting=True)
    clock.now_s += 2
    assert verifier.rests_s() == ahead.IDLE_S - 2
    clock.now_s += ahead.IDLE_S
    assert verifier.rests_s() is None
    assert verifier.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("how", STRANGE)
def test_one_that_goes_wrong_is_ended_and_makes_nothing_good(shop, verifiers, monkeypatch, how):
    if how == "says nothing":
        monkeypatch.setattr(ahead, "ANSWER_S", 0.05)
    clock = Clock()
    verifier = ready(verifiers(STRANGE[how], clock=clock))
    works = [shop.work(*shop.good[1:4]), shop.work(shop.bad)]
    verifier.ask(works, is_waiting=True)
    assert [verifier.known(work) for work in works] == [[], []]
    assert verifier.pid is None
    later = shop.work(*shop.good)
    verifier.ask([later], is_waiting=True)
    assert later.ahead is None
    load(verifier)
    assert verifier.pid is None  # Not at once again.
    clock.now_s += ahead.AGAIN_AFTER_S
    load(verifier)
    assert verifier.pid is not None


def test_one_that_is_killed_while_it_is_asked_makes_nothing_good(shop, verifiers):
    verifier = ready(verifiers())
    os.kill(verifier.pid, signal.SIGKILL)
    works = [shop.work(*shop.good[1:4]), shop.work(shop.good[4])]
    verifier.ask(works[:1], is_waiting=True)
    verifier.ask(works[1:], is_waiting=True)
    for work in works:
        assert verifier.known(work) in ([], shop.sealed(*work_records(work)))
    again = shop.work(shop.good[1])
    verifier.ask([again], is_waiting=True)
    assert verifier.known(again) == []
    verifier.committed([again])
    assert verifier.pid is None


def test_one_that_has_died_unasked_is_found_out_by_the_next_commit(shop, verifiers):
    verifier = ready(verifiers("line.close()"))
    psutil.Process(verifier.pid).wait(60)
    verifier.ask([work := shop.work(*shop.good)], is_waiting=True)
    assert verifier.known(work) == []
    verifier.committed([work])
    assert verifier.pid is None


def work_records(work):
    return [record for delivery in work.deliveries for _, record in delivery.records]


def test_an_answer_to_another_question_makes_nothing_good(shop, verifiers):
    verifier = ready(verifiers(SKIPS_ONE))
    forged, genuine = shop.work(shop.bad), shop.work(shop.good[4])
    verifier.ask([forged], is_waiting=True)
    verifier.ask([genuine], is_waiting=True)
    assert verifier.known(forged) == []
    assert verifier.known(genuine) == []


def test_one_that_cannot_be_started_is_done_without(shop):
    verifier = Verifier(Clock(), command=["/nonexistent/python"], cores=2)
    load(verifier)
    assert verifier.pid is None
    verifier.ask([work := shop.work(*shop.good)], is_waiting=True)
    assert verifier.known(work) == []


class Quiet:
    def __init__(self):
        self.growths = []

    def committed(self, growths, seconds, error):
        assert error is None
        self.growths += growths


async def commit(shop, path, verifier, works):
    """Have one committer store works; what the log has gained, and what is still to be checked of it."""
    with closing(SqliteStore(path)) as store, store.transaction():
        log = store.create_shop(shop.owner.author, b"l" * 16)
        for entry in shop.owner.entries:
            assert log.append(entry_item(entry, entry_record(entry.sealed))) is not None
    admission, seen = Admission(shop.owner.author), Quiet()
    committer = Committer(
        lambda: SqliteStore(path), lambda _: admission, seen, lambda: 0, time.monotonic, verifier
    )
    for work in works:
        committer.submit(work)
    committer.start()
    await committer.stop()
    await asyncio.sleep(0)  # One turn of the loop: what was called on it from the committer's thread.
    rows = [row.record for growth in seen.growths for row in growth.rows]
    return rows, [seq for growth in seen.growths for seq in growth.unchecked]


async def test_what_was_verified_ahead_is_stored_and_needs_no_check(shop, verifiers, tmp_path):
    verifier = ready(verifiers())
    verifier.ask([work := shop.work(*shop.good)], is_waiting=True)
    assert await commit(shop, tmp_path / "relay.sqlite", verifier, [work]) == (shop.good, [])
    assert verifier.pid is None  # It ends with the committer.


@pytest.mark.parametrize("how", [None, *STRANGE])
async def test_whatever_it_says_a_forged_sale_is_refused_and_no_other(
    shop, verifiers, tmp_path, monkeypatch, how
):
    if how == "says nothing":
        monkeypatch.setattr(ahead, "ANSWER_S", 0.05)
    verifier = ready(verifiers(*([STRANGE[how]] if how else [])))
    told = []
    work = shop.work(*shop.good[:4], forged(shop), *shop.good[5:], done=told.append)
    verifier.ask([work], is_waiting=True)
    rows, _ = await commit(shop, tmp_path / "relay.sqlite", verifier, [work])
    assert rows == [*shop.good[:4], *shop.good[5:]]
    [(_, refused)] = told[0].stored
    assert [(one.seq, one.code) for one in refused] == [(5, "bad-signature")]


def forged(shop):
    """The fifth entry with the signature of the sixth."""
    return shop.good[4][:-86] + shop.good[5][-86:]
