import time

import pytest
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment

from crdtsync.errors import NotPermitted, RecordTooBig, UnsafeUpdate
from crdtsync.protocol.scanner import CATALOGUE_ROOTS, Scan, scan_document, scan_update
from crdtsync.protocol.yjs import STATE_LIMITS, Limits


def varuint(number):
    data = b""
    while number >= 0x80:
        data, number = data + bytes([number & 0x7F | 0x80]), number >> 7
    return data + bytes([number])


def text(words):
    data = words.encode()
    return varuint(len(data)) + data


def update(*blocks, client=5, clock=0, deleted=b"\0"):
    return b"\1" + varuint(len(blocks)) + varuint(client) + varuint(clock) + b"".join(blocks) + deleted


def entry(key, value, root="products"):
    return b"\x28\1" + text(root) + text(key) + b"\1" + value


def item(kind, content, root="list"):
    """An item at the beginning of a root."""
    return bytes([kind]) + b"\1" + text(root) + content


NAME = entry("A/name", b"\x77" + text("Sancerre"))


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


def test_old_json_content_is_read():
    assert scan(update(item(2, b"\2" + text("undefined") + text('{"a":[1]}')))).clients == ((5, 0, 2),)


# -- what is refused ----------------------------------------------------------------------------------------

REFUSED = {
    "nothing at all": b"",
    "bytes left over": update(NAME) + b"\0",
    "an integer that is not minimal": b"\x81\0" + update(NAME)[1:],
    "an integer without an end": b"\xff" * 1000,
    "a length that is not minimal": update(entry("k", b"\x77\x83\0abc")),
    "a client id of 2^53": update(NAME, client=2**53),
    "a clock of 2^31": update(NAME, clock=2**31),
    "a clock that grows to 2^31": update(NAME, clock=2**31 - 1),
    "a client twice": b"\2" + update(NAME)[1:-1] + update(NAME, clock=1)[1:],
    "a client without blocks": b"\1\0\5\0\0",
    "more blocks than bytes": b"\1\x7f\5\0" + NAME + b"\0",
    "a string that is not UTF-8": update(entry("k", b"\x77\1\xff")),
    "a key that is not UTF-8": update(b"\x28\1" + text("products") + b"\1\xff\1\x78"),
    "a key that is too long": update(entry("k" * 513, b"\x78")),
    "a value of an unknown kind": update(entry("k", b"\x73")),
    "a value that is cut short": update(entry("k", b"\x7b\0\0"))[:-1],
    "bytes that are cut short": update(entry("k", b"\x74\x7f")),
    "a number that is too long": update(entry("k", b"\x7d" + b"\xff" * 9 + b"\1")),
    "a number that is not minimal": update(entry("k", b"\x7d\x81\0")),
    "a number beyond 2^53": update(entry("k", b"\x7d" + b"\xff" * 7 + b"\x3f")),
    "an object with a key twice": update(entry("k", b"\x76\2\1a\x78\1a\x78")),
    "no values": update(b"\x28\1" + text("products") + text("k") + b"\0"),
    "an empty text": update(item(4, text(""))),
    "an empty deletion": update(item(1, b"\0")),
    "an empty collected block": update(b"\0\0"),
    "a subdocument": update(item(9, text("guid") + b"\x76\0")),
    "a moved range": update(item(11, b"\0\0\0")),
    "an unknown kind of block": update(item(0x15, b"\0")),
    "an item of kind collected": update(b"\x20\1" + text("products") + text("k") + b"\1"),
    "a weak link": update(item(7, b"\x07\0")),
    "a hook": update(item(7, b"\x05" + text("hook"))),
    "an unknown parent": update(b"\x08\2" + text("list") + b"\1\x78"),
    "an embed that is not JSON": update(item(5, text("{"))),
    "a format that is not JSON": update(item(6, text("bold") + text("NaN"))),
    "a block before its origin": update(b"\x88\5\0\1\x78"),
    "a block before its right origin": update(b"\x48\5\1\1\x78"),
    "a block before its parent": update(b"\x08\0\5\0\1\x78"),
    "a hole at the end": update(NAME, b"\x0a\1"),
    "two holes side by side": update(b"\x0a\1", b"\x0a\1", NAME),
    "a parent that is no container": update(NAME, b"\x08\0\5\0\1\x78"),
    "text in a list": update(item(7, b"\0"), b"\x04\0\5\0" + text("a")),
    "items of a map without a key": update(item(7, b"\1"), b"\x08\0\5\0\1\x78"),
    "values in markup": update(item(7, b"\x03" + text("p")), b"\x08\0\5\0\1\x78"),
    "deletions that overlap": b"\0\1\5\2\0\2\1\1",
    "deletions that touch": b"\0\1\5\2\0\1\1\1",
    "deletions out of order": b"\0\1\5\2\5\1\0\1",
    "a deletion of nothing": b"\0\1\5\1\0\0",
    "a deletion beyond all clocks": b"\0\1\5\1\0" + varuint(2**31 - 1) + b"\0",
    "a client without deletions": b"\0\1\5\0",
    "a client deleted twice": b"\0\2\5\1\0\1\5\1\2\1",
    "more deletions than bytes": b"\0\1\5\x7f\0\1",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
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


def nested_values(levels):
    return update(entry("k", b"\x75\1" * levels + b"\x7e"))


def nested_json(levels):
    return update(item(5, text("[" * levels + "]" * levels)))


HOSTILE = {
    "26,000 levels of values": nested_values(26_000),
    "26,000 levels of JSON": nested_json(26_000),
    "33 levels of values": nested_values(33),
    "33 levels of JSON": nested_json(33),
    "2,000 levels of JSON": nested_json(2000),
    "12,000 blocks": update(item(8, b"\1\x78"), *[b"\x88\5\0\1\x78"] * 11_999),
    "60,000 values in one list": update(entry("k", b"\x75" + varuint(60_000) + b"\x7e" * 60_000)),
    "60,000 values in one block": update(item(8, varuint(60_000) + b"\x7e" * 60_000)),
    "5,000 values in JSON": update(item(5, text("[" + "1," * 5000 + "1]"))),
    "a count of 2^31": update(entry("k", b"\x75" + varuint(2**31 - 1))),
    "a string of 2^50 bytes": update(entry("k", b"\x77" + varuint(2**50))),
    "100 KB of 0xff": b"\xff" * 100_000,
    "20,000 deletions": b"\0\1\5" + varuint(20_000) + b"".join(varuint(2 * n) + b"\1" for n in range(20_000)),
    "600 blocks that should be one": update(
        item(8, b"\1\x78"), *[b"\x88\5" + varuint(n) + b"\1\x78" for n in range(600)]
    ),
    "300 clients": varuint(300) + b"".join(update(NAME, client=n)[1:-1] for n in range(300)) + b"\0",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
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


NOT_FLAT = {
    "a list as a value": update(entry("k", b"\x75\0")),
    "an object as a value": update(entry("k", b"\x76\0")),
    "undefined": update(entry("k", b"\x7f")),
    "a list item": update(item(8, b"\1\x78", root="products")),
    "text": update(item(4, text("a"), root="products")),
    "a nested map": update(b"\x27\1" + text("products") + text("k") + b"\1"),
    "an entry of a nested map": update(b"\x28\0\7\0" + text("k") + b"\1\x78"),
    "two values in one entry": update(b"\x28\1" + text("products") + text("k") + b"\2\x78\x78"),
    "bytes outside of values": update(b"\x23\1" + text("products") + text("k") + b"\1a"),
    "an entry with a right neighbour": update(b"\xe8\7\0\7\1\1\x78"),
    "an overwrite that is no entry": update(b"\x88\7\0\1\x78"),
    "a collected block": update(b"\0\1"),
    "a hole": update(NAME, b"\x0a\1", NAME),
}


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
