"""What a peer's registers put on the wire is what Yjs understands, and what they read is what it says."""

import pytest
from pycrdt import (
    Array,
    Doc,
    YMessageType,
    YSyncMessageType,
    create_sync_message,
    create_update_message,
    handle_sync_message,
)

from benchmarks.peers.frames import NOTHING, in_each_message, in_the_path, number, read_number, sized
from benchmarks.peers.sales import MARK, SALE_BYTES, array_of, sales_of, updates_of

SHOP = in_the_path("shop")
HOCUSPOCUS = in_each_message("shop")


def sales_in(document, register):
    return [sale.encode() for sale in document.get(array_of(register), type=Array)]


@pytest.mark.parametrize("value", [0, 1, 127, 128, 16_383, 16_384, 2**31 + 1007, 2**53 - 1])
def test_a_number_is_read_as_it_was_written(value):
    written = b"x" + number(value) + b"rest"
    assert read_number(written, 1) == (value, len(written) - 4)


@pytest.mark.parametrize("per_update", [1, 7, 100])
def test_a_register_s_updates_are_its_sales_in_the_order_in_which_it_sold(per_update):
    sales, document = sales_of(1, 3, 40), Doc()
    for update in updates_of(1, 3, sales, per_update=per_update):
        document.apply_update(update)
    assert sales_in(document, 3) == sales


def test_sales_of_two_registers_do_not_disturb_each_other_in_whatever_order_they_come():
    first, second, document = sales_of(1, 0, 5), sales_of(1, 1, 5), Doc()
    for update in (*updates_of(1, 1, second), *reversed(updates_of(1, 0, first))):
        document.apply_update(update)
    assert (sales_in(document, 0), sales_in(document, 1)) == (first, second)


def test_a_sale_has_about_305_bytes_is_counted_once_and_follows_from_the_seed():
    sales = sales_of(7, 2, 200)
    assert {len(sale) for sale in sales} == {SALE_BYTES}
    assert {sale.count(MARK) for sale in sales} == {1}
    assert len(set(sales)) == 200
    assert sales == sales_of(7, 2, 200) != sales_of(8, 2, 200)
    assert b"".join(updates_of(7, 2, sales, per_update=50)).count(MARK) == 200


def test_a_newcomer_asks_for_everything_and_is_understood():
    sales, server = sales_of(1, 0, 3), Doc()
    for update in updates_of(1, 0, sales):
        server.apply_update(update)
    asked = SHOP.ask()
    assert (asked[0], asked[1]) == (YMessageType.SYNC, YSyncMessageType.SYNC_STEP1)
    kind, update = SHOP.read(handle_sync_message(asked[1:], server))
    newcomer = Doc()
    newcomer.apply_update(update)
    assert (kind, sales_in(newcomer, 0)) == ("changes", sales)


def test_a_sale_that_is_told_arrives():
    server, (sale,) = Doc(), sales_of(1, 0, 1)
    handle_sync_message(SHOP.tell(updates_of(1, 0, [sale])[0])[1:], server)
    assert sales_in(server, 0) == [sale]


def test_who_has_nothing_answers_so():
    server = Doc()
    handle_sync_message(SHOP.answer()[1:], server)
    assert server.get_update() == NOTHING


def test_what_a_server_says_is_told_apart():
    document = Doc()
    assert SHOP.read(create_sync_message(document))[0] == "state"
    assert SHOP.read(create_update_message(NOTHING)) == ("changes", NOTHING)
    assert SHOP.read(bytes((YMessageType.AWARENESS, 1, 0))) == ("other", b"")
    assert SHOP.read(b"") == ("other", b"")


def test_hocuspocus_names_the_document_in_each_message():
    address = b"\4shop"
    assert HOCUSPOCUS.greeting == (address + b"\2\0\5token",)
    assert HOCUSPOCUS.ask() == address + SHOP.ask()
    assert HOCUSPOCUS.read(address + create_update_message(NOTHING)) == ("changes", NOTHING)
    assert HOCUSPOCUS.read(sized(b"till") + create_update_message(NOTHING)) == ("other", b"")


def test_hocuspocus_reply_to_a_first_step_and_its_word_that_it_saved_are_told_apart():
    address = b"\4shop"
    assert HOCUSPOCUS.read(address + bytes((4, 0)) + sized(b"\0")) == ("state", b"\0")
    assert HOCUSPOCUS.read(address + bytes((8, 1))) == ("other", b"")
    assert HOCUSPOCUS.read(address + bytes((2, 1)) + sized(b"no")) == ("denied", sized(b"no"))
