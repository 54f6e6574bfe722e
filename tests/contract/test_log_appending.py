"""The log's contract: appending, what is held, and the small state beside the records."""

from crdtsync.ids import ZERO_HASH, Position, next_hash
from crdtsync.storage.log import DocumentRow
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, LOG = b"shop-of-the-tests"[:16], b"our-own-log-id-1"


def test_records_are_numbered_from_one_with_a_running_hash(world):
    sales = MadeUpChain(1).entries(4)
    assert world.append(*sales) == [1, 2, 3, 4]
    h, expected = ZERO_HASH, [ZERO_HASH]
    for sale in sales:
        h = next_hash(h, sale.record)
        expected.append(h)
    assert [world.log.hash_at(seq) for seq in range(5)] == expected
    assert world.log.end == Position(4, h)


def test_the_running_hash_is_known_as_soon_as_a_record_is_appended(world):
    h = ZERO_HASH
    with world.store.transaction():
        for sale in MadeUpChain(1).entries(4):
            world.log.append(sale)
            h = next_hash(h, sale.record)
            assert world.log.hash_appended == h


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
