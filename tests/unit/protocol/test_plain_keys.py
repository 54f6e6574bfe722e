"""Updates of new keys alone are told apart from all others, to the last byte."""

import pycrdt
import pytest
from pycrdt import Doc

from crdtsync.errors import RecordTooBig, UnsafeUpdate
from crdtsync.protocol import flat, scanner
from crdtsync.protocol.flat import flat_content
from crdtsync.protocol.plain_keys import Unsure, plain_keys, read_number, read_scalar, split_keys
from crdtsync.protocol.scanner import Scan, scan_update
from crdtsync.protocol.yjs import Limits
from crdtsync.testing.documents import ungrouped

ROOT = "products"
BEGIN = b"\x28\x01\x08products"


def update_of(values, client=7, before=()):
    """One transaction that writes them, after those that were written before."""
    doc = Doc(client_id=client)
    items = doc.get(ROOT, type=pycrdt.Map)
    for part in (before, values):
        state = doc.get_state()
        with doc.transaction():
            for key, value in dict(part).items():
                items[key] = value
    return doc.get_update(state)


def spelled(*values, structs=None, clock=0, end=b"\x00"):
    """An update of client 7, of the key ``k0`` and so on with these values."""
    head = bytes((1, len(values) if structs is None else structs, 7, clock))
    keys = (BEGIN + b"\x02k%d\x01" % place + value for place, value in enumerate(values))
    return head + b"".join(keys) + end


def test_new_keys_are_told_with_their_values():
    update = update_of({"A/name": "Crozes é", "A/vintage": 2019, "A/barcode/1": True})
    plain = plain_keys(update, ROOT)
    assert plain is not None
    assert (plain.client, plain.clock) == (7, 0)
    assert sorted(plain.parts) == sorted(
        (b"\x06A/name\x01w\x09Crozes \xc3\xa9", b"\x09A/vintage\x01|D\xfc`\x00", b"\x0bA/barcode/1\x01x")
    )


def test_they_begin_where_the_writer_was():
    plain = plain_keys(update_of({"B/name": "x"}, before={"A/name": "y", "A/unit": "z"}), ROOT)
    assert plain is not None
    assert plain.clock == 2


@pytest.mark.parametrize(
    "update",
    [
        b"",
        b"\x00\x00",
        b"\x01",
        b"\x01\x01\x07\x00",
        update_of({"A/name": "x" * 128}),
        update_of({"A" * 128: "x"}),
        update_of({"A/data": b"bytes"}),
        update_of({"A/name": "new"}, before={"A/name": "old"}),
        update_of({"A/name": BEGIN.decode()}),
        spelled(b"w\x01a", structs=2),
        spelled(b"w\x01a", b"w\x01b", structs=1),
        spelled(b"w\x02a"),
        spelled(b"w\x00a"),
        spelled(b"w\x01\xff"),
        spelled(b"x\x00"),
        spelled(b"}"),
        spelled(b"}\x80\x00"),
        spelled(b"|\x00\x00"),
        spelled(b"\x7f"),
        spelled(b"u\x00"),
        spelled(b"w\x01a", end=b"\x01"),
        spelled(b"w\x01a", end=b""),
        b"\x02" + spelled(b"w\x01a")[1:],
        b"\x01\x01\x07\x00\x28\x01\x08products\x01\xff\x01w\x00\x00",
        b"\x01\x01\x07\x00\x28\x01\x08products\x01k\x02w\x00\x00",
        b"\x01\x01\x07\x00\x28\x01\x08products\x01k\x02x\x00",
        b"\x01\x01\x07\x00\x28\x01\x08products\x00",
        b"\x01\x01\x07\xff\xff\xff\xff\x07\x28\x01\x08products\x01k\x01x\x00",
        b"\x01\x01\x07\x80\x00\x28\x01\x08products\x01k\x01x\x00",
    ],
)
def test_of_anything_else_nothing_is_said(update):
    assert plain_keys(update, ROOT) is None


def test_another_root_is_not_the_one_that_was_asked_for():
    assert plain_keys(update_of({"A/name": "x"}), "other") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"\x01x", True),
        (b"\x01y", False),
        (b"\x01~", None),
        (b"\x01}\x07", 7.0),
        (b"\x01}\x47", -7.0),
        (b"\x01}\x9f\x1f", 2015.0),
        (b"\x01|\x3f\x00\x00\x00", 0.5),
        (b"\x01{\x3f\xe0\x00\x00\x00\x00\x00\x00", 0.5),
    ],
)
def test_numbers_and_truths_are_read(value, number):
    found = read_number(value)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    "value", [b"\x01w\x00", b"\x02x", b"\x01xx", b"\x00x", b"\x01t\x00", b"\x01z" + b"\x00" * 8]
)
def test_what_is_no_number_is_not_read(value):
    with pytest.raises(Unsure):
        read_number(value)
    with pytest.raises(Unsure):
        read_scalar(b"w\x00", 0)


def test_the_scanner_tells_the_same_of_them():
    first, then = {"A/name": "x", "A/unit": "y"}, {"B/name": "z"}
    roots = frozenset((ROOT,))
    assert scan_update(update_of(first), roots=roots, flat=True) == Scan(((7, 0, 2),), (), 2, roots, ())
    scan = scan_update(update_of(then, before=first), roots=roots, flat=True)
    assert scan == Scan(((7, 2, 3),), (), 1, roots, ((7, 2),))


def test_the_scanner_keeps_its_bounds_for_them():
    update, roots = update_of({f"A/{place}": "x" for place in range(5)}), frozenset((ROOT,))
    within = {"update_bytes": len(update), "clients": 1, "blocks": 5, "deleted_ranges": 0, "values": 5}
    assert scan_update(update, roots=roots, limits=Limits(**within), flat=True).blocks == 5
    for name, error in (("blocks", UnsafeUpdate), ("values", UnsafeUpdate), ("update_bytes", RecordTooBig)):
        with pytest.raises(error):
            scan_update(update, roots=roots, limits=Limits(**{**within, name: within[name] - 1}), flat=True)


def test_up_to_its_bounds_the_scanner_needs_no_strict_reader_for_them(monkeypatch):
    monkeypatch.setattr(scanner, "UpdateReader", None)
    before = {"A/name": "x"}
    update, roots = update_of({f"B/{place}": "x" for place in range(5)}, before=before), frozenset((ROOT,))
    bounds = {"update_bytes": len(update), "clients": 1, "blocks": 5, "deleted_ranges": 0, "values": 5}
    scan = scan_update(update, roots=roots, limits=Limits(**bounds), flat=True)
    assert scan == Scan(((7, 1, 6),), (), 5, roots, ((7, 1),))


def test_what_may_hold_more_than_plain_values_is_read_strictly(monkeypatch):
    monkeypatch.setattr(scanner, "plain_keys", None)
    update, roots = update_of({"A/name": "x"}), frozenset((ROOT,))
    assert scan_update(update, roots=None, flat=True).roots == roots
    assert scan_update(update, roots=roots).blocks == 1


def test_of_several_roots_that_may_be_written_the_one_that_is_written_is_told():
    roots = frozenset((ROOT, "other", "third"))
    scan = scan_update(update_of({"A/name": "x"}), roots=roots, flat=True)
    assert scan.roots == frozenset((ROOT,))


def test_what_new_keys_hold_is_told_without_reading_each_block(monkeypatch):
    monkeypatch.setattr(flat._Reader, "_read_client", None)
    first, then = {"A/name": "é", "A/vintage": 2019, "A/colour": ""}, {"B/barcode/1": True}
    updates = [update_of(first), update_of(then, before=first)]
    assert ungrouped(flat_content(ROOT, updates)) == {**first, **then}
    another = update_of({"C/name": "y"}, client=8)
    assert ungrouped(flat_content(ROOT, [*updates, another])) == {**first, **then, "C/name": "y"}


def test_keys_are_told_by_what_stands_before_their_first_stroke():
    keys = {
        "A/name": "x",
        "A/barcode/1": True,
        "B": 1,
        "B/": 2,
        "AB/name": "y",
        "A": 3,
        "A/unit": "z",
        "/a": 4,
    }
    update = update_of(keys)
    wanted = {
        "A": {"name": "x", "barcode/1": True, "unit": "z"},
        None: {"B": 1.0, "A": 3.0},
        "B": {"": 2.0},
        "AB": {"name": "y"},
        "": {"a": 4.0},
    }
    assert flat_content(ROOT, [update]) == wanted
    assert flat_content(ROOT, [split_keys(update, ROOT)]) == wanted


def test_a_key_that_ends_where_its_value_looks_like_the_rest_of_another_is_its_own():
    update = update_of({"\x01w\x01/name": "x", "": "/"})
    assert plain_keys(update, ROOT)
    assert flat_content(ROOT, [update]) == {"\x01w\x01": {"name": "x"}, None: {"": "/"}}


def test_what_was_split_is_told_once_and_in_its_order():
    first, then = {"A/name": "x"}, {"A/name2": "y"}
    one, two = update_of(first), update_of(then, before=first)
    split = [split_keys(update, ROOT) for update in (one, two)]
    assert split[0] == plain_keys(one, ROOT)
    assert ungrouped(flat_content(ROOT, split)) == {**first, **then}
    assert flat_content(ROOT, split[::-1]) is None
    assert flat_content(ROOT, [*split, one]) is None
    assert flat_content(ROOT, [split[0], update_of(first, client=8)]) is None


def test_a_key_of_a_plain_update_is_found_again_by_who_writes_over_it():
    doc = Doc(client_id=7)
    items, updates = doc.get(ROOT, type=pycrdt.Map), []
    subscription = doc.observe(lambda event: updates.append(event.update))
    with doc.transaction():
        items["A/é"], items["B"], items["B/name"] = "x", "y", "z"
    items["A/é"], items["B"] = "x2", "y2"
    del items["B/name"]
    doc.unobserve(subscription)
    assert plain_keys(updates[0], ROOT)
    assert ungrouped(flat_content(ROOT, updates)) == {"A/é": "x2", "B": "y2"}


def test_the_scanner_tells_which_updates_can_be_split():
    update, roots = update_of({"A/name": "x"}), frozenset((ROOT,))
    assert scan_update(update, roots=roots, flat=True).is_plain
    long = update_of({"A/name": "x" * 128})
    assert not scan_update(long, roots=roots, flat=True).is_plain


def test_new_keys_that_come_twice_or_with_something_missing_are_left_to_the_engine():
    first, then = {"A/name": "x"}, {"B/name": "y"}
    assert flat_content(ROOT, [update_of(then, before=first)]) is None
    assert flat_content(ROOT, [update_of(first), update_of(first)]) is None
    assert flat_content(ROOT, [update_of(first), update_of(first, client=8)]) is None
