"""A register is cut off in the moment in which what it sold is judged here, and not on the disk yet.

What the revocation does not name is on hold at every replica that hears of it. If this one took it all the
same, it would be in no other's reports, and on no list of what a person may let in.
"""

import asyncio
import threading
from contextlib import closing

import pytest

from crdtsync.ids import START, Position, entry_record
from crdtsync.model.entry import read_entry
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing import batches
from crdtsync.runtime.committing import shop_commit as committing
from crdtsync.runtime.committing.admission import Admission, entry_item
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.taking import take_records
from crdtsync.runtime.committing.work import Work
from crdtsync.storage.pack import encode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.till import MemoryOwner

PEER, OTHER = b"p" * 16, b"q" * 16


class Overtaken(SqliteStore):
    """A store in which somebody else writes just before the transaction of that number."""

    def __init__(self, path, write, before=1):
        super().__init__(path)
        self.write, self.until = write, before

    def transaction(self):
        self.until -= 1
        if self.until == 0:
            self.write()
        return super().transaction()


class Shop:
    """A replica's disk, its owner, and a register with six sales, of which none is here yet."""

    def __init__(self, path):
        self.path, self.owner = path, MemoryOwner()
        self.till = self.owner.enrol("Caisse 1")
        self.other = self.owner.enrol("Caisse 2", series="02")
        for till in (self.till, self.other):
            for _ in range(6):
                till.sell()
        with closing(SqliteStore(path)) as store, store.transaction():
            store.create_shop(self.owner.author, b"l" * 16)
        self.store(self.owner.entries)
        self.seen = len(self.owner.entries)

    def store(self, entries):
        """As another process does."""
        with closing(SqliteStore(self.path)) as store, store.transaction():
            log = store.shop(self.owner.author)
            for entry in entries:
                assert log.append(entry_item(entry, entry_record(entry.sealed))) is not None

    def cut_off(self, n=3):
        """The owner revokes the register: up to its entry ``n`` it was known."""
        end, entry = self.till.end.known, self.till.entries[n - 1]
        self.owner.revoke(self.till, [type(end)(end.chain, entry.link, n)])
        self.store(self.owner.entries[self.seen :])

    async def bring(self, *works, before):
        """Commit works at once; the outcome of each. The register is cut off before that transaction."""

        def opened():  # Its upkeep has a store of its own, on another thread.
            is_committer = threading.current_thread().name == "committer"
            return Overtaken(self.path, self.cut_off, before if is_committer else 0)

        admission, loop = Admission(self.owner.author), asyncio.get_running_loop()
        committer = Committer(opened, lambda _: admission, Quiet(), lambda: 0, lambda: 0.0)
        done = [loop.create_future() for _ in works]
        for (peer, deliveries), told in zip(works, done, strict=True):
            committer.submit(Work(self.owner.author, peer, "register", told.set_result, deliveries))
        committer.start()
        outcomes = [await told for told in done]
        await committer.stop()
        assert [outcome.error for outcome in outcomes] == [None] * len(works)
        return outcomes

    def numbers(self, till):
        """Which entries of a register are in the log, and which are on hold."""
        with closing(SqliteStore(self.path)) as store:
            log = store.shop(self.owner.author)
            found = [record for _, record in log.read(0, bytes_max=1 << 20).records]
            held = [apart.record for apart in log.apart() if apart.held]
        entries = [[read_entry(record[1:]) for record in part] for part in (found, held)]
        return tuple(sorted(one.facts.n for one in part if one.author == till.author) for part in entries)


class Quiet:
    def committed(self, growths, seconds, error):
        assert error is None


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "relay.sqlite")


def live(till):
    records = tuple((seq, entry_record(sealed)) for seq, sealed in enumerate(till.sealed, start=1))
    return Delivery(1, START, Position(len(records), b"e" * 32), records)


def past(till):
    numbered = [(seq, entry_record(sealed)) for seq, sealed in enumerate(till.sealed, start=1)]
    end, all_of_it = Position(len(numbered), b"e" * 32), (1, len(numbered))
    cut = Delivery(1, START, end, cut=(all_of_it,))
    return cut, Delivery(2, end, end, blob=encode_pack(numbered), fills=all_of_it)


async def test_what_a_register_sold_beyond_what_was_known_is_on_hold_though_it_was_judged_before(shop):
    (outcome,) = await shop.bring((PEER, [live(shop.till)]), before=1)
    assert shop.numbers(shop.till) == ([1, 2, 3], [4, 5, 6, 7])
    [(_, refused)] = outcome.stored
    assert [one.code for one in refused] == ["revoked"] * 4


async def test_what_others_sold_in_the_same_commit_comes_in(shop):
    works = (PEER, [live(shop.till)]), (OTHER, [live(shop.other)])
    outcomes = await shop.bring(*works, before=1)
    assert shop.numbers(shop.other) == ([1, 2, 3, 4, 5, 6, 7], [])
    assert outcomes[1].stored == [(1, ())]


@pytest.mark.parametrize("before", [1, 2, 3, 4])
async def test_of_a_past_that_is_stored_a_few_rows_at_a_time(shop, monkeypatch, before):
    """Whichever transaction it comes before: what is on the disk by then was known."""
    monkeypatch.setattr(committing, "ROWS_PER_TRANSACTION", 2)
    cut, pack = past(shop.till)
    await shop.bring((PEER, [cut]), before=0)
    await shop.bring((PEER, [pack]), before=before)
    here, held = shop.numbers(shop.till)
    known = max(3, 2 * (before - 1))
    assert (here, held) == (list(range(1, known + 1)), list(range(known + 1, 8)))


async def test_of_a_past_that_is_kept_as_it_came(shop, monkeypatch):
    monkeypatch.setattr(batches, "KEPT_ROWS_MIN", 1)
    cut, pack = past(shop.till)
    await shop.bring((PEER, [cut]), before=0)
    await shop.bring((PEER, [pack]), before=1)
    assert shop.numbers(shop.till) == ([1, 2, 3], [4, 5, 6, 7])


async def test_who_brings_that_a_register_was_cut_off_is_heard_before_who_brings_its_sales(shop):
    """A relay that was put back hears of it from another register, in the same commit."""
    end = shop.till.end.known
    entry = shop.till.entries[2]
    revoked = shop.owner.revoke(shop.till, [type(end)(end.chain, entry.link, 3)])
    told = Delivery(1, START, Position(1, b"o" * 32), ((1, entry_record(revoked.sealed)),))
    await shop.bring((OTHER, [told]), (PEER, [live(shop.till)]), before=0)
    assert shop.numbers(shop.till) == ([1, 2, 3], [4, 5, 6, 7])


def test_of_a_rescue_file(shop):
    records = [(seq, entry_record(sealed)) for seq, sealed in enumerate(shop.till.sealed, start=1)]
    with closing(Overtaken(shop.path, shop.cut_off)) as store:
        taken = take_records(store, Admission(shop.owner.author), PEER, "register", records, 0)
    assert [one.code for one in taken.refused] == ["revoked"] * 4
    assert shop.numbers(shop.till) == ([1, 2, 3], [4, 5, 6, 7])
