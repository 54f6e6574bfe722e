"""What an update needs of others, and what a parent may hold, where one number more or less would matter."""

import pytest

from crdtsync.errors import RecordTooBig, UnsafeUpdate
from crdtsync.protocol.scanner import Scan, scan_document, scan_update
from crdtsync.testing.yjs_bytes import NAME, entry, item, text, update

OVERWRITE = b"\xa8\7%c\1\x78"
BEFORE_ANOTHER = b"\x48\7%c\1\x78"
INSIDE_ANOTHER = b"\x08\0\7%c\1\x78"


def scan(data):
    return scan_update(data, roots=None)


def together(first, second):
    """An update of two clients: 9 with what is first, and 5."""
    return b"\2" + update(*first, client=9)[1:-1] + update(*second)[1:-1] + b"\0"


def test_the_client_with_number_1_is_one_like_all_others():
    assert scan(update(NAME, client=1)) == Scan(((1, 0, 1),), (), 1, frozenset({"products"}), ())


@pytest.mark.parametrize("block", [OVERWRITE, BEFORE_ANOTHER, INSIDE_ANOTHER])
def test_of_what_is_named_the_latest_is_needed(block):
    assert scan(update(block % 4, block % 2)).needs == ((7, 5),)


@pytest.mark.parametrize("block", [OVERWRITE, BEFORE_ANOTHER, INSIDE_ANOTHER])
def test_the_very_first_block_of_another_is_needed_too(block):
    assert scan(update(block % 0)).needs == ((7, 1),)


def test_a_deletion_of_the_last_block_that_came_along_needs_nothing():
    assert scan(update(NAME, deleted=b"\1\5\1\0\1")).needs == ()


def test_a_deletion_of_what_comes_later_is_needed():
    assert scan(update(NAME, deleted=b"\1\5\1\7\1")).needs == ((5, 8),)


# -- parents -------------------------------------------------------------------------------------------------

ELEMENT = b"\x07\0\5\0\3" + text("p")
LETTER = b"\x04\0\5\0" + text("a")
DELETED = item(1, b"\1")


@pytest.mark.parametrize(
    "data",
    [
        update(item(7, b"\4"), ELEMENT),
        update(item(7, b"\6"), LETTER),
        update(INSIDE_ANOTHER % 4),
        update(DELETED, b"\x08\0\5\0\1\x78"),
        update(b"\x08\0\5\2\1\x78", clock=4),
        together([NAME], [b"\x08\0\x09\1\1\x78"]),
        together([NAME], [b"\x08\0\x09\3\1\x78"]),
    ],
    ids=[
        "an element in a fragment",
        "text in an XML text",
        "in what another wrote",
        "in what was deleted",
        "in what it wrote before this update",
        "right behind what is here",
        "far behind what is here",
    ],
)
def test_a_block_that_fits_in_its_parent_or_whose_parent_is_elsewhere_is_read(data):
    assert scan(data).blocks


@pytest.mark.parametrize(
    "data",
    [
        update(item(7, b"\4"), LETTER),
        update(item(7, b"\6"), ELEMENT.replace(b"\x07", b"\x08", 1)),
        update(DELETED, b"\x08\0\5\0\1\x78", NAME, b"\x08\0\5\2\1\x78"),
    ],
    ids=["text in a fragment", "a value in an XML text", "behind one whose parent was deleted"],
)
def test_a_block_that_does_not_fit_in_its_parent_is_refused(data):
    with pytest.raises(UnsafeUpdate):
        scan(data)


def test_bytes_as_long_as_a_value_s_tag_are_no_value():
    block = b"\x23\1" + text("products") + text("k") + b"\x78" + bytes(0x78)
    with pytest.raises(UnsafeUpdate, match="plain values"):
        scan_document("catalogue", update(block))


@pytest.mark.parametrize("document", ["catalogue", "x/notes"])
def test_only_a_state_may_be_as_large_as_a_state(document):
    large = update(*[entry(f"k{n}", b"\x77" + text("x" * 50)) for n in range(2100)])
    assert scan_document(document, large, state=True).blocks == 2100
    with pytest.raises(RecordTooBig):
        scan_document(document, large)
