"""How the log in SQLite lies on disk: what is found by what, and what each thing costs."""

import tracemalloc
from contextlib import suppress
from random import Random

import pytest

from crdtsync.errors import DamagedStore
from crdtsync.ids import Origin, Position
from crdtsync.storage import sqlite_packing
from crdtsync.storage.pack import encode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.sqlite_heads import HEAD_LAG_MAX
from crdtsync.testing.records import MadeUpChain, everything, interleaved, made_up_update

SHOP, LOG, PEER = b"s" * 16, b"l" * 16, b"p" * 16


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "shop.db")
    with store.transaction():
        store.create_shop(SHOP, LOG)
    yield store
    assert list(store.check()) == []
    store.close()


def append(store, *items):
    with store.transaction():
        for item in items:
            store.shop(SHOP).append(item)


def count(store, table):
    return store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_till_that_sells_writes_one_stretch(store):
    till = MadeUpChain(1)
    for _ in range(5):
        append(store, till.entry(), till.entry())
        again = SqliteStore(store.path)
        append(again, till.entry())
        again.close()
    assert count(store, "stretch") == 1


def test_a_stretch_ends_where_anything_but_the_number_changes(store):
    till, other = MadeUpChain(1), MadeUpChain(2)
    append(store, till.entry(), till.entry(), other.entry(), till.entry(Origin(PEER, 1)), till.entry())
    append(store, made_up_update("x/a", b"1"), made_up_update("x/a", b"2"), made_up_update("x/b", b"3"))
    till.day = "2026-11-25"
    append(store, till.entry())
    assert count(store, "stretch") == 7


@pytest.mark.slow
def test_a_long_stretch_is_divided_so_that_a_number_is_near_what_holds_it(store):
    till = MadeUpChain(1)
    sales = till.entries(9000)
    append(store, *sales)
    log = store.shop(SHOP)
    assert count(store, "stretch") == 3
    for n in (1, 4096, 4097, 8192, 8193, 9000):
        assert log.entry(till.chain, n) == (sales[n - 1].record[1:],)
    assert [seq for seq, _ in log.chain_entries(till.chain, 8190, 8195)] == list(range(8190, 8196))


@pytest.mark.parametrize("packed", [1, 5, 6])
def test_a_stretch_goes_on_beyond_a_pack(store, packed):
    till = MadeUpChain(1)
    sales = till.entries(8)
    append(store, *sales[:6])
    with store.transaction():
        assert store.shop(SHOP).pack(packed, 99)
    append(store, *sales[6:])
    log = store.shop(SHOP)
    assert [log.entry(till.chain, n) for n in range(1, 9)] == [(sale.record[1:],) for sale in sales]
    assert len(list(log.document_records(sales[0].document))) == 8
    assert count(store, "stretch") == 1


def test_selling_one_by_one_writes_the_head_now_and_then_only(store):
    head = "SELECT seq FROM shop"
    till = MadeUpChain(1)
    append(store, till.entry())
    written = set()
    for _ in range(300):
        append(store, till.entry())
        written.add(store.connection.execute(head).fetchone()[0])
    assert len(written) == 1 + 300 // HEAD_LAG_MAX < 30


def test_a_head_that_lags_is_made_up_from_the_rows(store):
    till = MadeUpChain(1)
    append(store, till.entry())
    sizes = 0
    for number in range(50):
        append(store, made_up_update("x/a", b"%d" % number), till.entry())
    again = SqliteStore(store.path)
    log, ours = again.shop(SHOP), store.shop(SHOP)
    assert (log.end, log.runs(), log.documents()) == (ours.end, ours.runs(), ours.documents())
    assert log.runs()[0].hi == 51
    sizes = {row.name: row.records for row in log.documents()}
    assert sizes["x/a"] == 50
    again.close()


def test_the_pending_of_a_peer_costs_no_look_at_what_lies_before_its_acknowledgement(store):
    with store.transaction():
        log = store.shop(SHOP)
        for item in interleaved(3, 3000):
            log.append(type(item)(item.record, item.document, item.digest, item.entry, Origin(PEER, 1)))
        mine = MadeUpChain(99).entry()
        log.append(mine)
        log.set_acknowledged(PEER, Position(2990, log.hash_at(2990)), 1)
    steps = 0

    def count_steps():
        nonlocal steps
        steps += 1
        return False

    store.connection.set_progress_handler(count_steps, 100)
    pending = list(store.shop(SHOP).unacknowledged(PEER))
    store.connection.set_progress_handler(None)
    assert pending == [(3001, mine.record)]
    # 3,000 rows looked at would be 20,000 instructions and more.
    assert steps < 20


def test_rows_that_are_missing_at_the_end_are_missed(tmp_path):
    store = SqliteStore(tmp_path / "cut.db")
    with store.transaction():
        store.create_shop(SHOP, LOG)
    append(store, *MadeUpChain(1).entries(200))
    store.connection.execute("DELETE FROM record WHERE pos & 0xffff > 198")
    with pytest.raises(DamagedStore) as damage:
        store.shop(SHOP).read(150, bytes_max=1 << 20)
    assert damage.value.seq == 199
    assert 199 in [damage.seq for damage in store.check()]
    store.close()


def test_what_was_prepared_by_one_store_is_not_taken_by_another(store):
    append(store, *MadeUpChain(1).entries(2))
    from crdtsync.storage.memory import MemoryStore

    memory = MemoryStore()
    with memory.transaction():
        log = memory.create_shop(SHOP, LOG)
        for sale in MadeUpChain(1).entries(2):
            log.append(sale)
    prepared = memory.shop(SHOP).prepare_pack(2, 2)
    with pytest.raises(TypeError), store.transaction():
        store.shop(SHOP).store_pack(prepared)


def test_a_pack_that_does_not_give_back_its_rows_takes_the_place_of_none(store, monkeypatch):
    sales = MadeUpChain(1).entries(4)
    append(store, *sales)

    def lose_the_last(records, **interval):
        return encode_pack(records[:-1], **interval)

    monkeypatch.setattr(sqlite_packing, "encode_pack", lose_the_last)
    with suppress(AssertionError), store.transaction():
        store.shop(SHOP).pack(4, 4)
    kept = [record for _, record in store.shop(SHOP).read(0, bytes_max=1 << 20).records]
    assert kept == [sale.record for sale in sales]


def test_a_pack_has_a_number_of_rows_that_a_pack_can_have(store):
    for rows in (0, 70_000):
        with pytest.raises(ValueError):
            store.shop(SHOP).prepare_pack(rows, 99)


def test_a_log_written_by_two_handles_of_one_process_stays_whole(store):
    other = SqliteStore(store.path)
    till = MadeUpChain(1)
    for number in range(300):
        append(store if number % 3 else other, till.entry())
    assert [run.hi for run in other.shop(SHOP).runs()] == [300]
    other.close()


def test_a_document_that_a_refused_state_would_have_begun_is_no_damage(store):
    with store.transaction(), suppress(ValueError):
        store.shop(SHOP).compact(made_up_update("x/a", b"state", state=True), [1])
    assert count(store, "document") == 1


def test_a_table_that_is_lost_is_told_by_a_check(tmp_path):
    store = SqliteStore(tmp_path / "lost.db")
    with store.transaction():
        store.create_shop(SHOP, LOG)
    store.connection.execute("DROP TABLE request")
    [damage] = store.check()
    assert "no such table: request" in str(damage)
    store.close()


def test_a_pack_that_is_appended_writes_no_row_for_any_of_its_records(store):
    till = MadeUpChain(1)
    sales = till.entries(40)
    again = SqliteStore(store.path)
    append(store, *sales[:3])
    assert again.shop(SHOP).end.seq == 3
    pack = [*sales[20:], made_up_update("catalogue", b"tea")]
    with store.transaction():
        positions = store.shop(SHOP).append_pack(
            encode_pack(list(enumerate((i.record for i in pack), 7))), pack
        )
    assert (count(store, "record"), count(store, "stretch"), count(store, "pack")) == (0, 0, 2)
    assert again.shop(SHOP).end == positions[-1] == store.shop(SHOP).end
    append(again, sales[3])
    append(store, sales[4])
    assert [(run.lo, run.hi) for run in again.shop(SHOP).runs()] == [(1, 5), (21, 40)]
    again.close()


def test_of_a_past_that_was_read_two_packs_are_kept_and_then_none(store):
    rng, rows, row_bytes = Random(1), 8, 16_384
    append(store, *(made_up_update("x/photos", rng.randbytes(row_bytes)) for _ in range(6 * rows)))
    with store.transaction():
        while store.shop(SHOP).pack(rows, 6 * rows):
            pass
    assert count(store, "pack") == 6
    tracemalloc.start()
    try:
        everything(store.shop(SHOP))
        kept = tracemalloc.get_traced_memory()[0] / (rows * row_bytes)
        store.shop(SHOP).let_go()
        left = tracemalloc.get_traced_memory()[0] / (rows * row_bytes)
    finally:
        tracemalloc.stop()
    assert 1.9 < kept < 2.5
    assert left < 0.5
