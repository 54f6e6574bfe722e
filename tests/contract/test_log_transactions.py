"""The log's contract: shops, and what a transaction promises to itself and to others."""

import pytest

from crdtsync.errors import StoreBusy
from crdtsync.ids import START, ZERO_HASH, Position, next_hash
from crdtsync.testing.records import MadeUpChain, everything, made_up_update

SHOP, LOG = b"shop-of-the-tests"[:16], b"our-own-log-id-1"


def test_a_new_log_is_empty(world):
    assert (world.log.shop, world.log.log_id, world.log.end) == (SHOP, LOG, START)


def test_shops_are_listed_oldest_first(world):
    with world.store.transaction():
        world.store.create_shop(b"a" * 16, LOG)
    assert world.store.shops() == [SHOP, b"a" * 16]


def test_a_shop_that_exists_is_returned_as_it_is(world):
    with world.store.transaction():
        assert world.store.create_shop(SHOP, b"another-log-id-2").log_id == LOG


def test_an_unknown_shop_is_a_key_error(world):
    with pytest.raises(KeyError):
        world.store.shop(b"no-such-shop-123")


def test_shops_have_nothing_in_common(world):
    mine, theirs = MadeUpChain(1).entry(), made_up_update("catalogue", b"bread")
    with world.transaction() as log:
        other = world.store.create_shop(b"another-shop-123", LOG)
        for here, item in ((log, mine), (other, theirs)):
            here.append(item)
            here.set_state("head", item.digest)
            here.set_request("r1", item.digest, 1)
    other = world.store.shop(b"another-shop-123")
    assert (everything(world.log), everything(other)) == ([(1, mine.record)], [(1, theirs.record)])
    assert (world.log.state("head"), other.state("head")) == (mine.digest, theirs.digest)
    assert (world.log.request("r1"), other.request("r1")) == ((mine.digest, 1), (theirs.digest, 1))
    assert not other.holds(mine.digest, mine.entry.chain, 1)
    assert not world.log.holds(theirs.digest)
    assert (other.runs(), [row.name for row in other.documents()]) == ([], ["catalogue"])
    assert list(other.unacknowledged(None)) == [(1, theirs.record)]


# -- transactions --------------------------------------------------------------------------------------------


def test_what_was_committed_is_there_after_reopening(world):
    sales = MadeUpChain(1).entries(3)
    world.append(*sales)
    world.reopen()
    assert everything(world.log) == list(enumerate((sale.record for sale in sales), start=1))


def test_nothing_of_a_transaction_that_raised_is_there(world):
    sale, lost, till = MadeUpChain(1).entry(), MadeUpChain(2).entry(), made_up_update("catalogue", b"tea")
    world.append(sale)
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        log.append(lost)
        log.append(till)
        log.set_state("head", b"new")
        log.rotate_log_id(b"x" * 16)
        raise ZeroDivisionError
    assert everything(world.log) == [(1, sale.record)]
    assert world.log.end == Position(1, next_hash(ZERO_HASH, sale.record))
    assert world.log.runs(lost.entry.chain) == []
    assert (world.log.state("head"), world.log.log_id) == (None, LOG)
    assert [row.name for row in world.log.documents()] == [sale.document]


def test_after_a_rollback_the_store_goes_on(world):
    lost, sale = MadeUpChain(1).entry(), MadeUpChain(1).entry()
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        log.append(lost)
        raise ZeroDivisionError
    assert world.append(sale) == [1]
    assert everything(world.log) == [(1, sale.record)]


def test_a_shop_created_in_a_transaction_that_raised_is_not_there(world):
    with pytest.raises(ZeroDivisionError), world.transaction():
        world.store.create_shop(b"another-shop-123", LOG)
        raise ZeroDivisionError
    assert world.store.shops() == [SHOP]
    with pytest.raises(KeyError):
        world.store.shop(b"another-shop-123")


def test_a_transaction_sees_what_it_wrote(world):
    sale = MadeUpChain(1).entry()
    with world.transaction() as log:
        log.append(sale)
        assert everything(log) == [(1, sale.record)]
        assert log.holds(sale.digest, sale.entry.chain, 1)
        assert [run.hi for run in log.runs()] == [1]
        assert [row.records for row in log.documents()] == [1]


def test_before_the_commit_others_see_nothing(world):
    other = world.another_handle()
    with world.transaction() as log:
        log.append(MadeUpChain(1).entry())
        log.set_state("head", b"new")
        seen = other.shop(SHOP)
        assert (seen.end, seen.state("head"), seen.runs(), seen.documents()) == (START, None, [], [])


def test_writing_outside_a_transaction_is_refused(world):
    with pytest.raises(RuntimeError):
        world.log.append(MadeUpChain(1).entry())
    with pytest.raises(RuntimeError):
        world.store.create_shop(b"x" * 16, LOG)


def test_a_transaction_inside_a_transaction_is_refused(world):
    with world.transaction(), pytest.raises(RuntimeError), world.store.transaction():
        pass


def test_a_second_writer_is_told_that_the_store_is_busy(world):
    other = world.another_handle()
    with world.transaction(), pytest.raises(StoreBusy), other.transaction():
        pass
    with other.transaction():
        other.shop(SHOP).append(MadeUpChain(1).entry())
    assert world.log.end.seq == 1


def test_two_writers_number_their_records_without_gaps(world):
    other = world.another_handle()
    mine, theirs = MadeUpChain(1), MadeUpChain(2)
    for _ in range(3):
        world.append(mine.entry(), mine.entry())
        with other.transaction():
            other.shop(SHOP).append(theirs.entry())
    assert [seq for seq, _ in everything(world.log)] == list(range(1, 10))
    assert world.log.runs() == other.shop(SHOP).runs()
    assert [run.hi for run in world.log.runs()] in ([6, 3], [3, 6])


def test_the_data_version_changes_with_the_commits_of_others_only(world):
    other = world.another_handle()
    before = world.store.data_version()
    with world.store.transaction():
        world.log.append(MadeUpChain(1).entry())
    assert world.store.data_version() == before
    with other.transaction():
        other.shop(SHOP).append(MadeUpChain(2).entry())
    assert world.store.data_version() != before


def test_a_reader_sees_the_commits_of_others_at_once(world):
    other = world.another_handle()
    seen = other.shop(SHOP)
    assert seen.end == START
    sale = MadeUpChain(1).entry()
    world.append(sale)
    assert seen.end == world.log.end
    assert seen.entry(sale.entry.chain, 1) == (sale.record[1:],)


@pytest.mark.parametrize("sales", [0, 1])
def test_a_transaction_reads_the_values_that_others_committed_before_it(world, sales):
    world.append(*MadeUpChain(1).entries(sales))
    other = world.another_handle()
    for value in (b"first", b"second", None):
        with world.transaction() as log:
            log.set_state("head", b"mine")
        with other.transaction():
            other.shop(SHOP).set_state("head", value)
        with world.transaction() as log:
            assert log.state("head") == value
            log.set_state("other", b"mine")
            assert log.state("head") == value


def test_a_value_of_a_transaction_that_raised_is_not_read_in_the_next_one(world):
    with world.transaction() as log:
        log.set_state("head", b"kept")
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        log.set_state("head", b"lost")
        assert log.state("head") == b"lost"
        _ = 1 / 0
    with world.transaction() as log:
        assert log.state("head") == b"kept"
