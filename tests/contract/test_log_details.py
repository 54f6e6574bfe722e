"""The log's contract where one record, one byte or one transaction more or less matters."""

from dataclasses import replace

import pytest

from crdtsync.errors import StorageError
from crdtsync.ids import Origin, Position
from crdtsync.storage.log import Acknowledged, Cursor, PreparedPack, Refusal
from crdtsync.storage.pack import PACK_BYTES_MAX, ROWS_MAX
from crdtsync.testing.records import MadeUpChain, made_up_update

PEER, NEIGHBOUR = b"the-peer's-logid", b"neighbour's-log."


def note(document, size, letter=b"x"):
    """An update whose record has that many bytes."""
    rest = len(made_up_update(document, b"").record)
    return made_up_update(document, letter * (size - rest))


# -- appending and reading -----------------------------------------------------------------------------------


def test_an_update_twice_in_one_transaction_is_one_record(world):
    tea = made_up_update("catalogue", b"tea")
    assert world.append(tea, tea) == [1, None]


def test_a_document_that_nobody_wrote_has_no_records(world):
    assert list(world.log.document_records("x/none")) == []
    assert list(world.log.document_seqs("x/none")) == []
    world.append(made_up_update("x/a", b"one"))
    assert list(world.log.document_records("x/none")) == []
    assert list(world.log.document_seqs("x/none")) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda log: log.pack(1, 0),
        lambda log: log.set_damaged_apart(1, at_ms=1),
        lambda log: log.compact(made_up_update("x/a", b"state", state=True), []),
    ],
    ids=["packing", "mending", "compacting"],
)
def test_nothing_is_done_to_the_rows_outside_a_transaction(world, write):
    world.append(made_up_update("x/a", b"one"))
    with pytest.raises((RuntimeError, StorageError)):
        write(world.log)


def test_where_a_record_came_from_is_told_packed_or_not(world):
    ours, theirs = made_up_update("x/a", b"ours"), made_up_update("x/a", b"theirs")
    entry = MadeUpChain(1).entries(1)[0]
    world.append(
        ours,
        replace(theirs, origin=Origin(PEER, 7)),
        replace(entry, origin=Origin(NEIGHBOUR, 1)),
        made_up_update("x/a", b"last"),
    )
    told = [None, Origin(PEER, 7), Origin(NEIGHBOUR, 1), None]
    assert [world.log.origin_of(seq) for seq in (1, 2, 3, 4)] == told
    with world.transaction() as log:
        assert log.pack(3, 4)
    assert [world.log.origin_of(seq) for seq in (1, 2, 3, 4)] == told


# -- packs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows_max", [0, ROWS_MAX + 1])
def test_a_pack_has_a_bounded_number_of_rows(world, rows_max):
    with pytest.raises(ValueError, match="rows"), world.transaction() as log:
        log.pack(rows_max, 99)


def test_a_pack_may_have_as_many_rows_as_it_may_have(world):
    world.append(made_up_update("x/a", b"one"))
    with world.transaction() as log:
        assert not log.pack(ROWS_MAX, 99)


def pack(world, rows_max=9):
    """The last row of the first pack, None where there is not enough for one."""
    with world.transaction() as log:
        log.pack(rows_max, 99)
    found = world.log.pack_at(1)
    return found and found.to.seq


def test_rows_that_fill_a_pack_to_the_byte_wait_for_another_one(world):
    half = PACK_BYTES_MAX // 2
    world.append(note("x/a", half), note("x/a", half, b"y"))
    assert pack(world) is None
    world.append(made_up_update("x/b", b"z"))
    assert pack(world) == 2


def test_a_row_that_was_replaced_takes_no_room_in_a_pack(world):
    world.append(made_up_update("x/a", b"one"))
    state = made_up_update("x/a", b"state", state=True)
    with world.transaction() as log:
        log.compact(state, [1])
    world.append(note("x/b", PACK_BYTES_MAX - len(state.record)))
    assert pack(world) is None


def test_a_row_that_is_larger_than_a_pack_has_one_of_its_own(world):
    world.append(note("x/a", PACK_BYTES_MAX + 1), made_up_update("x/b", b"z"))
    assert pack(world) == 1


def test_a_pack_that_another_store_prepared_is_not_stored(world):
    world.append(made_up_update("x/a", b"one"))
    with pytest.raises((TypeError, AttributeError)), world.transaction() as log:
        log.store_pack(PreparedPack(1, 1, b"pack"))
    assert world.log.pack_at(1) is None


def test_a_state_does_not_replace_the_entries_of_its_document(world):
    sale = MadeUpChain(1).entry()
    world.append(sale)
    with pytest.raises(ValueError, match="updates of its own document"), world.transaction() as log:
        log.compact(made_up_update(sale.document, b"state", state=True), [1])


def test_a_state_that_was_appended_in_the_same_transaction_can_replace(world):
    state = made_up_update("x/a", b"state", state=True)
    world.append(made_up_update("x/a", b"one"))
    with world.transaction() as log:
        log.append(state)
        assert log.compact(state, [1]) == 2


# -- mending -------------------------------------------------------------------------------------------------


def mend(log, *seqs):
    return [log.set_damaged_apart(seq, at_ms=99) for seq in seqs]


def test_what_was_made_here_is_set_apart_as_nobody_else_s(world):
    world.append(MadeUpChain(1).entry())
    world.damage(1)
    with world.transaction() as log:
        assert mend(log, 1) == [True]
    assert [apart.origin for apart in world.log.apart()] == [None]


def test_the_other_updates_of_a_document_are_held_after_one_was_damaged(world):
    one, two = made_up_update("x/a", b"one"), made_up_update("x/a", b"two")
    world.append(one, two)
    world.damage(1)
    with world.transaction() as log:
        mend(log, 1)
    assert world.append(two, one) == [None, 3]


def test_an_update_that_came_again_is_held_though_another_is_lost_then(world):
    one, two = made_up_update("x/a", b"one"), made_up_update("x/a", b"two")
    world.append(one, two)
    world.damage(1)
    world.damage(2)
    with world.transaction() as log:
        mend(log, 1)
        assert log.append(one) == 3
        mend(log, 2)
        assert log.append(one) is None
    assert world.append(one) == [None]


def test_what_was_learnt_of_peers_in_the_same_transaction_is_forgotten_too(world):
    world.append(MadeUpChain(1).entry())
    world.damage(1)
    bad = MadeUpChain(2).entry()
    with world.transaction() as log:
        log.append(MadeUpChain(3).entry(Origin(NEIGHBOUR, 1)))
        log.set_cursor(PEER, Cursor(Position(7, b"h" * 32)))
        log.refuse(PEER, Refusal(21, bad.digest, "bad-signature", "", False), bad.record, 1)
        log.set_acknowledged(PEER, Position(1, log.hash_at(1)), 5)
        mend(log, 1)
    log = world.log
    assert (log.cursor(PEER), log.refusals_given(PEER)) == (None, [])
    assert log.acknowledged(PEER) == Acknowledged(Position(1, log.hash_at(1)), 5)
    assert [seq for seq, _ in log.read(0, bytes_max=9999, skip_origin=Origin(NEIGHBOUR, 9)).records] == [2]


def test_an_acknowledgement_of_an_earlier_log_does_not_count_again(world):
    world.append(MadeUpChain(1).entry(), MadeUpChain(2).entry())
    with world.transaction() as log:
        log.set_acknowledged(PEER, Position(2, log.hash_at(2)), 5)
    with world.transaction() as log:
        log.rotate_log_id(b"another log's id")
    world.damage(1)
    with world.transaction() as log:
        mend(log, 1)
    assert world.log.acknowledged(PEER) is None


def test_the_run_of_one_entry_ends_when_it_is_damaged(world):
    till = MadeUpChain(1)
    world.append(*till.entries(3))
    world.damage(3)
    with world.transaction() as log:
        mend(log, 3)
    assert [(run.lo, run.hi) for run in world.log.runs()] == [(1, 2)]


def test_what_was_refused_to_a_log_that_nothing_else_is_known_of_is_forgotten_too(world):
    world.append(MadeUpChain(1).entry())
    world.damage(1)
    bad = MadeUpChain(2).entry()
    with world.transaction() as log:
        log.refuse(PEER, Refusal(21, bad.digest, "bad-signature", "", False), bad.record, 1)
        mend(log, 1)
    assert world.log.refusals_given(PEER) == []


def test_what_a_log_lets_go_of_is_read_again(world):
    chain = MadeUpChain(1)
    world.append(*chain.entries(3))
    log = world.log
    known = log.end, log.log_id, log.runs(), [row.name for row in log.documents()]
    log.let_go()
    assert (log.end, log.log_id, log.runs(), [row.name for row in log.documents()]) == known
    log.let_go()
    world.append(*chain.entries(2))
    assert (world.log.end.seq, [run.hi for run in world.log.runs()]) == (5, [5])


def test_nothing_is_let_go_of_what_a_transaction_has_written(world):
    with world.transaction() as log:
        log.append(MadeUpChain(1).entry())
        log.let_go()
        assert log.end.seq == 1
        log.set_state("told", b"once")
        log.let_go()
        assert log.state("told") == b"once"
    assert (world.log.end.seq, world.log.state("told")) == (1, b"once")
