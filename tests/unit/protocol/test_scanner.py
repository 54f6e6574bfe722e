import time

import pytest
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment

from crdtsync.errors import NotPermitted, RecordTooBig, UnsafeUpdate
from crdtsync.protocol.scanner import CATALOGUE_ROOTS, Scan, scan_document, scan_update
from crdtsync.protocol.yjs import STATE_LIMITS, Limits
from crdtsync.testing.yjs_bytes import (
    HARMFUL,
    MALFORMED,
    NAME,
    NOT_FLAT,
    entry,
    item,
    text,
    update,
)


def scan(data, **how):
    return scan_update(data, **{"roots": None, **how})


# -- what is told -------------------------------------------------------------------------------------------


def test_a_product_name_is_one_block_in_the_root_of_products():
    assert scan(update(NAME)) == Scan(((5, 0, 1),), (), 1, frozenset({"products"}), ())


def test_clients_are_told_with_their_clocks_and_deletions_with_their_lengths():
    data = b"\2" + update(NAME, NAME, client=9, clock=3, deleted=b"")[1:] + update(NAME)[1:-1]
    found = scan(data + b"\1\x05\2\0\1\2\1")
    assert found.clients == ((9, 3, 5), (5, 0, 1))
    assert found.deleted == ((5, 0, 1), (5, 2, 1))


def test_an_overwrite_names_no_root_and_needs_what_it_overwrites():
    overwrite = b"\xa8\7\4\1\x77" + text("Sancerre")
    assert scan(update(overwrite, clock=1)).needs == ((7, 5), (5, 1))


def test_what_an_update_names_within_itself_it_does_not_need_from_others():
    overwrite = b"\xa8\5\0\1\x77" + text("Sancerre")
    assert scan(update(NAME, overwrite, deleted=b"\1\5\1\0\1")).needs == ()


def test_a_deletion_of_what_others_wrote_is_needed():
    assert scan(b"\0\1\7\1\2\3").needs == ((7, 5),)


def test_the_clocks_after_a_hole_need_those_in_it():
    assert scan(update(NAME, b"\x0a\3", NAME)).needs == ((5, 4),)


def test_text_counts_in_utf_16_as_the_engine_does():
    assert scan(update(item(4, text("a🍷")))).clients == ((5, 0, 3),)


@pytest.mark.parametrize(
    ("make", "blocks"),
    [
        (lambda doc: doc.get("m", type=Map).update({"a": [1, {"b": None}], "c": b"x", "d": 2**60}), 3),
        (lambda doc: doc.get("t", type=Text).insert(0, "Bonjour", {"bold": True}), 3),
        (lambda doc: doc.get("t", type=Text).insert_embed(0, {"image": "url"}), 1),
        (lambda doc: doc.get("l", type=Array).extend([1, "a", Map({"k": Text("x")})]), 4),
        (lambda doc: doc.get("x", type=XmlFragment).children.append(XmlElement("p", {"a": "b"})), 2),
    ],
)
def test_every_type_that_the_engine_writes_is_read(make, blocks):
    doc = Doc(client_id=5)
    make(doc)
    assert scan(doc.get_update()).blocks == blocks


def test_an_empty_update_is_nothing():
    assert scan(b"\0\0") == Scan((), (), 0, frozenset(), ())


@pytest.mark.parametrize(
    "value",
    [b"\x7d\x05", b"\x7d\x40", b"\x7d\xc1\x01", b"\x7d\xff\xff\xff\xff\xff\xff\xff\x0f", b"\x7f"],
)
def test_integers_as_browsers_write_them_are_read(value):
    assert scan(update(entry("k", value))).blocks == 1


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_understood_is_refused(data):
    with pytest.raises(UnsafeUpdate):
        scan(data)


def test_the_refusal_names_the_place():
    with pytest.raises(UnsafeUpdate, match="byte 34 of the update: bytes are left over"):
        scan(update(NAME) + b"\0")


@pytest.mark.parametrize("cut", range(len(update(NAME, deleted=b"\1\5\1\0\1"))))
def test_every_beginning_of_an_update_is_refused(cut):
    with pytest.raises(UnsafeUpdate):
        scan(update(NAME, deleted=b"\1\5\1\0\1")[:cut])


@pytest.mark.parametrize("data", HARMFUL.values(), ids=HARMFUL.keys())
def test_what_would_hurt_the_engine_is_refused_at_once(data):
    begin_s = time.thread_time()
    with pytest.raises((UnsafeUpdate, RecordTooBig)):
        scan(data)
    # Of the processor's time, so that a busy machine does not count; some hundred times what it needs.
    assert time.thread_time() - begin_s < 0.5


def test_an_update_over_its_limit_is_refused_for_its_size():
    with pytest.raises(RecordTooBig, match="65536 are allowed"):
        scan(update(entry("k", b"\x77" + text("x" * 66_000))))


def test_a_state_may_be_larger_than_an_update():
    data = update(*[entry(f"k{n}", b"\x77" + text("x" * 50)) for n in range(2100)])
    assert scan(data, limits=STATE_LIMITS).blocks == 2100


def test_the_allowance_of_values_holds_over_all_blocks():
    limits = Limits(update_bytes=1000, clients=9, blocks=9, deleted_ranges=9, values=3)
    assert scan(update(NAME, NAME, NAME), limits=limits).blocks == 3
    with pytest.raises(UnsafeUpdate):
        scan(update(NAME, NAME, NAME, NAME), limits=limits)


# -- rules of documents --------------------------------------------------------------------------------------


def test_only_the_roots_that_are_allowed_may_be_written():
    with pytest.raises(UnsafeUpdate, match=r"writes to \['prices'\]"):
        scan(update(entry("k", b"\x78", root="prices")), roots=CATALOGUE_ROOTS)


def test_the_catalogue_takes_plain_values_and_overwrites():
    doc = Doc(client_id=5)
    products = doc.get("products", type=Map)
    products.update({"a/x": "a", "a/y": 5, "a/z": True, "a/w": None, "a/v": b"x", "a/u": 2**60})
    products["a/x"] = "b"
    assert scan_document("catalogue", doc.get_update()).blocks == 7


@pytest.mark.parametrize("data", NOT_FLAT.values(), ids=NOT_FLAT.keys())
def test_the_catalogue_takes_nothing_else(data):
    with pytest.raises(UnsafeUpdate):
        scan_document("catalogue", data)


def test_a_document_of_the_user_may_have_any_root():
    assert scan_document("x/notes", update(item(4, text("a"), root="any"))).roots == {"any"}


@pytest.mark.parametrize("document", ["owner", "ledger/" + "0" * 32 + "/2026-11-24"])
def test_a_ledger_takes_no_yjs_bytes(document):
    with pytest.raises(NotPermitted):
        scan_document(document, b"\0\0")
