"""What becomes of entries that come before their certificate, or twice."""

import asyncio
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from crdtsync.errors import StoreBusy
from crdtsync.ids import ENTRY, START, Position, record_digest, update_record
from crdtsync.protocol.backoff import may_retry
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing import batches
from crdtsync.runtime.committing import committer as committer_module
from crdtsync.runtime.committing import shop_commit as committing
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.committer import LET_GO_S, Committer
from crdtsync.runtime.committing.work import Work
from crdtsync.runtime.folder.identity import Relay
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.progress import is_first_left
from crdtsync.storage.log import Refusal
from crdtsync.storage.pack import encode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.faulty_store import damage_record
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


async def test_who_brought_a_held_record_is_told_that_it_is_admitted_where_it_is_here_already(sold, path):
    shop, owners, own = sold
    await commit(path, shop, [delivery(1, START, [*owners, *own])])
    with closing(SqliteStore(path)) as store, store.transaction():
        log, (_, record) = store.shop(shop), own[0]
        held = Refusal(7, record_digest(record), "unknown-device", "no certificate admits it", True)
        log.refuse(b"q" * 16, held, record, 0)
    _, growths = await commit(path, shop, [])
    assert [(growth.rows, growth.admitted_anew) for growth in growths] == [([], {b"q" * 16})]


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


async def test_what_comes_first_is_known_on_the_disk_until_it_has_come(sold, path):
    shop, owners, own = sold
    cut, pack = past(owners + own)
    relay = Relay("ws://relay.example", bytes(33), PEER)

    def is_left():
        store = SqliteStore(path)
        try:
            return is_first_left(store.shop(shop), relay)
        finally:
            store.close()

    await commit(path, shop, [replace(cut, first=((2, 2),))])
    assert is_left()
    await commit(path, shop, [pack])
    assert not is_left()


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


@pytest.fixture
def keeps_packs(monkeypatch):
    """However small a pack of the past is, it is kept as it came."""
    monkeypatch.setattr(batches, "KEPT_ROWS_MIN", 1)


def packs(path, shop):
    """First and last seq of the packs on this disk."""
    with closing(SqliteStore(path)) as store:
        log, found = store.shop(shop), []
        while pack := log.pack_at(found[-1][1] + 1 if found else 1):
            found.append((pack.start.seq + 1, pack.to.seq))
        assert list(store.check()) == []
        return found


async def test_a_pack_of_the_past_is_kept_as_it_came(sold, path, keeps_packs):
    shop, owners, own = sold
    cut, pack = past(owners + own)
    outcomes, growths = await commit(path, shop, [cut], [pack])
    assert outcomes[1].stored == [(2, ())]
    assert held(path, shop) == ([record for _, record in owners + own], ())
    assert packs(path, shop) == [(1, len(owners + own))]
    (growth,) = growths
    with closing(SqliteStore(path)) as store:
        log = store.shop(shop)
        assert [(row.seq, row.h) for row in growth.rows] == [
            (seq, log.hash_at(seq)) for seq in range(1, log.end.seq + 1)
        ]
        assert list(log.unacknowledged(PEER)) == []


async def test_before_each_pack_of_the_past_somebody_may_take_their_time(sold, path, keeps_packs):
    shop, owners, own = sold
    growths, asked, loop = Growths(), [], asyncio.get_running_loop()
    admission = Admission(shop)
    committer = Committer(lambda: SqliteStore(path), lambda _: admission, growths, lambda: 0, lambda: 0.0)
    committer.before_history = lambda log: asked.append((log.shop, len(growths)))
    committer.start()
    for one in past(owners + own):
        done = loop.create_future()
        committer.submit(Work(shop, PEER, "relay", done.set_result, [one]))
        await done
    await committer.stop()
    assert asked == [(shop, 0)]
    assert growths


async def test_for_products_that_are_waited_for_nothing_is_packed_first(sold, path, keeps_packs):
    shop, owners, own = sold
    cut, pack = past(owners + own)
    await commit(path, shop, [cut], [pack])
    end, kept = cut.cursor, [(1, len(owners + own))]
    for name, is_packed in (("catalogue", False), ("x/notes", True)):
        record = update_record(name, bytes(2))
        start, end = end, Position(end.seq + 1, name.encode().ljust(32))
        one = (end.seq, end.seq)
        blob = encode_pack([(end.seq, record)])
        brought = Delivery(4, end, end, blob=blob, fills=one)
        await commit(path, shop, [Delivery(3, start, end, cut=(one,))], [brought])
        assert held(path, shop)[0][-1] == record
        # What follows packs them too.
        kept += [(end.seq - 1, end.seq - 1), one] if is_packed else []
        assert packs(path, shop) == kept


async def test_what_lies_before_a_pack_that_is_kept_is_packed_too(sold, path, keeps_packs):
    shop, owners, own = sold
    end = Position(len(owners + own), b"e" * 32)
    wanted = (len(owners) + 1, end.seq)
    cut = Delivery(1, START, end, tuple(enumerate((r for _, r in owners), start=1)), cut=(wanted,))
    blob = encode_pack(list(enumerate((r for _, r in own), start=wanted[0])))
    await commit(path, shop, [cut], [Delivery(2, end, end, blob=blob, fills=wanted)])
    assert held(path, shop) == ([record for _, record in owners + own], ())
    assert packs(path, shop) == [(1, len(owners)), (len(owners) + 1, len(owners + own))]


async def test_a_damaged_row_before_a_pack_keeps_none_of_the_past_from_the_disk(sold, path, keeps_packs):
    shop, owners, own = sold
    end = Position(len(owners + own), b"e" * 32)
    wanted = (len(owners) + 1, end.seq)
    cut = Delivery(1, START, end, tuple(enumerate((r for _, r in owners), start=1)), cut=(wanted,))
    blob = encode_pack(list(enumerate((r for _, r in own), start=wanted[0])))
    note = update_record("x/notes", bytes(2))
    await commit(path, shop, [replace(cut, records=(*cut.records, (len(owners) + 1, note)))])
    with closing(SqliteStore(path)) as store:
        damage_record(store, shop, len(owners) + 1)
    outcomes, _ = await commit(path, shop, [Delivery(2, end, end, blob=blob, fills=wanted)])
    assert outcomes[0].error is None
    with closing(SqliteStore(path)) as store:
        log = store.shop(shop)
        assert sum(run.hi - run.lo + 1 for run in log.runs()) == len(owners + own)
        assert log.cursor(PEER).wanted == ()


async def test_of_a_pack_with_something_held_already_the_rest_comes_in_singly(sold, path, keeps_packs):
    shop, owners, own = sold
    cut, pack = past(owners + own)
    await commit(path, shop, [delivery(1, START, owners)])
    again = Delivery(1, Position(len(owners), b"\1" * 32), cut.cursor, cut=cut.cut)
    _, growths = await commit(path, shop, [again], [pack])
    assert held(path, shop) == ([record for _, record in owners + own], ())
    assert [row.seq for growth in growths for row in growth.rows] == list(
        range(len(owners) + 1, len(owners + own) + 1)
    )
    assert packs(path, shop) == []


@pytest.mark.parametrize("damage", ["signature", "form"])
async def test_of_a_pack_with_an_entry_that_is_refused_the_rest_comes_in(sold, path, keeps_packs, damage):
    shop, owners, own = sold
    seq, last = own[-1]
    bad = (
        last[:-60] + bytes([last[-60] ^ 1]) + last[-59:]
        if damage == "signature"
        else last.replace(b":", b": ", 1)
    )
    cut, pack = past([*owners, *own[:-1], (seq, bad)])
    outcomes, _ = await commit(path, shop, [cut], [pack])
    ((_, (refusal,)),) = outcomes[1].stored
    assert (refusal.seq, refusal.held) == (len(owners + own), False)
    assert held(path, shop) == ([record for _, record in owners + own[:-1]], ())
    assert packs(path, shop) == []


async def test_of_a_pack_without_certificates_everything_is_held_apart(sold, path, keeps_packs):
    shop, _, own = sold
    cut, pack = past(own)
    outcomes, _ = await commit(path, shop, [cut], [pack])
    assert [refusal.held for refusal in outcomes[1].stored[0][1]] == [True] * len(own)
    assert held(path, shop) == ([], ())


async def test_a_pack_of_a_peer_whose_log_went_on_elsewhere_is_not_stored(sold, path, keeps_packs):
    shop, owners, own = sold
    cut, pack = past(owners + own)
    await commit(path, shop, [cut])
    elsewhere = Position(99, b"x" * 32)
    outcomes, _ = await commit(path, shop, [replace(pack, start=elsewhere, cursor=elsewhere)])
    assert may_retry(outcomes[0].error.code)
    assert held(path, shop) == ([], ((1, len(owners + own)),))


async def test_the_signatures_inside_a_pack_that_is_kept_are_told_to_be_checked(sold, path, keeps_packs):
    shop, owners, own = sold
    cut, pack = past(owners + own)
    _, growths = await commit(path, shop, [cut], [pack])
    assert growths[0].unchecked == tuple(range(len(owners) + 1, len(owners + own)))


async def test_a_kept_pack_whose_interval_a_failure_left_wanted_is_held_once(
    sold, path, keeps_packs, monkeypatch
):
    shop, owners, own = sold
    cut, pack = past(owners + own)
    await commit(path, shop, [cut])
    with monkeypatch.context() as disk:
        disk.setattr(committing.ShopCommit, "apply", fail)
        await commit_to(path, shop, Failures(), Admission(shop), [pack])
    assert held(path, shop)[1] == ((1, len(owners + own)),)
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


async def test_who_waits_for_what_comes_to_disk_sees_it_before_anybody_is_told(sold, path):
    shop, owners, _ = sold
    told, seen = [], []

    class Told:
        def committed(self, growths, seconds, error):
            told.append(error)

    committer = Committer(
        lambda: SqliteStore(path), lambda _: Admission(shop), Told(), lambda: 0, lambda: 0.0
    )

    def look(growths):
        with closing(SqliteStore(path)) as store:
            seen.append((store.shop(shop).end.seq, len(told), [len(growth.rows) for growth in growths]))

    committer.on_disk = look
    committer.start()
    for deliveries in ([delivery(1, START, owners)], [delivery(2, Position(9, bytes(32)), owners)]):
        done = asyncio.get_running_loop().create_future()
        committer.submit(Work(shop, PEER, "relay", done.set_result, deliveries))
        await done
    await committer.stop()
    assert seen[0] == (len(owners), 0, [len(owners)])
    assert not any(rows for *_, rows in seen[1:]), "of what did not fit nothing came"


async def test_of_a_commit_that_fails_nothing_is_on_disk_to_be_seen(sold, path):
    shop, owners, _ = sold
    seen = []

    class Told:
        def committed(self, growths, seconds, error):
            assert error is not None

    def fail():
        raise StoreBusy("another process kept it locked")

    class Locked(SqliteStore):
        def transaction(self):
            fail()

    committer = Committer(lambda: Locked(path), lambda _: Admission(shop), Told(), lambda: 0, lambda: 0.0)
    committer.on_disk = seen.append
    committer.start()
    done = asyncio.get_running_loop().create_future()
    committer.submit(Work(shop, PEER, "relay", done.set_result, [delivery(1, START, owners)]))
    assert (await done).error is not None
    await committer.stop()
    assert seen == []


async def test_of_a_log_that_nothing_is_brought_to_nothing_is_kept_in_memory(sold, path):
    """A relay has thousands of shops, of which most sell nothing now."""
    shop, owners, own = sold
    now_s, stores, other = [0.0], {}, b"another shop on i"[:16]
    with closing(SqliteStore(path)) as store, store.transaction():
        store.create_shop(other, b"m" * 16)

    def opened():
        return stores.setdefault(threading.current_thread().name, SqliteStore(path))

    committer = Committer(opened, Admission, Growths(), lambda: 0, lambda: now_s[0])
    committer.start()

    async def commit_to(shop, deliveries):
        done = asyncio.get_running_loop().create_future()
        committer.submit(Work(shop, PEER, "relay", done.set_result, deliveries))
        assert (await done).error is None

    first = delivery(1, START, owners)
    await commit_to(shop, [first])
    now_s[0] = LET_GO_S - 1
    await commit_to(other, [])
    now_s[0] = LET_GO_S
    await commit_to(other, [])
    await committer.stop()
    assert stores["committer"]._logs[shop]._chains == {}
    assert stores["committer"]._logs[other]._generation >= 0
    committer = Committer(lambda: SqliteStore(path), Admission, Growths(), lambda: 0, lambda: now_s[0])
    committer.start()
    await commit_to(shop, [delivery(2, first.cursor, own)])
    await committer.stop()
    with closing(SqliteStore(path)) as store:
        assert store.shop(shop).end.seq == len(owners) + len(own)


async def test_of_many_logs_that_something_is_brought_to_few_are_kept_in_memory(path, monkeypatch):
    """Five hundred devices, each of a shop of its own, come back within a few seconds."""
    monkeypatch.setattr(committer_module, "LOGS_KEPT", 2)
    shops, stores = [bytes([number]) * 16 for number in range(1, 6)], {}
    with closing(SqliteStore(path)) as store, store.transaction():
        for shop in shops:
            store.create_shop(shop, shop)

    def opened():
        return stores.setdefault(threading.current_thread().name, SqliteStore(path))

    committer = Committer(opened, Admission, Growths(), lambda: 0, lambda: 0.0)
    committer.start()
    for shop in shops:
        done = asyncio.get_running_loop().create_future()
        committer.submit(Work(shop, PEER, "relay", done.set_result, []))
        assert (await done).error is None
    await committer.stop()
    known = [stores["committer"]._logs[shop]._generation >= 0 for shop in shops]
    assert known == [False, False, False, True, True]
