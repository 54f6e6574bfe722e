"""A store that fails when it is told to; with no fault it passes the log's contract (``tests/contract``)."""

import pytest

from crdtsync import Register
from crdtsync.errors import DamagedStore, DiskFull, ReadOnlyStore, StorageError, StoreBusy, UsageError
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import ManualClock
from crdtsync.testing.faulty_store import FaultyStore, open_faulty
from crdtsync.testing.records import MadeUpChain

SHOP, LOG = b"shop-of-the-tests"[:16], b"our-own-log-id-1"


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    wrapped = MemoryStore(MemoryDisk()) if request.param == "memory" else SqliteStore(tmp_path / "shop.db")
    store = FaultyStore(wrapped)
    with store.transaction():
        store.create_shop(SHOP, LOG)
    yield store
    store.close()


@pytest.fixture
def till(tmp_path):
    clock = ManualClock()
    with Register.init(tmp_path, name="Caisse 1", clock=clock) as register:
        register.products.add("CM-19", name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
    register, store = open_faulty(tmp_path, clock=clock)
    with register:
        yield register, store


def sell(store, chain=None):
    with store.transaction():
        store.shop(SHOP).append((chain or MadeUpChain(1)).entry())


@pytest.mark.parametrize(
    ("fault", "error"),
    [("busy", StoreBusy), ("full", DiskFull), ("read-only", ReadOnlyStore), ("not written", StorageError)],
)
def test_a_fault_writes_nothing_and_says_why(store, fault, error):
    store.fail(fault)
    with pytest.raises(error):
        sell(store)
    assert (store.shop(SHOP).end.seq, store.failed) == (0, 1)


def test_a_commit_can_fail_although_it_reached_the_disk(store):
    store.fail("written")
    with pytest.raises(StorageError):
        sell(store)
    assert store.shop(SHOP).end.seq == 1


def test_a_fault_comes_after_so_many_transactions_and_so_often(store):
    chain, ends = MadeUpChain(1), []
    store.fail("full", after=1, times=2)
    for _ in range(4):
        try:
            sell(store, chain)
        except DiskFull:
            ends.append("full")
        else:
            ends.append("sold")
    assert ends == ["sold", "full", "full", "sold"]


def test_a_mended_store_takes_everything(store):
    store.fail("full")
    store.mend()
    sell(store)
    assert store.shop(SHOP).end.seq == 1


def test_an_error_of_the_caller_is_not_hidden_by_a_fault(store):
    store.fail("written")
    with pytest.raises(KeyError), store.transaction():
        raise KeyError
    assert store.shop(SHOP).end.seq == 0


def test_a_damaged_record_is_named_when_it_is_read(store):
    sell(store)
    store.damage(SHOP, 1)
    with pytest.raises(DamagedStore) as damage:
        store.shop(SHOP).read(0, bytes_max=9999)
    assert damage.value.seq == 1


@pytest.mark.parametrize("seq", [0, 2])
def test_a_record_that_is_not_there_cannot_be_damaged(store, seq):
    sell(store)
    with pytest.raises(UsageError):
        store.damage(SHOP, seq)


def test_a_store_of_another_sort_cannot_be_damaged():
    with pytest.raises(UsageError):
        FaultyStore(object()).damage(SHOP, 1)


def test_a_register_with_a_full_disk_records_nothing_and_sells_again_when_there_is_room(till):
    register, store = till
    store.fail("full")
    with pytest.raises(DiskFull):
        register.sell(["CM-19"], ["card"])
    store.mend()
    register.sell(["CM-19"], ["card"])
    assert [row.total for row in register.sales()] == [1850]


def test_a_sale_whose_commit_failed_on_the_disk_is_found_again_by_its_request_id(till):
    register, store = till
    store.fail("written", times=1)
    ticket = register.sell(["CM-19"], ["card"], request_id="r-1")
    assert [row.link for row in register.sales()] == [ticket.link]
