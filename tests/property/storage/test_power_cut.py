"""P1 on the disk: what a transaction returned is there after any power cut, what did not return is there
whole or not at all. And the same test finds the loss as soon as syncs are left out.
"""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import StorageError
from crdtsync.ids import Position
from crdtsync.storage.log import Cursor
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.disk import SimulatedDisk
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, LOG, PEER = b"s" * 16, b"l" * 16, b"p" * 16
TILL = MadeUpChain(1).entries(120)


@contextmanager
def empty_folder():
    folder = Path(tempfile.mkdtemp(prefix="power-cut-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def begin(store, day):
    store.create_shop(SHOP, LOG)


def sell(store, day):
    log = store.shop(SHOP)
    for sale in TILL[day * 3 : day * 3 + 3]:
        log.append(sale)
    log.set_state("head", b"%d" % day)


def receive(store, day):
    log = store.shop(SHOP)
    log.append(made_up_update("catalogue", b"%d" % day))
    log.set_cursor(PEER, Cursor(Position(day, b"h" * 32)))


def pack(store, day):
    log = store.shop(SHOP)
    log.pack(4, log.end.seq)


def compact(store, day):
    log = store.shop(SHOP)
    seqs = [seq for seq, _ in log.document_records("catalogue")]
    log.compact(made_up_update("catalogue", b"state %d" % day, state=True), seqs)


def seen(store):
    """All that a store holds, or None where it was not even begun."""
    try:
        log = store.shop(SHOP)
    except KeyError:
        return None
    records = log.read(0, bytes_max=1 << 30)
    return (
        log.log_id,
        records,
        [log.hash_at(seq) for seq in range(records.to.seq + 1)],
        log.documents(),
        log.runs(),
        (log.cursor(PEER), log.state("head")),
        log.pack_at(1),
    )


def states_of(acts):
    """What is seen after each transaction, the empty store first."""
    store = MemoryStore(MemoryDisk())
    states = [None]
    for day, act in enumerate(acts):
        with store.transaction():
            act(store, day)
        states.append(seen(store))
    return states


def run_until_the_power_goes(folder, acts, operations, seed, synchronous=None):
    """How many transactions returned, and the path of what is left."""
    disk = SimulatedDisk(folder, seed=seed)
    store = SqliteStore(disk.path, vfs=disk.vfs)
    if synchronous is not None:
        store.connection.execute(f"PRAGMA synchronous={synchronous}")
    store.connection.wal_autocheckpoint(6 if seed % 2 else 1000)
    disk.cut_power_after(operations)
    returned = 0
    try:
        for day, act in enumerate(acts):
            with store.transaction():
                act(store, day)
            returned += 1
    except StorageError:
        pass
    left = disk.survivors(folder / "left")
    store.close()
    return returned, left


@pytest.mark.slow
@given(
    st.lists(st.sampled_from([sell, sell, receive, pack, compact]), min_size=1, max_size=30),
    st.integers(1, 250),
    st.integers(0, 10_000),
)
def test_after_a_power_cut_every_returned_transaction_is_there(acts, operations, seed):
    acts = [begin, *acts]
    states = states_of(acts)
    with empty_folder() as folder:
        returned, left = run_until_the_power_goes(folder, acts, operations, seed)
        store = SqliteStore(left)
        found = seen(store)
        assert found in states[returned : returned + 2]
        with store.transaction():
            store.create_shop(SHOP, LOG)
            store.shop(SHOP).append(TILL[-1])
        assert list(store.check()) == []
        assert store.shop(SHOP).holds(TILL[-1].digest, TILL[-1].entry.chain, TILL[-1].entry.n)
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_without_full_syncs_the_same_test_finds_a_loss(synchronous):
    acts = [begin, *[sell] * 20]
    states = states_of(acts)
    lost = 0
    for seed in range(25):
        with empty_folder() as folder:
            returned, left = run_until_the_power_goes(folder, acts, 20 + seed, seed, synchronous)
            try:
                store = SqliteStore(left)
                lost += seen(store) not in states[returned : returned + 2]
                store.close()
            except StorageError:
                lost += 1
    assert lost > 0


@pytest.mark.slow
def test_a_power_cut_while_a_store_is_made_leaves_none_or_a_whole_one():
    operations = 0
    while True:
        operations += 1
        with empty_folder() as folder:
            disk = SimulatedDisk(folder, seed=operations)
            disk.cut_power_after(operations)
            try:
                SqliteStore(disk.path, vfs=disk.vfs).close()
            except StorageError:
                pass
            finished = not disk.is_off
            store = SqliteStore(disk.survivors(folder / "left"))
            with store.transaction():
                begin(store, 0)
            assert store.shops() == [SHOP]
            store.close()
            if finished:
                break
    assert operations > 20


def test_a_store_is_kept_with_full_syncs(tmp_path):
    store = SqliteStore(tmp_path / "shop.db")
    assert store.connection.pragma("journal_mode") == "wal"
    assert store.connection.pragma("synchronous") == 2
    store.close()
