"""The log's contract: packs and compaction change where bytes lie, and nothing that is read."""

import pytest

from crdtsync.errors import MalformedRecord
from crdtsync.ids import Origin, Position
from crdtsync.storage.log import LOOSE_BEFORE_PACK_MAX, DocumentRow
from crdtsync.storage.pack import decode_pack, encode_pack, pack_interval
from crdtsync.testing.records import MadeUpChain, made_up_update

PEER = b"the-peer's-logid"


def shop_day(world):
    """Twelve rows of two tills and two documents, with a fork and a hole, some of them from a peer."""
    first, second = MadeUpChain(1), MadeUpChain(2)
    a = first.entries(4)
    fork = first.after(a[1].digest, n=3)
    b = [second.entry(Origin(PEER, seq)) for seq in range(1, 6)]
    updates = [made_up_update("catalogue", b"tea"), made_up_update("x/a", b"note", origin=Origin(PEER, 9))]
    items = [a[0], b[0], a[1], updates[0], b[1], a[2], fork, b[3], updates[1], a[3], b[4], *first.entries(1)]
    world.append(*items)
    return items


def all_that_is_read(log, items):
    chains = sorted({item.entry.chain for item in items if item.entry})
    covered = {chain: [(1, 2)] for chain in chains}
    return {
        "hashes": [log.hash_at(seq) for seq in range(log.end.seq + 2)],
        "read": [log.read(after, bytes_max=2500) for after in range(log.end.seq + 1)],
        "skipping": [
            log.read(after, bytes_max=2500, skip_origin=Origin(PEER, 9999))
            for after in range(log.end.seq + 1)
        ],
        "covered": [log.read(after, bytes_max=2500, covered=covered) for after in range(log.end.seq + 1)],
        "entries": [log.entry(chain, n) for chain in chains for n in range(8)],
        "links": [log.links_at(chain, n) for chain in chains for n in range(8)],
        "chains": [list(log.chain_entries(chain, 2, 5)) for chain in chains],
        "documents": log.documents(),
        "records": [list(log.document_records(row.name)) for row in log.documents()],
        "seqs": [list(log.document_seqs(row.name)) for row in log.documents()],
        "runs": log.runs(),
        "pending": [list(log.unacknowledged(peer)) for peer in (None, PEER, b"nobody's-log-id.")],
        "holds": [
            log.holds(item.digest, *((item.entry.chain, item.entry.n) if item.entry else ()))
            for item in items
        ],
        "end": log.end,
    }


@pytest.mark.parametrize("packs", [[12], [1, 1, 1], [3, 4], [5, 7], [11]])
def test_after_packing_everything_reads_the_same(world, packs):
    items = shop_day(world)
    before = all_that_is_read(world.log, items)
    for rows in packs:
        with world.transaction() as log:
            assert log.pack(rows, log.end.seq)
    assert all_that_is_read(world.log, items) == before


def test_only_what_lies_beyond_the_acknowledgement_is_pending_of_a_pack(world):
    shop_day(world)
    with world.transaction() as log:
        log.pack(12, 12)
        log.set_acknowledged(PEER, Position(5, log.hash_at(5)), 1)
    assert [seq for seq, _ in world.log.unacknowledged(PEER)] == [6, 7, 10, 12]


def test_a_pack_holds_the_oldest_rows(world):
    items = shop_day(world)
    for rows in (5, 3):
        with world.transaction() as log:
            assert log.pack(rows, 12)
    log = world.log
    pack = log.pack_at(7)
    assert (pack.start, pack.to) == (Position(5, log.hash_at(5)), Position(8, log.hash_at(8)))
    assert pack.rows == 3
    assert decode_pack(pack.blob, bytes_max=10_000) == [(seq, items[seq - 1].record) for seq in (6, 7, 8)]
    assert (log.pack_at(5).to.seq, log.pack_at(8), log.pack_at(9)) == (5, pack, None)
    assert (log.pack_at(0), log.pack_at(99)) == (None, None)


def test_nothing_is_packed_where_a_pack_would_not_be_full(world):
    shop_day(world)
    with world.transaction() as log:
        assert not log.pack(13, 99)
        assert not log.pack(5, 4)
        assert log.pack(5, 5)
        assert not log.pack(8, 99)


def test_a_pack_is_full_when_its_bytes_are_many(world):
    big = [made_up_update("x/a", bytes([number]) * 1_500_000) for number in range(4)]
    world.append(*big)
    with world.transaction() as log:
        assert log.pack(4000, 99)
        assert not log.pack(4000, 99)
    assert world.log.pack_at(1).to.seq == 2
    assert [seq for seq, _ in world.log.document_records("x/a")] == [1, 2, 3, 4]
    assert list(world.log.document_seqs("x/a")) == [1, 2, 3, 4]


def test_a_packed_record_is_not_appended_again(world):
    items = shop_day(world)
    with world.transaction() as log:
        log.pack(12, 12)
    assert world.append(*items) == [None] * 12


def test_runs_go_on_over_packed_entries(world):
    till = MadeUpChain(1)
    sales = till.entries(5)
    world.append(*sales[:3])
    with world.transaction() as log:
        log.pack(3, 3)
    world.append(*sales[3:], till.after(sales[1].digest, n=3))
    assert [(run.lo, run.hi) for run in world.log.runs()] == [(1, 2), (3, 3), (3, 5)] or [
        (run.lo, run.hi) for run in world.log.runs()
    ] == [(1, 2), (3, 5), (3, 3)]


def test_a_pack_that_was_prepared_can_be_stored_later(world):
    items = shop_day(world)
    before = all_that_is_read(world.log, items)
    prepared = world.log.prepare_pack(6, 12)
    assert world.log.pack_at(1) is None
    with world.transaction() as log:
        assert log.store_pack(prepared)
        assert not log.store_pack(prepared)
    assert (prepared.first, prepared.last) == pack_interval(world.log.pack_at(1).blob) == (1, 6)
    assert all_that_is_read(world.log, items) == before


def test_a_prepared_pack_whose_rows_changed_is_not_stored(world):
    world.append(made_up_update("x/a", b"one"), made_up_update("x/a", b"two"))
    prepared = world.log.prepare_pack(2, 2)
    with world.transaction() as log:
        log.compact(made_up_update("x/a", b"both", state=True), [1])
        assert not log.store_pack(prepared)
    assert [seq for seq, _ in world.log.document_records("x/a")] == [2, 3]
    assert list(world.log.document_seqs("x/a")) == [2, 3]


def received(items, first=40):
    """These items as a peer's pack, under its numbers."""
    return encode_pack([(seq, item.record) for seq, item in enumerate(items, start=first)])


def test_a_pack_that_is_appended_reads_as_its_rows_would(world):
    till, other = MadeUpChain(1), MadeUpChain(2)
    sales = till.entries(9)
    before = [*sales[5:7], made_up_update("catalogue", b"tea"), other.entry()]
    pack = [*sales[2:5], made_up_update("x/a", b"note", origin=Origin(PEER, 43)), other.entry(), sales[7]]
    world.append(*before)
    with world.transaction() as log:
        positions = log.append_pack(received(pack), pack)
    assert [position.seq for position in positions] == [5, 6, 7, 8, 9, 10]
    assert [position.h for position in positions] == [world.log.hash_at(seq) for seq in range(5, 11)]
    world.append(sales[1], sales[8])
    found = all_that_is_read(world.log, before + pack + [sales[1], sales[8]])
    assert [(run.lo, run.hi) for run in world.log.runs(sales[0].entry.chain)] == [(2, 9)]
    assert found["holds"] == [True] * 12
    assert [seq for seq, _ in world.log.unacknowledged(PEER)] == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    kept = world.log.pack_at(7)
    assert (kept.start, kept.to) == (Position(4, world.log.hash_at(4)), positions[-1])
    assert decode_pack(kept.blob, bytes_max=10_000) == [
        (seq, item.record) for seq, item in enumerate(pack, start=5)
    ]
    assert (world.log.pack_at(1).to.seq, world.log.pack_at(11)) == (4, None)
    assert world.append(*pack) == [None] * 6


def test_a_pack_that_came_from_a_peer_as_a_whole_is_no_pack_for_that_peer(world):
    till = MadeUpChain(1)
    theirs = [till.entry(Origin(PEER, seq)) for seq in range(11, 17)]
    world.append(*theirs, till.entry(), till.entry(Origin(PEER, 18)))
    for rows in (3, 3, 2):
        with world.transaction() as log:
            log.pack(rows, 8)
    log = world.log
    assert log.pack_at(2)
    assert log.pack_at(5)
    assert log.pack_at(2, skip_origin=Origin(PEER, 13)) is None
    assert log.pack_at(5, skip_origin=Origin(PEER, 16)) is None
    assert log.pack_at(5, skip_origin=Origin(PEER, 15)) == log.pack_at(5)
    assert log.pack_at(7, skip_origin=Origin(PEER, 99)) == log.pack_at(7)
    assert log.pack_at(2, skip_origin=Origin(b"nobody's-log-id.", 99)) == log.pack_at(2)


def test_rows_of_packs_that_are_skipped_are_passed_over_as_others_are(world):
    till = MadeUpChain(1)
    theirs = [till.entry(Origin(PEER, seq)) for seq in range(1, 8)]
    world.append(*theirs, *MadeUpChain(2).entries(2))
    skip = [Origin(PEER, 99), Origin(PEER, 5), Origin(b"nobody's-log-id.", 99)]
    before = [world.log.read(after, bytes_max=1 << 20, skip_origin=one) for one in skip for after in range(9)]
    for rows in (2, 3, 2):
        with world.transaction() as log:
            log.pack(rows, 9)
    assert before == [
        world.log.read(after, bytes_max=1 << 20, skip_origin=one) for one in skip for after in range(9)
    ]


def test_packs_may_come_newest_first(world):
    sales = MadeUpChain(1).entries(12)
    for part in (sales[8:], sales[4:8], sales[:4]):
        with world.transaction() as log:
            assert log.append_pack(received(part), part)
    assert [(run.lo, run.hi) for run in world.log.runs()] == [(1, 12)]
    assert [world.log.links_at(sales[0].entry.chain, n) for n in range(1, 13)] == [[s.digest] for s in sales]


@pytest.mark.parametrize(
    "case", ["an entry is held", "an update is held", "a fork", "a fork inside", "an update twice", "a hole"]
)
def test_a_pack_whose_rows_have_to_be_looked_at_singly_is_not_appended(world, case):
    till = MadeUpChain(1)
    sales, note = till.entries(6), made_up_update("x/a", b"note")
    fork = till.after(sales[2].digest, n=4)
    world.append(sales[0], *([note] if case == "an update is held" else []), sales[3])
    pack, last = [sales[1], note, sales[2]], None
    if case == "an entry is held":
        pack.append(sales[3])
    if case == "a fork":
        pack.append(fork)
    if case == "a fork inside":
        pack += [sales[4], till.after(sales[3].digest, n=5)]
    if case == "an update twice":
        pack.append(note)
    if case == "a hole":
        last = 50
    before = all_that_is_read(world.log, pack)
    blob = encode_pack([(seq, item.record) for seq, item in enumerate(pack, start=40)], last=last)
    with world.transaction() as log:
        assert log.append_pack(blob, pack) is None
    assert all_that_is_read(world.log, pack) == before
    assert world.log.pack_at(1) is None


def test_a_pack_is_not_appended_after_more_loose_rows_than_a_transaction_may_pack(world):
    till = MadeUpChain(1)
    sales = till.entries(LOOSE_BEFORE_PACK_MAX + 3)
    world.append(*sales[: LOOSE_BEFORE_PACK_MAX + 1])
    pack = sales[LOOSE_BEFORE_PACK_MAX + 1 :]
    with world.transaction() as log:
        assert log.append_pack(received(pack), pack) is None
    prepared = world.log.prepare_pack(4096, world.log.end.seq, rows_min=1)
    with world.transaction() as log:
        assert log.store_pack(prepared)
        assert log.append_pack(received(pack), pack)
    assert world.log.pack_at(1).to.seq == LOOSE_BEFORE_PACK_MAX + 1
    assert [(run.lo, run.hi) for run in world.log.runs()] == [(1, LOOSE_BEFORE_PACK_MAX + 3)]


def test_a_pack_is_not_appended_after_more_loose_bytes_than_a_pack_has(world):
    world.append(*[made_up_update("x/a", bytes([number]) * 1_500_000) for number in range(3)])
    pack = MadeUpChain(1).entries(2)
    with world.transaction() as log:
        assert log.append_pack(received(pack), pack) is None
    assert world.log.pack_at(1) is None


def test_bytes_that_are_no_pack_are_not_appended(world):
    with pytest.raises(MalformedRecord), world.transaction() as log:
        log.append_pack(b"no pack", MadeUpChain(1).entries(2))
    assert world.log.end.seq == 0


def test_an_appended_pack_is_undone_with_its_transaction(world):
    items = shop_day(world)
    before = all_that_is_read(world.log, items)
    pack = MadeUpChain(7).entries(3)
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        assert log.append_pack(received(pack), pack)
        raise ZeroDivisionError
    assert all_that_is_read(world.log, items) == before
    assert world.append(*pack) == [13, 14, 15]


def test_packing_is_undone_with_its_transaction(world):
    items = shop_day(world)
    before = all_that_is_read(world.log, items)
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        log.pack(12, 12)
        raise ZeroDivisionError
    assert world.log.pack_at(1) is None
    assert all_that_is_read(world.log, items) == before


# -- compaction --------------------------------------------------------------------------------------------


def compacted(world, replaces):
    """A document of three updates and one of another; some are replaced by a state."""
    items = [
        made_up_update("x/a", b"one"),
        MadeUpChain(1).entry(),
        made_up_update("x/a", b"two"),
        made_up_update("x/b", b"other"),
        made_up_update("x/a", b"three"),
    ]
    world.append(*items)
    state = made_up_update("x/a", b"one and two", state=True)
    hashes = [world.log.hash_at(seq) for seq in range(6)]
    with world.transaction() as log:
        assert log.compact(state, replaces) == 6
    return items, state, hashes


@pytest.mark.parametrize("packed", [0, 2, 3, 5, 6])
def test_a_state_takes_the_place_of_the_updates_that_it_replaces(world, packed):
    items, state, hashes = compacted(world, [1, 3])
    if packed:
        with world.transaction() as log:
            assert log.pack(packed, 6)
    log = world.log
    rest = [(2, items[1].record), (4, items[3].record), (5, items[4].record), (6, state.record)]
    assert log.read(0, bytes_max=9999).records == tuple(rest)
    assert log.read(0, bytes_max=9999).to == log.end
    assert list(log.document_records("x/a")) == [rest[2], rest[3]]
    assert list(log.document_seqs("x/a")) == [rest[2][0], rest[3][0]]
    assert [log.hash_at(seq) for seq in range(6)] == hashes
    assert list(log.unacknowledged(None)) == rest
    size = len(items[4].record) + len(state.record)
    assert log.documents()[1] == DocumentRow("x/a", 2, size, 6)


@pytest.mark.parametrize("packed", [1, 2, 4, 5])
def test_packed_updates_can_be_replaced_too(world, packed):
    items = [made_up_update("x/a", b"%d" % number) for number in range(5)]
    state = made_up_update("x/a", b"all", state=True)
    world.append(*items)
    hashes = [world.log.hash_at(seq) for seq in range(6)]
    with world.transaction() as log:
        log.pack(packed, 5)
    with world.transaction() as log:
        log.compact(state, [1, 2, 3, 5])
    log = world.log
    assert log.read(0, bytes_max=9999).records == ((4, items[3].record), (6, state.record))
    assert [log.hash_at(seq) for seq in range(6)] == hashes
    kept = [(4, items[3].record)] if packed > 3 else []
    assert decode_pack(log.pack_at(1).blob, bytes_max=9999) == kept
    assert log.documents() == [DocumentRow("x/a", 2, len(items[3].record) + len(state.record), 6)]


def test_an_update_that_was_replaced_is_not_appended_again(world):
    items, _, _ = compacted(world, [1, 3])
    assert world.append(items[0], items[2]) == [None, None]


def test_compacting_to_the_same_state_again_appends_nothing(world):
    _, state, _ = compacted(world, [1, 3])
    with world.transaction() as log:
        assert log.compact(state, [1, 5]) == 6
    assert [seq for seq, _ in world.log.document_records("x/a")] == [6]
    assert list(world.log.document_seqs("x/a")) == [6]


def test_what_a_transaction_that_raised_would_have_replaced_counts_again(world):
    _, state, _ = compacted(world, [1, 3])
    before = world.log.document("x/a")
    with pytest.raises(ZeroDivisionError), world.transaction() as log:
        log.compact(state, [5])
        raise ZeroDivisionError
    assert world.log.document("x/a") == before


@pytest.mark.parametrize("replaces", [[2], [4], [6], [99], [0]])
def test_a_state_replaces_updates_of_its_own_document_only(world, replaces):
    compacted(world, [])
    with pytest.raises(ValueError), world.transaction() as log:
        log.compact(made_up_update("x/a", b"one and two", state=True), [1, *replaces])
    assert [seq for seq, _ in world.log.document_records("x/a")] == [1, 3, 5, 6]
    assert list(world.log.document_seqs("x/a")) == [1, 3, 5, 6]


def test_a_document_that_a_refused_state_would_have_begun_has_no_records(world):
    compacted(world, [])
    with world.transaction() as log:
        with pytest.raises(ValueError):
            log.compact(made_up_update("x/new", b"state", state=True), [1])
        assert log.document("x/new") is None
    assert world.log.document("x/new") is None


def test_an_entry_is_no_compacted_state(world):
    with pytest.raises(ValueError), world.transaction() as log:
        log.compact(MadeUpChain(1).entry(), [])


def test_another_handle_sees_what_a_state_that_is_held_already_replaces(world):
    """Nothing is appended then, so that the end of the log does not tell it."""
    other = world.another_handle()
    world.append(made_up_update("x/a", b"one"), made_up_update("x/a", b"two"))
    state = made_up_update("x/a", b"one and two", state=True)
    with world.transaction() as log:
        log.compact(state, [1])
    assert other.shop(world.log.shop).document("x/a").records == 2
    with world.transaction() as log:
        log.compact(state, [2])
    assert other.shop(world.log.shop).document("x/a").records == 1
