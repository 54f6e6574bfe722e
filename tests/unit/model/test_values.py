from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Map

from crdtsync.errors import UsageError
from crdtsync.model.values import DEPTH_MAX, decode_value, encode_value

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
integers = st.one_of(st.integers(), st.integers(-(10**99), 10**99))
plain = st.one_of(st.none(), st.booleans(), integers, texts)
nested = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


def kept(value):
    """What a Yjs document makes of a value."""
    doc = Doc()
    doc.get("m", type=Map)["k"] = encode_value(value)
    copy = Doc()
    copy.apply_update(doc.get_update())
    return decode_value(copy.get("m", type=Map)["k"])


def same(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@given(nested | st.binary(max_size=20))
def test_what_is_written_comes_back_exactly(value):
    assert same(kept(value), value)


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1, 2**53, 2**63, -(2**63) - 1, 10**99, 0])
def test_an_integer_stays_an_integer_of_the_same_size(value):
    assert same(kept(value), value)


@pytest.mark.parametrize("text", ["json:", "json:5", "json:[1]", 'json:"json:"'])
def test_text_that_looks_like_an_encoding_stays_text(text):
    assert kept(text) == text


@pytest.mark.parametrize("value", ["Sancerre", 1850, True, None])
def test_any_yjs_client_can_read_plain_values(value):
    assert encode_value(value) == value


def test_a_tuple_is_kept_as_a_list():
    assert kept((1, "a")) == [1, "a"]


def test_equal_objects_are_encoded_alike():
    assert encode_value({"a": 1, "b": 2}) == encode_value({"b": 2, "a": 1}) == 'json:{"a":1,"b":2}'


def deep(levels):
    return [deep(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        Decimal("18.50"),
        date(2026, 11, 24),
        {1, 2},
        bytearray(b"x"),
        {"price": Decimal("18.50")},
        [1.5],
        {1: "a"},
        [b"x"],
        "half \ud83c",
        ["half \ud83c"],
        10**100,
        deep(DEPTH_MAX + 1),
        "x" * 20_000,
        b"x" * 20_000,
        ["x" * 20_000],
    ],
)
def test_what_a_document_would_corrupt_is_refused_by_name(value):
    with pytest.raises(UsageError, match=r"^price "):
        encode_value(value, field="price")


@pytest.mark.parametrize(
    "foreign",
    [
        1.5,
        float("nan"),
        float("inf"),
        1e300,
        [1],
        {"a": 1},
        "json:",
        "json:{",
        "json:[1.5]",
        "json: 1",
        'json:{"b":1,"a":2}',
        'json:{"a":1,"a":1}',
        "json:NaN",
        "json:" + "[" * 5000 + "]" * 5000,
        "json:" + "9" * 5000,
    ],
)
def test_what_another_program_wrote_is_refused_or_understood(foreign):
    with pytest.raises(UsageError, match=r"^price "):
        decode_value(foreign, field="price")


def test_nine_levels_are_too_many_and_eight_are_not():
    assert kept(deep(DEPTH_MAX)) == deep(DEPTH_MAX)
