"""Integers, text and values of lib0: each form read to its last byte, each bound from both sides."""

import pytest

from crdtsync.errors import UnsafeUpdate
from crdtsync.protocol.lib0 import ValueReader, read_name, read_text, read_varuint
from crdtsync.protocol.scanner import scan_update
from crdtsync.protocol.yjs import Limits
from crdtsync.testing.yjs_bytes import item, text, update, varuint

REFUSED = (UnsafeUpdate, IndexError)
"""What the reader of a whole update makes a refusal of."""


def signed(number, *, negative=False):
    """A signed integer as lib0 writes it."""
    first, rest = number & 0x3F | (0x40 if negative else 0), number >> 6
    return bytes([first]) if not rest else bytes([first | 0x80]) + varuint(rest)


def value_end(data, *, values_max=10, depth_max=4):
    """Where the value at the beginning ends."""
    return ValueReader(data, values_max=values_max, depth_max=depth_max)._any(0, 0)


# -- integers ------------------------------------------------------------------------------------------------

NUMBERS = [0, 1, 63, 64, 127, 128, 129, 255, 8191, 8192, 16_383, 16_384, 2**21, 2**31, 2**49, 2**53 - 1]


@pytest.mark.parametrize("number", NUMBERS)
def test_an_integer_is_read_as_it_was_written(number):
    assert read_varuint(b"?" + varuint(number) + b"?", 1) == (number, 1 + len(varuint(number)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (varuint(2**53), "out of range"),
        (varuint(2**56), "out of range"),
        (b"\x80" * 9 + b"\1", "too long"),
        (b"\x80\0", "not minimal"),
    ],
)
def test_an_integer_that_is_none_is_refused_for_what_it_is(data, why):
    with pytest.raises(UnsafeUpdate, match=f"byte 1 of the update: .*{why}"):
        read_varuint(b"?" + data, 1)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("negative", [False, True])
def test_a_signed_integer_is_read_to_its_last_byte(number, negative):
    data = b"\x7d" + signed(number, negative=negative)
    assert value_end(data) == len(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (signed(2**53), "out of range"),
        (signed(2**55), "out of range"),
        (b"\x80" * 9 + b"\1", "too long"),
        (b"\x80\0", "not minimal"),
    ],
)
def test_a_signed_integer_that_is_none_is_refused_for_what_it_is(data, why):
    with pytest.raises(UnsafeUpdate, match=f"byte 1 of the update: .*{why}"):
        value_end(b"\x7d" + data)


# -- text ----------------------------------------------------------------------------------------------------


def test_a_text_may_end_with_the_bytes():
    assert read_text(b"?\3abc", 1) == ("abc", 5)


def test_a_text_that_is_cut_short_is_refused():
    with pytest.raises(UnsafeUpdate, match="a string is cut short"):
        read_text(b"\3ab", 0)


def test_a_name_may_be_as_long_as_its_bound_and_no_longer():
    assert read_name(b"?????\3abc", 5, 3) == ("abc", 9)
    with pytest.raises(UnsafeUpdate, match="too long"):
        read_name(b"?????\4abcd", 5, 3)


def test_a_long_name_is_measured_without_its_prefix():
    assert read_name(text("n" * 512), 0, 512) == ("n" * 512, 514)


# -- values --------------------------------------------------------------------------------------------------

WHOLE = [
    b"\x78",
    b"\x79",
    b"\x7e",
    b"\x7f",
    b"\x7d\0",
    b"\x77\3abc",
    b"\x77\0",
    b"\x74\3abc",
    b"\x7c" + bytes(4),
    b"\x7b" + bytes(8),
    b"\x7a" + bytes(8),
    b"\x75\0",
    b"\x76\0",
    b"\x75\2\x78\x75\1\x7e",
    b"\x76\1\1a\x76\1\1a\x78",
]


@pytest.mark.parametrize("data", WHOLE, ids=bytes.hex)
def test_a_value_may_end_with_the_bytes(data):
    assert value_end(data) == len(data)


@pytest.mark.parametrize("data", [data for data in WHOLE if len(data) > 1], ids=bytes.hex)
def test_a_value_that_is_cut_short_is_refused(data):
    for length in range(1, len(data)):
        with pytest.raises(REFUSED):
            value_end(data[:length])


def test_a_value_of_an_unknown_kind_is_refused_where_it_stands():
    for tag in sorted(set(range(256)) - set(range(0x74, 0x80))):
        try:
            value_end(bytes([tag, 0, 0, 0]))
        except UnsafeUpdate as refusal:
            said = str(refusal)
        else:
            said = "nothing"
        assert "byte 0 of the update: an unknown kind" in said, tag


def test_a_count_is_refused_before_what_it_counts_is_looked_for():
    with pytest.raises(UnsafeUpdate, match="3 values are too many"):
        value_end(b"\x75\3\x78\x78")


def test_values_are_nested_as_deep_as_they_may_be_and_no_deeper():
    assert value_end(b"\x75\1" * 4 + b"\x7e") == 9
    with pytest.raises(UnsafeUpdate, match="nested too deep"):
        value_end(b"\x75\1" * 5 + b"\x7e")


def test_values_at_every_depth_count_against_one_allowance():
    data = b"\x75\2\x75\1\x7e\x7e"
    assert value_end(data, values_max=3) == len(data)
    with pytest.raises(UnsafeUpdate, match="too many"):
        value_end(data, values_max=2)


# -- JSON ----------------------------------------------------------------------------------------------------


def scan_json(kind, words, values=100):
    limits = Limits(update_bytes=10_000, clients=9, blocks=9, deleted_ranges=9, values=values)
    return scan_update(update(item(kind, text(words))), roots=None, limits=limits)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_is_nested_as_deep_as_it_may_be_and_no_deeper(opening, closing):
    assert scan_json(5, opening * 31 + "[]" + closing * 31).blocks == 1
    with pytest.raises(UnsafeUpdate, match="nested too deep"):
        scan_json(5, opening * 32 + "[]" + closing * 32)


@pytest.mark.parametrize("words", ["[1,[2,3]]", '{"a":1,"b":{"c":2,"d":3}}'])
def test_values_in_json_count_at_every_depth(words):
    assert scan_json(5, words, values=4).blocks == 1
    with pytest.raises(UnsafeUpdate, match="too many"):
        scan_json(5, words, values=3)


@pytest.mark.parametrize("words", ["undefined", "defined", "NaN"])
def test_other_words_are_no_json(words):
    with pytest.raises(UnsafeUpdate, match="not JSON"):
        scan_json(5, words)
