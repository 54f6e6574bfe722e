"""The log's contract: a damaged record is named, set apart and can come again; the rest works."""

import pytest

from crdtsync.errors import DamagedStore, StorageError
from crdtsync.ids import Origin, Position
from crdtsync.storage.log import Acknowledged, Cursor, DocumentRow, Refusal
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, LOG = b"shop-of-the-tests"[:16], b"our-own-log-id-1"
PEER, NEIGHBOUR = b"the-peer's-logid", b"neighbour's-log."


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


def test_no_cursor_claims_what_was_set_apart(world, sales):
    """A neighbour may have sent it too; that was dropped as held, and is not remembered."""
    with world.transaction() as log:
        log.set_cursor(NEIGHBOUR, Cursor(Position(7, b"i" * 32)))
    mend(world)
    assert (world.log.cursor(PEER), world.log.cursor(NEIGHBOUR)) == (None, None)


def test_a_log_that_lost_a_record_goes_on_under_a_new_id(world, sales):
    other = world.another_handle().shop(SHOP)
    mend(world)
    first = world.log.log_id
    world.damage(4)
    mend(world, 4)
    assert len({LOG, first, world.log.log_id}) == 3
    assert (len(world.log.log_id), other.log_id) == (16, world.log.log_id)


def test_what_peers_have_on_disk_they_still_have(world, sales):
    with world.transaction() as log:
        log.set_acknowledged(NEIGHBOUR, Position(4, log.hash_at(4)), 1234)
    mend(world)
    assert world.log.acknowledged(NEIGHBOUR) == Acknowledged(Position(4, world.log.hash_at(4)), 1234)
    assert [seq for seq, _ in world.log.unacknowledged(NEIGHBOUR)] == [5]


def test_what_came_from_a_log_is_offered_to_it_again(world, sales):
    """With its cursor went the knowledge whether its disk was put back meanwhile."""
    mend(world)
    batch = world.log.read(0, bytes_max=9999, skip_origin=Origin(PEER, 9999))
    assert [seq for seq, _ in batch.records] == [1, 2, 4, 5]
    world.append(MadeUpChain(2).entry(Origin(PEER, 21)))
    batch = world.log.read(0, bytes_max=9999, skip_origin=Origin(PEER, 9999))
    assert [seq for seq, _ in batch.records] == [1, 2, 4, 5]


def test_what_was_refused_is_kept_and_its_number_forgotten(world, sales):
    """Another record may have that number by now; what is refused still will be, when it comes again."""
    bad = MadeUpChain(2).entry()
    with world.transaction() as log:
        log.refuse(PEER, Refusal(21, bad.digest, "bad-signature", "", False), bad.record, 1)
    mend(world)
    assert world.log.refusals_given(PEER) == []
    assert bad.record in [apart.record for apart in world.log.apart()]


def test_finding_everything_whole_changes_nothing(world, sales):
    cursor = world.log.cursor(PEER)
    assert not mend(world, 2)
    assert (world.log.log_id, world.log.cursor(PEER)) == (LOG, cursor)


def test_a_mending_that_is_undone_leaves_the_log_its_id(world, sales):
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        assert log.set_damaged_apart(3, 99)
        raise ZeroDivisionError
    assert (world.log.log_id, world.log.cursor(PEER).position.seq) == (LOG, 20)


@pytest.mark.parametrize("packed", [0, 2])
def test_with_a_state_that_was_lost_go_the_updates_that_it_replaced(world, packed):
    """They may have been in that state alone: a peer that has them still must be able to give them back."""
    updates = [made_up_update("x/a", b"%d" % number) for number in range(2)]
    elsewhere = [made_up_update("x/b", b"%d" % number) for number in range(2)]
    world.append(*updates, *elsewhere)
    with world.transaction() as log:
        log.compact(made_up_update("x/a", b"both", state=True), [1, 2])
        log.compact(made_up_update("x/b", b"both", state=True), [3, 4])
        if packed:
            log.pack(packed, 6)
    world.damage(5)
    assert mend(world, 5)
    assert world.append(*updates, *elsewhere) == [7, 8, None, None]
    assert [seq for seq, _ in world.log.document_records("x/a")] == [7, 8]


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


# -- beginning anew, as after a restore ----------------------------------------------------------------------


def test_a_log_that_begins_anew_has_met_nobody(world):
    """Put back from a backup: everybody gives it what it lacks, and is given what it has."""
    chain = MadeUpChain(1)
    world.append(*(chain.entry(Origin(PEER, 10 + number)) for number in range(5)))
    bad = MadeUpChain(2).entry()
    with world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(20, b"h" * 32)))
        log.refuse(PEER, Refusal(21, bad.digest, "bad-signature", "", False), bad.record, 1)
        log.set_acknowledged(PEER, log.end, 7)
    end, runs = world.log.end, world.log.runs()
    with world.transaction() as log:
        log.begin_anew(b"the log put back")
    assert (world.log.log_id, world.log.end, world.log.runs()) == (b"the log put back", end, runs)
    assert (world.log.cursor(PEER), world.log.acknowledged(PEER)) == (None, None)
    assert world.log.refusals_given(PEER) == []
    assert bad.record in [apart.record for apart in world.log.apart()]
    batch = world.log.read(0, bytes_max=9999, skip_origin=Origin(PEER, 9999))
    assert [seq for seq, _ in batch.records] == [1, 2, 3, 4, 5]


def test_a_beginning_that_is_undone_leaves_the_log_its_id_and_its_cursors(world, sales):
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        log.begin_anew(b"the log put back")
        raise ZeroDivisionError
    assert (world.log.log_id, world.log.cursor(PEER).position.seq) == (LOG, 20)


def test_a_log_begins_anew_inside_a_transaction_only(world, sales):
    with pytest.raises((RuntimeError, StorageError)):
        world.log.begin_anew(b"the log put back")
    assert world.log.log_id == LOG
