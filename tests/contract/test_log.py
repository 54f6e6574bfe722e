"""The log's contract: appending, transactions, reading, what is held of the chains."""

import pytest

from crdtsync.errors import StoreBusy
from crdtsync.ids import START, ZERO_HASH, Origin, Position, next_hash
from crdtsync.storage.log import Batch, DocumentRow, Run
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, LOG = b"shop-of-the-tests"[:16], b"our-own-log-id-1"
PEER = b"the-peer's-logid"


def everything(log, **conditions):
    """All of a log, batch by batch."""
    records, after = [], 0
    while True:
        batch = log.read(after, bytes_max=2000, **conditions)
        records += batch.records
        if batch.to.seq == after:
            return records
        after = batch.to.seq


# -- shops -------------------------------------------------------------------------------------------------


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


# -- appending ---------------------------------------------------------------------------------------------


def test_records_are_numbered_from_one_with_a_running_hash(world):
    sales = MadeUpChain(1).entries(4)
    assert world.append(*sales) == [1, 2, 3, 4]
    h, expected = ZERO_HASH, [ZERO_HASH]
    for sale in sales:
        h = next_hash(h, sale.record)
        expected.append(h)
    assert [world.log.hash_at(seq) for seq in range(5)] == expected
    assert world.log.end == Position(4, h)


def test_there_is_no_hash_beyond_the_end(world):
    world.append(MadeUpChain(1).entry())
    assert (world.log.hash_at(2), world.log.hash_at(-1)) == (None, None)


def test_a_record_that_is_held_is_not_appended_again(world):
    sales, bread = MadeUpChain(1).entries(2), made_up_update("catalogue", b"bread")
    assert world.append(*sales, bread) == [1, 2, 3]
    end = world.log.end
    assert world.append(sales[0], bread, sales[1]) == [None, None, None]
    assert world.log.end == end


def test_the_same_update_of_another_document_is_another_record(world):
    assert world.append(made_up_update("x/a", b"same"), made_up_update("x/b", b"same")) == [1, 2]


def test_the_log_knows_what_it_holds(world):
    sales, bread = MadeUpChain(1).entries(2), made_up_update("catalogue", b"bread")
    world.append(sales[0], bread)
    log, chain = world.log, sales[0].entry.chain
    assert log.holds(sales[0].digest, chain, 1)
    assert log.holds(bread.digest)
    assert not log.holds(sales[1].digest, chain, 2)
    assert not log.holds(sales[1].digest, chain, 1)
    assert not log.holds(b"?" * 32)
    assert not log.holds(b"?" * 32, b"!" * 32, 1)


def test_documents_have_totals(world):
    sales = MadeUpChain(1).entries(2)
    bread, tea = made_up_update("catalogue", b"bread"), made_up_update("catalogue", b"tea")
    world.append(sales[0], bread, sales[1])
    world.append(tea)
    assert world.log.documents() == [
        DocumentRow("catalogue", 2, len(bread.record) + len(tea.record), 4),
        DocumentRow(sales[0].document, 2, len(sales[0].record) + len(sales[1].record), 3),
    ]


def test_one_document_can_be_asked_for(world):
    tea = made_up_update("catalogue", b"tea")
    world.append(MadeUpChain(1).entry(), tea)
    assert world.log.document("catalogue") == DocumentRow("catalogue", 1, len(tea.record), 2)
    assert world.log.document("x/nothing") is None


# -- reading -----------------------------------------------------------------------------------------------


def test_a_batch_says_from_where_to_where_it_goes(world):
    sales = MadeUpChain(1).entries(3)
    world.append(*sales)
    log = world.log
    two = len(sales[1].record) + len(sales[2].record)
    assert log.read(1, bytes_max=two) == Batch(
        Position(1, log.hash_at(1)), log.end, ((2, sales[1].record), (3, sales[2].record)), two
    )


def test_a_batch_holds_no_more_bytes_than_asked_for(world):
    sales = MadeUpChain(1).entries(3)
    world.append(*sales)
    batch = world.log.read(0, bytes_max=len(sales[0].record) + len(sales[1].record) - 1)
    assert (batch.records, batch.to.seq) == (((1, sales[0].record),), 1)


def test_a_batch_holds_one_record_however_large(world):
    world.append(*MadeUpChain(1).entries(2))
    assert world.log.read(0, bytes_max=1).to.seq == 1


def test_at_the_end_there_is_nothing_to_read(world):
    world.append(MadeUpChain(1).entry())
    end = world.log.end
    assert world.log.read(1, bytes_max=1000) == Batch(end, end, (), 0)


def test_beyond_the_end_nothing_can_be_read(world):
    with pytest.raises(ValueError, match="the log ends at 0"):
        world.log.read(1, bytes_max=1000)


def test_records_that_came_from_a_log_are_skipped_for_it(world):
    till = MadeUpChain(1)
    mine, theirs = till.entry(), till.entry(Origin(PEER, 7))
    others = till.entry(Origin(b"somebody-else-id", 7))
    world.append(theirs, mine, others, made_up_update("catalogue", b"tea", origin=Origin(PEER, 8)))
    batch = world.log.read(0, bytes_max=10_000, skip_origin=Origin(PEER, 9999))
    assert batch.records == ((2, mine.record), (3, others.record))
    assert batch.to == world.log.end


def test_nothing_is_skipped_for_a_log_that_sent_nothing(world):
    sale = MadeUpChain(1).entry()
    world.append(sale)
    assert world.log.read(0, bytes_max=1, skip_origin=Origin(PEER, 9999)).records == ((1, sale.record),)


def test_rows_from_further_than_the_skipped_log_was_shown_are_not_skipped(world):
    """They came from another disk with the same log id: whoever asks does not hold them."""
    chain = MadeUpChain(1)
    world.append(chain.entry(Origin(PEER, 5)), chain.entry(Origin(PEER, 6)))
    batch = world.log.read(0, bytes_max=10_000, skip_origin=Origin(PEER, 5))
    assert [seq for seq, _ in batch.records] == [2]


def test_covered_entries_are_skipped(world):
    first, second = MadeUpChain(1), MadeUpChain(2)
    a, b = first.entries(6), second.entries(2)
    world.append(*a, *b, made_up_update("catalogue", b"tea"))
    covered = {first.chain: [(5, 5), (1, 2), (2, 3)], b"unknown" + bytes(25): [(1, 9)]}
    assert [seq for seq, _ in everything(world.log, covered=covered)] == [4, 6, 7, 8, 9]


def test_skipped_rows_do_not_count_against_the_bytes(world):
    till = MadeUpChain(1)
    sales = [till.entry(), till.entry(Origin(PEER, 1)), till.entry()]
    world.append(*sales)
    batch = world.log.read(0, bytes_max=len(sales[0].record), skip_origin=Origin(PEER, 9999))
    assert (batch.records, batch.to.seq) == (((1, sales[0].record),), 2)


def test_one_read_looks_at_4096_rows_at_most(world):
    with world.transaction() as log:
        for number in range(4100):
            log.append(made_up_update("x/a", b"%d" % number, origin=Origin(PEER, number)))
    batch = world.log.read(2, bytes_max=10**9, skip_origin=Origin(PEER, 9999))
    assert (batch.records, batch.to.seq) == ((), 4098)
    assert len(world.log.read(0, bytes_max=10**9).records) == 4096


def test_the_records_of_a_document_come_in_order(world):
    till = MadeUpChain(1)
    sales = [till.entry(), till.entry()]
    tea, bread = made_up_update("catalogue", b"tea"), made_up_update("catalogue", b"bread")
    world.append(tea, sales[0], bread, sales[1])
    assert list(world.log.document_records("catalogue")) == [(1, tea.record), (3, bread.record)]
    assert list(world.log.document_records(sales[0].document)) == [(2, sales[0].record), (4, sales[1].record)]
    assert list(world.log.document_records("x/unknown")) == []


def test_the_entries_of_a_chain_come_by_number(world):
    till = MadeUpChain(1)
    sales = till.entries(5)
    world.append(sales[0], sales[3], sales[2], MadeUpChain(2).entry(), sales[1])
    expected = [(5, sales[1].record[1:]), (3, sales[2].record[1:]), (2, sales[3].record[1:])]
    assert list(world.log.chain_entries(till.chain, 2, 9)) == expected
    assert list(world.log.chain_entries(b"?" * 32, 1, 9)) == []


def test_all_entries_under_one_number_are_found(world):
    till = MadeUpChain(1)
    first = till.entry()
    second = till.after(first.digest)
    fork = till.after(first.digest, n=2)
    world.append(first, second, fork)
    assert world.log.entry(till.chain, 2) == (second.record[1:], fork.record[1:])
    assert world.log.links_at(till.chain, 2) == [second.digest, fork.digest]
    assert world.log.links_at(till.chain, 3) == []


def test_a_long_iteration_does_not_see_what_is_appended_meanwhile(world):
    world.append(*(made_up_update("x/a", b"%d" % number) for number in range(600)))
    records = world.log.document_records("x/a")
    assert next(records)[0] == 1
    with world.store.transaction():
        world.log.append(made_up_update("x/a", b"late"))
    assert [seq for seq, _ in records] == list(range(2, 601))


# -- runs --------------------------------------------------------------------------------------------------


def spans(world, chain):
    return [(run.lo, run.hi) for run in world.log.runs(chain)]


def test_a_chain_without_holes_is_one_run(world):
    sales = MadeUpChain(1).entries(3)
    world.append(*sales)
    assert world.log.runs() == [Run(sales[0].digest, 1, sales[0].entry.prev, 3, sales[2].digest)]


def test_after_a_gap_a_new_run_begins(world):
    till = MadeUpChain(1)
    sales = till.entries(5)
    world.append(sales[0], sales[1], sales[3])
    assert world.log.runs(till.chain) == [
        Run(till.chain, 1, sales[0].entry.prev, 2, sales[1].digest),
        Run(till.chain, 4, sales[2].digest, 4, sales[3].digest),
    ]


def test_runs_join_when_the_gap_is_filled(world):
    till = MadeUpChain(1)
    sales = till.entries(5)
    world.append(sales[4], sales[0], sales[1], sales[3])
    world.append(sales[2])
    assert world.log.runs(till.chain) == [Run(till.chain, 1, sales[0].entry.prev, 5, sales[4].digest)]


def test_at_a_fork_the_run_ends_and_each_branch_has_its_own(world):
    till = MadeUpChain(1)
    sales = till.entries(4)
    fork = till.after(sales[1].digest, n=3)
    world.append(*sales, fork)
    shared = Run(till.chain, 1, sales[0].entry.prev, 2, sales[1].digest)
    branches = [
        Run(till.chain, 3, sales[1].digest, 4, sales[3].digest),
        Run(till.chain, 3, sales[1].digest, 3, fork.digest),
    ]
    assert world.log.runs(till.chain) == [shared, *sorted(branches, key=lambda run: run.hi_link)]


def test_a_third_branch_has_a_run_of_its_own_too(world):
    till = MadeUpChain(1)
    sales = till.entries(2)
    forks = [till.after(sales[0].digest, n=2) for _ in range(2)]
    for item in (*sales, *forks):
        world.append(item)
    assert spans(world, till.chain) == [(1, 1), (2, 2), (2, 2), (2, 2)]


def test_an_entry_that_names_another_predecessor_does_not_join(world):
    till = MadeUpChain(1)
    sales = till.entries(2)
    stranger = till.after(b"?" * 32)
    world.append(*sales, stranger)
    assert spans(world, till.chain) == [(1, 2), (3, 3)]


def test_runs_go_on_after_many_small_transactions(world):
    till = MadeUpChain(1)
    for _ in range(150):
        world.append(till.entry())
    assert spans(world, till.chain) == [(1, 150)]
    assert world.log.documents()[0].records == 150


# -- requests, state, log ids ----------------------------------------------------------------------------


def test_a_value_is_kept_beside_the_log_until_it_is_removed(world):
    with world.transaction() as log:
        log.set_state("relay", b"one")
    assert world.log.state("relay") == b"one"
    with world.transaction() as log:
        log.set_state("relay", b"")
    assert world.log.state("relay") == b""
    with world.transaction() as log:
        log.set_state("relay", None)
    assert world.log.state("relay") is None


def test_a_request_keeps_the_entry_that_was_made_for_it(world):
    with world.transaction() as log:
        log.set_request("sale-1", b"a" * 32, 5)
    with world.transaction() as log:
        log.set_request("sale-1", b"b" * 32, 6)
    assert world.log.request("sale-1") == (b"a" * 32, 5)
    assert world.log.request("sale-2") is None


def test_a_new_log_id_is_seen_by_others_at_once(world):
    other = world.another_handle().shop(SHOP)
    assert other.log_id == LOG
    with world.transaction() as log:
        log.rotate_log_id(b"our-own-log-id-2")
    assert other.log_id == b"our-own-log-id-2"


def test_a_log_goes_on_under_a_new_id(world):
    sales = MadeUpChain(1).entries(2)
    world.append(sales[0])
    with world.transaction() as log:
        log.rotate_log_id(b"our-own-log-id-2")
    world.append(sales[1])
    assert (world.log.log_id, world.log.end.seq) == (b"our-own-log-id-2", 2)
