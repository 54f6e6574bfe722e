"""A disk that is full, read-only or unable to sync: nothing half-written, the right word, and it goes on."""

import pytest

from crdtsync.errors import DiskFull, ReadOnlyStore, StorageError
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.disk import SimulatedDisk
from crdtsync.testing.records import MadeUpChain

SHOP, LOG = b"s" * 16, b"l" * 16


@pytest.fixture
def disk(tmp_path):
    return SimulatedDisk(tmp_path)


@pytest.fixture
def store(disk):
    store = SqliteStore(disk.path, vfs=disk.vfs)
    with store.transaction():
        store.create_shop(SHOP, LOG)
    yield store
    store.close()


def sell(store, item):
    with store.transaction():
        return store.shop(SHOP).append(item)


def all_records(store):
    return [record for _, record in store.shop(SHOP).read(0, bytes_max=1 << 30).records]


@pytest.mark.parametrize("free_bytes", [0, 1, 23, 24, 100, 4000, 4120, 4121, 8000])
def test_on_a_full_disk_a_sale_is_refused_and_can_be_made_later(store, disk, free_bytes):
    till = MadeUpChain(1)
    sale = till.entry()
    disk.free_bytes = free_bytes
    with pytest.raises(DiskFull):
        while sell(store, sale):
            sale = till.entry()
    before = store.shop(SHOP).end
    with pytest.raises(DiskFull):
        sell(store, sale)
    assert store.shop(SHOP).end == before
    assert len(all_records(store)) == before.seq
    disk.free_bytes = None
    assert sell(store, sale) == before.seq + 1 == sale.entry.n
    assert [run.hi for run in store.shop(SHOP).runs()] == [sale.entry.n]


def test_a_commit_that_fails_leaves_nothing_for_other_processes(store, disk, tmp_path):
    sale = MadeUpChain(1).entry()
    disk.failing_syncs = True
    with pytest.raises(StorageError):
        sell(store, sale)
    other = SqliteStore(disk.path)
    assert (other.shop(SHOP).end.seq, store.shop(SHOP).end.seq) == (0, 0)
    disk.failing_syncs = False
    assert sell(store, sale) == 1
    assert all_records(other) == all_records(store) == [sale.record]
    other.close()


def test_after_a_failed_sync_the_next_commit_survives_a_power_cut(store, disk, tmp_path):
    sales = MadeUpChain(1).entries(2)
    disk.failing_syncs = True
    with pytest.raises(StorageError):
        sell(store, sales[0])
    disk.failing_syncs = False
    sell(store, sales[0])
    left = SqliteStore(disk.survivors(tmp_path / "left"))
    assert all_records(left) == [sales[0].record]
    left.close()


def test_on_a_read_only_disk_a_sale_is_refused_and_everything_reads(store, disk):
    sales = MadeUpChain(1).entries(2)
    sell(store, sales[0])
    disk.read_only = True
    with pytest.raises(ReadOnlyStore):
        sell(store, sales[1])
    assert all_records(store) == [sales[0].record]
    disk.read_only = False
    assert sell(store, sales[1]) == 2


def test_on_a_read_only_disk_no_store_is_made(tmp_path):
    disk = SimulatedDisk(tmp_path)
    disk.read_only = True
    with pytest.raises(ReadOnlyStore):
        SqliteStore(disk.path, vfs=disk.vfs)
    assert not disk.path.exists()


def test_a_full_disk_makes_no_half_store(tmp_path):
    disk = SimulatedDisk(tmp_path)
    disk.free_bytes = 6000
    with pytest.raises(DiskFull):
        SqliteStore(disk.path, vfs=disk.vfs)
    disk.free_bytes = None
    store = SqliteStore(disk.path, vfs=disk.vfs)
    assert store.shops() == []
    store.close()
