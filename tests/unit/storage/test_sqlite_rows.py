"""Rows of the log in SQLite: what is missing or damaged among the newest, and what they are found by."""

from dataclasses import replace

import pytest

from crdtsync.errors import DamagedStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, LOG = b"s" * 16, b"l" * 16


class Till:
    """A store on disk; every sale is a transaction, so that the head lags behind the rows."""

    def __init__(self, path, sales=0):
        self.path = path
        self.store = SqliteStore(path)
        with self.store.transaction():
            self.store.create_shop(SHOP, LOG)
        self.chain = MadeUpChain(1)
        self.items = self.chain.entries(sales)
        for item in self.items:
            self.append(item)

    @property
    def log(self):
        return self.store.shop(SHOP)

    def append(self, *items, store=None):
        store = store or self.store
        with store.transaction():
            return [store.shop(SHOP).append(item) for item in items]

    def execute(self, statement, *values):
        self.store.connection.execute(statement, values)

    def reopen(self):
        self.store.close()
        self.store = SqliteStore(self.path)

    def stretches(self):
        return self.store.connection.execute("SELECT count(*) FROM stretch").fetchone()[0]

    def mend(self, seq):
        with self.store.transaction():
            return self.log.set_damaged_apart(seq, at_ms=1)


@pytest.fixture
def till(tmp_path):
    opened = []

    def make(sales=0):
        opened.append(Till(tmp_path / "till.db", sales))
        return opened[0]

    yield make
    opened[0].store.close()


LOSSES = [
    "DELETE FROM record WHERE pos & 0xffff = 4",
    "UPDATE record SET bytes = x'45' WHERE pos & 0xffff = 4",
]


@pytest.mark.parametrize("loss", LOSSES, ids=["missing", "damaged"])
def test_whoever_opens_a_log_is_told_which_of_the_newest_rows_is_lost(till, loss):
    desk = till(6)
    desk.execute(loss)
    desk.reopen()
    with pytest.raises(DamagedStore) as damage:
        _ = desk.log.end
    assert damage.value.seq == 4


@pytest.mark.parametrize("loss", LOSSES, ids=["missing", "damaged"])
def test_a_row_that_is_lost_among_the_newest_is_set_apart_and_the_others_count(till, loss):
    desk = till(6)
    desk.execute(loss)
    desk.reopen()
    assert desk.mend(4)
    desk.reopen()
    [document] = desk.log.documents()
    assert (document.records, document.last_seq, desk.log.end.seq) == (5, 6, 6)
    assert [(run.lo, run.hi) for run in desk.log.runs()] == [(1, 3), (5, 6)]


def test_a_document_whose_name_is_lost_is_told_as_damage(till):
    desk = till(3)
    desk.execute("DELETE FROM document")
    desk.reopen()
    with pytest.raises(DamagedStore, match="document with number"):
        _ = desk.log.end


def test_a_stretch_has_4096_rows_at_most(till):
    desk = till()
    desk.append(*desk.chain.entries(4097))
    assert desk.stretches() == 2


def test_another_chain_begins_a_stretch_though_its_numbers_go_on(till):
    desk = till(1)
    other = MadeUpChain(2)
    other.entry()
    second = replace(other.entry(), document=desk.items[0].document)
    desk.append(second)
    assert desk.stretches() == 2
    assert desk.log.entry(other.chain, 2) == (second.record[1:],)


def test_a_stretch_of_updates_goes_on_after_opening(till):
    desk = till()
    desk.append(made_up_update("x/a", b"one"))
    desk.reopen()
    desk.append(made_up_update("x/a", b"two"))
    assert desk.stretches() == 1


def test_a_stretch_does_not_go_on_over_what_another_process_wrote(till):
    desk = till(1)
    one, two = made_up_update("x/a", b"one"), made_up_update("x/a", b"two")
    desk.append(one)
    other = SqliteStore(desk.path)
    desk.append(made_up_update("x/b", b"three"), store=other)
    other.close()
    desk.append(two)
    assert [record for _, record in desk.log.document_records("x/a")] == [one.record, two.record]


def test_the_rows_of_a_shop_end_before_those_of_the_next_one(till):
    desk = till(3)
    with desk.store.transaction():
        desk.store.create_shop(b"t" * 16, b"m" * 16).append(made_up_update("x/a", b"one"))
    assert [seq for seq, _ in desk.log.chain_entries(desk.chain.chain, 1, 9)] == [1, 2, 3]


def test_a_full_stretch_does_not_go_on_after_opening(till):
    desk = till()
    desk.append(*desk.chain.entries(4096))
    desk.reopen()
    desk.append(desk.chain.entry())
    assert desk.stretches() == 2


def test_a_till_whose_numbers_are_not_those_of_the_rows_goes_on_after_opening(till):
    desk = till()
    desk.append(*[made_up_update("x/a", b"%d" % number) for number in range(2100)])
    desk.append(desk.chain.entry())
    desk.reopen()
    desk.append(desk.chain.entry())
    assert desk.stretches() == 2
