"""The log's contract: a damaged record is named, set apart and fetched again; the rest works."""

import pytest

from crdtsync.errors import DamagedStore
from crdtsync.ids import Origin, Position
from crdtsync.storage.log import Cursor, DocumentRow
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP = b"shop-of-the-tests"[:16]
PEER = b"the-peer's-logid"


@pytest.fixture
def sales(world):
    """Five sales from a peer, of which the third is damaged."""
    sales = [MadeUpChain(1)]
    sales = [sales[0].entry(Origin(PEER, 10 + number)) for number in range(5)]
    world.append(*sales)
    with world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(20, b"h" * 32), ((1, 2),)))
    world.damage(3)
    return sales


def mend(world, seq=3):
    with world.transaction() as log:
        return log.set_damaged_apart(seq, at_ms=99)


def test_reading_a_damaged_record_says_where_it_is(world, sales):
    readings = [
        lambda log: log.read(0, bytes_max=9999),
        lambda log: list(log.document_records(sales[0].document)),
        lambda log: list(log.chain_entries(sales[0].entry.chain, 1, 9)),
        lambda log: log.entry(sales[0].entry.chain, 3),
        lambda log: list(log.unacknowledged(None)),
    ]
    for reading in readings:
        with pytest.raises(DamagedStore) as damage:
            reading(world.log)
        where = (damage.value.shop, damage.value.seq, damage.value.last_seq, damage.value.document)
        assert where == (SHOP, 3, 3, sales[2].document)


def test_a_damaged_record_can_be_passed_over(world, sales):
    world.append(MadeUpChain(2).entry())
    assert [seq for seq, _ in world.log.read(3, bytes_max=9999).records] == [4, 5, 6]


def test_what_was_set_apart_is_held_no_more(world, sales):
    end, chain = world.log.hash_at(5), sales[0].entry.chain
    assert mend(world)
    log = world.log
    assert [seq for seq, _ in log.read(0, bytes_max=9999).records] == [1, 2, 4, 5]
    assert log.hash_at(5) == end
    assert [(run.lo, run.hi) for run in log.runs(chain)] == [(1, 2), (4, 5)]
    assert not log.holds(sales[2].digest, chain, 3)
    assert (log.entry(chain, 3), log.links_at(chain, 3)) == ((), [])
    whole = [sale for number, sale in enumerate(sales) if number != 2]
    size = sum(len(sale.record) for sale in whole)
    assert log.documents() == [DocumentRow(sales[0].document, 4, size, 5)]


def test_damaged_bytes_are_kept(world, sales):
    mend(world)
    [apart] = world.log.apart()
    assert apart.record[1:] == sales[2].record[1:]
    assert (apart.origin, apart.code, apart.held, apart.at_ms) == (Origin(PEER, 12), "damaged", False, 99)


def test_the_sender_is_asked_for_it_again(world, sales):
    mend(world)
    assert world.log.cursor(PEER).wanted == ((1, 2), (12, 12))


def test_what_comes_again_is_held_again(world, sales):
    mend(world)
    assert world.append(sales[2]) == [6]
    assert [(run.lo, run.hi) for run in world.log.runs()] == [(1, 5)]
    assert [record for _, record in world.log.chain_entries(sales[0].entry.chain, 1, 9)] == [
        sale.record[1:] for sale in sales
    ]


def test_a_damaged_update_comes_again_too(world):
    tea = made_up_update("catalogue", b"tea")
    world.append(tea)
    world.damage(1)
    assert mend(world, 1)
    assert not world.log.holds(tea.digest)
    assert world.append(tea) == [2]


def test_selling_goes_on_after_the_newest_record_was_damaged(world, sales):
    world.damage(5)
    assert mend(world, 5)
    assert mend(world, 3)
    till = MadeUpChain(3)
    assert world.append(till.entry(), sales[4], sales[2]) == [6, 7, 8]
    assert [(run.lo, run.hi) for run in world.log.runs(sales[0].entry.chain)] == [(1, 5)]


def test_a_record_that_is_whole_stays_where_it_is(world, sales):
    assert not mend(world, 2)
    mend(world)
    assert not mend(world)
    assert world.log.holds(sales[1].digest, sales[1].entry.chain, 2)


def test_there_is_nothing_to_set_apart_beyond_the_end(world):
    with pytest.raises(ValueError):
        mend(world, 1)


def test_a_mended_log_can_be_packed(world, sales):
    mend(world)
    with world.transaction() as log:
        assert log.pack(5, 5)
    assert [seq for seq, _ in world.log.read(0, bytes_max=9999).records] == [1, 2, 4, 5]
    assert world.append(sales[2]) == [6]
    assert [(run.lo, run.hi) for run in world.log.runs()] == [(1, 5)]
