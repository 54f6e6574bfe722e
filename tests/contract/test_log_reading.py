"""The log's contract: reading in batches, by document, by chain; what is left out."""

import pytest

from crdtsync.ids import Origin, Position
from crdtsync.storage.log import Batch
from crdtsync.testing.records import MadeUpChain, made_up_update

PEER = b"the-peer's-logid"


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
    assert [seq for seq, _ in world.log.read(0, bytes_max=99_999, covered=covered).records] == [4, 6, 7, 8, 9]


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


def test_the_last_document_before_a_name_is_found(world):
    names = ["catalogue", "x/a", "x/a/1", "x/b", "x/é"]
    world.append(*(made_up_update(name, name.encode()) for name in names))
    for _ in range(2):
        log = world.log
        assert [log.document_before(name) for name in names] == [None, *names[:-1]]
        assert (log.document_before(""), log.document_before("x/a/")) == (None, "x/a")
        assert log.document_before("y") == "x/é"
        world.reopen()
    with world.transaction() as log:
        log.append(made_up_update("x/c", b"new"))
        assert log.document_before("x/d") == "x/c"
    assert world.log.document_before("x/d") == "x/c"
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        log.append(made_up_update("x/d", b"lost"))
        assert log.document_before("x/e") == "x/d"
        raise ZeroDivisionError
    assert world.log.document_before("x/e") == "x/c"
