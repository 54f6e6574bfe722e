"""What becomes of entries that come before their certificate, or twice."""

import asyncio
from contextlib import closing

import pytest

from crdtsync.errors import StoreBusy
from crdtsync.ids import ENTRY, START, Position
from crdtsync.protocol.backoff import may_retry
from crdtsync.protocol.work import Delivery
from crdtsync.runtime import committer as committing
from crdtsync.runtime.admission import Admission
from crdtsync.runtime.committer import Committer, Work
from crdtsync.runtime.register import Register
from crdtsync.storage.pack import encode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import made_up_update

PEER = b"p" * 16


@pytest.fixture
def sold(tmp_path):
    """Shop, the owner's entries, and the register's own, of a register that works alone."""
    with Register.init(tmp_path / "till", name="Caisse 1") as register:
        register.open_day(10_000)
        rows = list(register.replica.log.read(0, bytes_max=1 << 20).records)
        owners = [row for row in rows if b'"kind":"owner"' in row[1] or b'"kind":"certify"' in row[1]]
        assert all(record[:1] == ENTRY for _, record in rows)
        return register.identity.shop, owners, [row for row in rows if row not in owners]


class Growths(list):
    def committed(self, growths, seconds, error):
        assert error is None
        self.extend(growths)


async def commit(path, shop, *works):
    """Commit these works one after the other; their outcomes."""
    growths = Growths()
    return await commit_to(path, shop, growths, Admission(shop), *works), growths


async def commit_to(path, shop, growths, admission, *works):
    committer = Committer(lambda: SqliteStore(path), lambda _: admission, growths, lambda: 0, lambda: 0.0)
    committer.start()
    outcomes = []
    for deliveries in works:
        done = asyncio.get_running_loop().create_future()
        committer.submit(Work(shop, PEER, "relay", done.set_result, deliveries))
        outcomes.append(await done)
    await committer.stop()
    return outcomes


def delivery(number, start, rows):
    end = Position(start.seq + len(rows), bytes([number]) * 32)
    records = tuple((start.seq + place, record) for place, (_, record) in enumerate(rows, start=1))
    return Delivery(number, start, end, records)


@pytest.fixture
def path(tmp_path, sold):
    path = tmp_path / "other.sqlite"
    store = SqliteStore(path)
    with store.transaction():
        store.create_shop(sold[0], b"l" * 16)
    store.close()
    return path


async def test_entries_that_their_certificate_follows_in_the_same_commit_are_not_told_to_be_held(sold, path):
    shop, owners, own = sold
    first = delivery(1, Position(0, bytes(32)), own)
    (outcome,), _ = await commit(path, shop, [first, delivery(2, first.cursor, owners)])
    assert outcome.stored == [(1, ()), (2, ())]


async def test_entries_whose_certificate_comes_later_are_told_to_be_held_until_then(sold, path):
    shop, owners, own = sold
    first = delivery(1, Position(0, bytes(32)), own)
    outcomes, growths = await commit(path, shop, [first], [delivery(2, first.cursor, owners)])
    assert [refusal.held for refusal in outcomes[0].stored[0][1]] == [True] * len(own)
    assert growths[-1].admitted_anew == {PEER}


async def test_records_that_an_earlier_connection_stored_meanwhile_cost_no_more_than_a_new_connection(
    sold, path
):
    shop, owners, _ = sold
    said_hello_before = delivery(1, Position(0, bytes(32)), owners)
    outcomes, _ = await commit(path, shop, [said_hello_before], [said_hello_before])
    assert may_retry(outcomes[1].error.code)


async def test_what_came_from_a_log_that_is_begun_again_is_pending_for_it_again(sold, path):
    shop, owners, _ = sold
    first = delivery(1, START, owners)
    begun_again = Delivery(2, first.cursor, START, restart=True)
    await commit(path, shop, [first], [begun_again])
    with closing(SqliteStore(path)) as store:
        log = store.shop(shop)
        assert [record for _, record in log.unacknowledged(PEER)] == [record for _, record in owners]
        assert log.cursor(PEER) is None


async def test_who_submits_to_a_store_that_cannot_be_opened_is_told_and_later_work_tries_again(sold, path):
    shop, owners, _ = sold
    admission, is_locked = Admission(shop), [True]

    class Told(list):
        def committed(self, growths, seconds, error):
            self.append(error)

    def open_store():
        if is_locked[0]:
            raise StoreBusy("another process kept it locked")
        return SqliteStore(path)

    committer = Committer(open_store, lambda _: admission, Told(), lambda: 0, lambda: 0.0)
    committer.start()
    outcomes = []
    for _ in range(2):
        done = asyncio.get_running_loop().create_future()
        first = delivery(1, Position(0, bytes(32)), owners)
        committer.submit(Work(shop, PEER, "relay", done.set_result, [first]))
        outcomes.append(await done)
        is_locked[0] = False
    await committer.stop()
    assert isinstance(outcomes[0].error, StoreBusy)
    assert outcomes[1].error is None
    assert outcomes[1].stored == [(1, ())]


def past(rows):
    """A cut that names all these rows as wanted, and the pack that brings them."""
    numbered = [(seq, record) for seq, (_, record) in enumerate(rows, start=1)]
    end, all_of_it = Position(len(rows), b"e" * 32), (1, len(rows))
    cut = Delivery(1, Position(0, bytes(32)), end, cut=(all_of_it,))
    return cut, Delivery(2, end, end, blob=encode_pack(numbered), fills=all_of_it)


def held(path, shop):
    store = SqliteStore(path)
    try:
        log = store.shop(shop)
        return [record for _, record in log.read(0, bytes_max=1 << 20).records], log.cursor(PEER).wanted
    finally:
        store.close()


async def test_history_is_stored_a_few_rows_at_a_time_so_that_a_sale_comes_in_between(
    sold, path, monkeypatch
):
    monkeypatch.setattr(committing, "ROWS_PER_TRANSACTION", 2)
    shop, owners, own = sold
    cut, pack = past(owners + own)
    _, growths = await commit(path, shop, [cut], [pack])
    assert {len(growth.rows) for growth in growths} <= {1, 2}
    assert held(path, shop) == ([record for _, record in owners + own], ())


async def test_entries_that_their_certificate_follows_in_one_pack_come_in_with_it(sold, path, monkeypatch):
    monkeypatch.setattr(committing, "ROWS_PER_TRANSACTION", 1)
    shop, owners, own = sold
    cut, pack = past(own + owners)
    outcomes, _ = await commit(path, shop, [cut], [pack])
    assert outcomes[1].stored == [(2, ())]
    assert len(held(path, shop)[0]) == len(own + owners)


async def test_a_pack_of_which_a_failure_left_the_beginning_is_still_wanted_and_held_once(
    sold, path, monkeypatch
):
    monkeypatch.setattr(committing, "ROWS_PER_TRANSACTION", 2)
    shop, owners, own = sold
    cut, pack = past(owners + own)
    await commit(path, shop, [cut])
    with monkeypatch.context() as disk:
        disk.setattr(committing.ShopCommit, "apply", fail)
        growths, admission = Failures(), Admission(shop)
        await commit_to(path, shop, growths, admission, [pack])
    begun, wanted = held(path, shop)
    assert (bool(begun), wanted) == (True, ((1, len(owners + own)),))
    await commit(path, shop, [pack])
    assert held(path, shop) == ([record for _, record in owners + own], ())


class Failures(list):
    def committed(self, growths, seconds, error):
        self.append(error)


def fail(commit, work):
    raise StoreBusy("the disk is full of somebody else")


async def test_a_state_that_is_compacted_in_a_commit_is_passed_on_with_what_else_it_brought(sold, path):
    shop, owners, _ = sold
    growths, admission, loop = Growths(), Admission(shop), asyncio.get_running_loop()
    committer = Committer(lambda: SqliteStore(path), lambda _: admission, growths, lambda: 0, lambda: 0.0)
    state = made_up_update("x/loyalty", b"points", state=True)
    compacted, stored = loop.create_future(), loop.create_future()
    compact = Work(shop, b"", "", compacted.set_result, also=lambda log: log.compact(state, []))
    committer.submit(compact)
    delivered = [delivery(1, Position(0, bytes(32)), owners)]
    committer.submit(Work(shop, PEER, "relay", stored.set_result, delivered))
    committer.start()
    await asyncio.gather(compacted, stored)
    await committer.stop()
    with closing(SqliteStore(path)) as store:
        hashes = [store.shop(shop).hash_at(seq) for seq in range(1, len(owners) + 2)]
    assert [(row.seq, row.h) for growth in growths for row in growth.rows] == list(enumerate(hashes, start=1))


async def test_what_one_turn_of_the_loop_brings_is_one_commit_where_more_than_one_comes_at_a_time(sold, path):
    shop, owners, own = sold
    growths = Growths()
    admission = Admission(shop)
    committer = Committer(lambda: SqliteStore(path), lambda _: admission, growths, lambda: 0, lambda: 0.0)
    committer.start()
    committer._was_alone = False
    loop, dones, start = asyncio.get_running_loop(), [], START
    for number, rows in enumerate((owners, own[:1], own[1:]), start=1):
        part = delivery(number, start, rows)
        done = loop.create_future()
        committer.submit(Work(shop, PEER, "relay", done.set_result, [part]))
        dones.append(done)
        start = part.cursor
    outcomes = await asyncio.gather(*dones)
    await committer.stop()
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert [len(growth.rows) for growth in growths] == [len(owners) + len(own)]
