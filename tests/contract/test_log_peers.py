"""The log's contract: cursors, acknowledgements, refusals, origins, what is pending."""

from collections import Counter
from contextlib import suppress

from crdtsync.ids import Origin, Position
from crdtsync.storage.log import Acknowledged, Apart, Cursor, Refusal
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP = b"shop-of-the-tests"[:16]
PEER, OTHER = b"the-peer's-logid", b"another-peer-log"


def acknowledge(world, seq, at_ms=1000, peer=PEER):
    with world.transaction() as log:
        log.set_acknowledged(peer, Position(seq, log.hash_at(seq)), at_ms)


def pending(world, peer=PEER):
    return [seq for seq, _ in world.log.unacknowledged(peer)]


def refusal(seq, record, *, held=False, code="malformed", reason="no reason"):
    return Refusal(seq, record.digest, code, reason, held)


# -- cursors -----------------------------------------------------------------------------------------------


def test_there_is_no_cursor_for_an_unknown_log(world):
    assert world.log.cursor(PEER) is None


def test_a_cursor_is_kept_with_its_wanted_intervals_in_their_order(world):
    cursor = Cursor(Position(900, b"h" * 32), ((500, 600), (1, 20), (700, 700)))
    with world.transaction() as log:
        log.set_cursor(PEER, cursor)
        log.set_cursor(OTHER, Cursor(Position(1, b"i" * 32)))
    assert (world.log.cursor(PEER), world.log.cursor(OTHER)) == (cursor, Cursor(Position(1, b"i" * 32)))


def test_a_cursor_is_replaced_backwards_too(world):
    with world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(900, b"h" * 32), ((1, 2),)))
    with world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(3, b"i" * 32)))
    assert world.log.cursor(PEER) == Cursor(Position(3, b"i" * 32))


def test_a_transaction_reads_the_cursor_that_another_process_has_moved_since(world):
    with world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(3, b"i" * 32)))
        assert log.cursor(PEER) == Cursor(Position(3, b"i" * 32))
    other = world.another_handle()
    with other.transaction():
        other.shop(SHOP).set_cursor(PEER, Cursor(Position(900, b"h" * 32)))
    with world.transaction() as log:
        assert log.cursor(PEER) == Cursor(Position(900, b"h" * 32))
    with other.transaction():
        other.shop(SHOP).void_origin(PEER)
        assert other.shop(SHOP).cursor(PEER) is None
    with world.transaction() as log:
        assert log.cursor(PEER) is None


def test_a_cursor_of_a_transaction_that_was_undone_is_not_read_by_the_next(world):
    with world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(3, b"i" * 32)))
    with suppress(RuntimeError), world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(900, b"h" * 32)))
        assert log.cursor(PEER) == Cursor(Position(900, b"h" * 32))
        raise RuntimeError("undone")
    with world.transaction() as log:
        assert log.cursor(PEER) == Cursor(Position(3, b"i" * 32))


# -- acknowledgements and what is pending ------------------------------------------------------------------


def test_without_an_acknowledgement_everything_is_pending(world):
    sales = MadeUpChain(1).entries(2)
    world.append(*sales)
    assert world.log.acknowledged(PEER) is None
    assert list(world.log.unacknowledged(PEER)) == [(1, sales[0].record), (2, sales[1].record)]


def test_what_was_acknowledged_is_not_pending(world):
    world.append(*MadeUpChain(1).entries(3))
    acknowledge(world, 2, at_ms=1234)
    assert world.log.acknowledged(PEER) == Acknowledged(Position(2, world.log.hash_at(2)), 1234)
    assert pending(world) == [3]


def test_an_acknowledgement_counts_for_one_peer_only(world):
    world.append(*MadeUpChain(1).entries(2))
    acknowledge(world, 2)
    assert pending(world, OTHER) == [1, 2]


def test_a_peer_that_was_restored_takes_its_acknowledgement_back(world):
    world.append(*MadeUpChain(1).entries(3))
    acknowledge(world, 3)
    acknowledge(world, 1)
    assert pending(world) == [2, 3]


def test_an_acknowledgement_of_the_old_log_id_counts_no_more(world):
    world.append(*MadeUpChain(1).entries(2))
    acknowledge(world, 2)
    with world.transaction() as log:
        log.rotate_log_id(b"our-own-log-id-2")
        assert log.acknowledged(PEER) is None
    assert world.log.acknowledged(PEER) is None
    assert pending(world) == [1, 2]
    acknowledge(world, 1)
    assert pending(world) == [2]


def test_an_acknowledgement_that_does_not_fit_the_log_counts_as_none(world):
    world.append(*MadeUpChain(1).entries(2))
    with world.transaction() as log:
        log.set_acknowledged(PEER, Position(2, b"?" * 32), 1)
    assert pending(world) == [1, 2]


def test_what_came_from_the_peer_is_not_pending_for_it(world):
    till = MadeUpChain(1)
    world.append(till.entry(Origin(PEER, 1)), till.entry(), till.entry(Origin(OTHER, 1)))
    assert pending(world) == [2, 3]
    assert pending(world, OTHER) == [1, 2]


def test_for_no_peer_everything_is_pending(world):
    till = MadeUpChain(1)
    world.append(till.entry(Origin(PEER, 1)), till.entry())
    acknowledge(world, 2)
    assert pending(world, None) == [1, 2]


def test_what_the_peer_refused_or_holds_stays_pending(world):
    sales = MadeUpChain(1).entries(4)
    world.append(*sales)
    acknowledge(world, 4)
    with world.transaction() as log:
        log.set_refusals_received(
            PEER, [refusal(3, sales[2]), refusal(1, sales[0], held=True)], complete=True
        )
    assert pending(world) == [1, 3]
    assert pending(world, OTHER) == [1, 2, 3, 4]


def test_a_refused_record_beyond_the_acknowledgement_is_pending_once(world):
    sales = MadeUpChain(1).entries(3)
    world.append(*sales)
    acknowledge(world, 1)
    with world.transaction() as log:
        log.set_refusals_received(PEER, [refusal(2, sales[1])], complete=False)
    assert pending(world) == [2, 3]


def test_a_refusal_of_a_record_that_was_never_sent_is_harmless(world):
    sale = MadeUpChain(1).entry()
    world.append(sale)
    acknowledge(world, 1)
    with world.transaction() as log:
        log.set_refusals_received(PEER, [refusal(77, sale), refusal(0, sale)], complete=True)
    assert pending(world) == []


def test_pending_does_not_stop_at_the_first_slice(world):
    with world.transaction() as log:
        for number in range(700):
            log.append(made_up_update("x/a", b"%d" % number, origin=Origin(PEER, 1) if number % 2 else None))
    acknowledge(world, 100)
    assert pending(world) == list(range(101, 700, 2))


# -- origins -----------------------------------------------------------------------------------------------


def test_a_log_that_lost_its_records_is_offered_them_again(world):
    till = MadeUpChain(1)
    world.append(*(till.entry(Origin(PEER, seq)) for seq in (1, 2)))
    with world.transaction() as log:
        log.set_cursor(PEER, Cursor(Position(2, b"h" * 32)))
        log.void_origin(PEER)
    assert [seq for seq, _ in world.log.read(0, bytes_max=9999, skip_origin=Origin(PEER, 9999)).records] == [
        1,
        2,
    ]
    assert world.log.cursor(PEER) is None
    assert pending(world) == [1, 2]


def test_what_comes_after_the_loss_counts_as_before(world):
    till = MadeUpChain(1)
    world.append(till.entry(Origin(PEER, 1)))
    with world.transaction() as log:
        log.void_origin(PEER)
        log.append(till.entry(Origin(PEER, 1)))
    world.append(till.entry(Origin(PEER, 2)), till.entry())
    assert [seq for seq, _ in world.log.read(0, bytes_max=9999, skip_origin=Origin(PEER, 9999)).records] == [
        1,
        4,
    ]
    assert pending(world) == [1, 4]


def test_what_comes_after_another_handle_saw_the_loss_counts_as_before(world):
    till = MadeUpChain(1)
    world.append(till.entry(Origin(PEER, 1)))
    other = world.another_handle()
    with other.transaction():
        other.shop(SHOP).void_origin(PEER)
    world.append(till.entry(Origin(PEER, 2)))
    assert pending(world) == [1]


def test_an_origin_can_be_voided_twice_and_when_it_is_unknown(world):
    till = MadeUpChain(1)
    with world.transaction() as log:
        log.void_origin(PEER)
    for seq in (1, 2):
        world.append(till.entry(Origin(PEER, seq)))
        with world.transaction() as log:
            log.void_origin(PEER)
    assert pending(world) == [1, 2]


def test_what_was_refused_of_a_log_that_is_begun_again_will_be_brought_again(world):
    sale = MadeUpChain(1).entry()
    with world.transaction() as log:
        log.refuse(PEER, refusal(9, sale, held=True), sale.record, 1)
        log.refuse(OTHER, refusal(4, sale, held=True), sale.record, 1)
        log.void_origin(PEER)
    assert [len(world.log.refusals_given(peer)) for peer in (PEER, OTHER)] == [0, 1]
    assert [apart.record for apart in world.log.apart()] == [sale.record]
    with world.transaction() as log:
        assert log.settle_refusals(sale.digest) == [Origin(OTHER, 4)]


# -- refusals given ----------------------------------------------------------------------------------------


def test_a_refused_record_is_set_apart_with_its_bytes(world):
    sale = MadeUpChain(1).entry()
    with world.transaction() as log:
        log.refuse(
            PEER, refusal(9, sale, held=True, code="unknown", reason="no certificate"), sale.record, 555
        )
    assert world.log.refusals_given(PEER) == [Refusal(9, sale.digest, "unknown", "no certificate", True)]
    assert world.log.refusals_given(OTHER) == []
    assert world.log.apart() == [
        Apart(sale.record, sale.digest, Origin(PEER, 9), "unknown", "no certificate", True, 555)
    ]
    assert not world.log.holds(sale.digest, sale.entry.chain, 1)


def test_refusing_the_same_record_again_changes_nothing(world):
    sale = MadeUpChain(1).entry()
    for at_ms in (1, 2):
        with world.transaction() as log:
            log.refuse(PEER, refusal(9, sale), sale.record, at_ms)
    assert len(world.log.refusals_given(PEER)) == 1
    assert [apart.at_ms for apart in world.log.apart()] == [1]


def test_a_record_refused_to_two_peers_is_set_apart_once(world):
    sale = MadeUpChain(1).entry()
    with world.transaction() as log:
        log.refuse(PEER, refusal(9, sale), sale.record, 1)
        log.refuse(OTHER, refusal(4, sale), sale.record, 2)
    assert [(apart.origin, apart.at_ms) for apart in world.log.apart()] == [(Origin(PEER, 9), 1)]
    assert [len(world.log.refusals_given(peer)) for peer in (PEER, OTHER)] == [1, 1]


def test_bytes_apart_are_counted_by_the_log_that_brought_them(world):
    sales = [MadeUpChain(number).entry() for number in range(1, 4)]
    with world.transaction() as log:
        for seq, (peer, sale) in enumerate(zip((PEER, PEER, OTHER), sales, strict=True), start=1):
            log.refuse(peer, refusal(seq, sale), sale.record, 1)
        log.refuse(OTHER, refusal(9, sales[0]), sales[0].record, 1)
        assert log.apart_bytes(PEER) == len(sales[0].record) + len(sales[1].record)
    assert world.log.apart_counts() == Counter((one.code, one.held) for one in world.log.apart())
    assert world.log.apart_rows() == [
        (one.code, one.held, one.origin, one.at_ms) for one in world.log.apart()
    ]
    assert world.log.apart_bytes(OTHER) == len(sales[2].record)
    assert world.log.apart_bytes(bytes(16)) == 0


def test_a_held_record_can_become_refused_for_good(world):
    sale = MadeUpChain(1).entry()
    for held, code in ((True, "held"), (False, "bad-signature")):
        with world.transaction() as log:
            log.refuse(PEER, refusal(9, sale, held=held, code=code), sale.record, 1)
    assert [(r.code, r.held) for r in world.log.refusals_given(PEER)] == [("bad-signature", False)]
    assert [(apart.code, apart.held) for apart in world.log.apart()] == [("bad-signature", False)]


def test_refusals_are_listed_by_seq_and_records_apart_oldest_first(world):
    sales = MadeUpChain(1).entries(3)
    with world.transaction() as log:
        for seq, sale in ((7, sales[0]), (300, sales[1]), (2, sales[2])):
            log.refuse(PEER, refusal(seq, sale), sale.record, seq)
    assert [r.seq for r in world.log.refusals_given(PEER)] == [2, 7, 300]
    assert [apart.digest for apart in world.log.apart()] == [sale.digest for sale in sales]


def test_a_settled_refusal_is_gone_with_its_bytes(world):
    sales = MadeUpChain(1).entries(2)
    with world.transaction() as log:
        for seq, sale in enumerate(sales):
            log.refuse(PEER, refusal(seq, sale, held=True), sale.record, 1)
    with world.transaction() as log:
        assert log.settle_refusals(sales[0].digest) == [Origin(PEER, 0)]
    assert [r.seq for r in world.log.refusals_given(PEER)] == [1]
    assert [apart.digest for apart in world.log.apart()] == [sales[1].digest]


def test_a_record_is_settled_with_everybody_who_had_sent_it(world):
    sale = MadeUpChain(1).entry()
    with world.transaction() as log:
        log.refuse(PEER, refusal(9, sale), sale.record, 1)
        log.refuse(OTHER, refusal(4, sale), sale.record, 2)
        log.refuse(OTHER, refusal(3, sale), sale.record, 2)
    with world.transaction() as log:
        settled = log.settle_refusals(sale.digest)
    assert settled == sorted(
        [Origin(PEER, 9), Origin(OTHER, 3), Origin(OTHER, 4)], key=lambda o: (o.log_id, o.seq)
    )
    assert world.log.refusals_given(PEER) == world.log.refusals_given(OTHER) == []
    assert world.log.apart() == []


def test_what_was_refused_in_the_same_transaction_is_settled_too(world):
    sale = MadeUpChain(1).entry()
    with world.transaction() as log:
        log.refuse(PEER, refusal(9, sale), sale.record, 1)
        assert log.settle_refusals(sale.digest) == [Origin(PEER, 9)]
    assert world.log.refusals_given(PEER) == []


def test_what_nobody_refused_needs_no_settling(world):
    with world.transaction() as log:
        assert log.settle_refusals(bytes(32)) == []


# -- refusals received -------------------------------------------------------------------------------------


def test_received_refusals_are_added_up(world):
    sales = MadeUpChain(1).entries(2)
    for seq, sale in enumerate(sales, start=1):
        with world.transaction() as log:
            log.set_refusals_received(PEER, [refusal(seq, sale)], complete=False)
    assert world.log.refusals_received(PEER) == [refusal(1, sales[0]), refusal(2, sales[1])]


def test_a_complete_list_of_received_refusals_replaces_the_last(world):
    sales = MadeUpChain(1).entries(2)
    with world.transaction() as log:
        log.set_refusals_received(PEER, [refusal(1, sales[0])], complete=False)
        log.set_refusals_received(OTHER, [refusal(1, sales[0])], complete=False)
    with world.transaction() as log:
        log.set_refusals_received(PEER, [refusal(2, sales[1], held=True)], complete=True)
    assert world.log.refusals_received(PEER) == [refusal(2, sales[1], held=True)]
    assert world.log.refusals_received(OTHER) == [refusal(1, sales[0])]
