import orjson
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import MalformedRecord
from crdtsync.model.canonical import decode, encode

keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=6)
strings = st.text(max_size=8).filter(lambda text: text.isascii()) | st.sampled_from(
    ["é", "Château", "🍷", "\u202f€", "\x00\x1f\x7f", '"\\/', "\u2028", "ﬀ"]
)
scalars = st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | strings
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(keys, values, max_size=6)


def levels(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(levels, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(levels, value), default=0)
    return 0


shallow = objects.filter(lambda value: levels(value) <= 8)


@given(shallow)
def test_what_is_written_is_what_the_standard_writes(value: dict[str, object]) -> None:
    assert encode(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(shallow)
def test_what_is_written_is_read_again(value: dict[str, object]) -> None:
    assert decode(encode(value)) == value


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]":,0123456789.e-tnul\\ aé', max_size=40).map(str.encode)
)
def test_any_bytes_are_canonical_or_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except MalformedRecord:
        return
    assert encode(value) == data


@given(shallow, st.data())
def test_no_other_bytes_are_read_as_the_same_object(value: dict[str, object], data: st.DataObject) -> None:
    written = encode(value)
    place = data.draw(st.integers(0, len(written) - 1))
    byte = data.draw(st.binary(max_size=2))
    changed = written[:place] + byte + written[place + 1 :]
    try:
        read = decode(changed)
    except MalformedRecord:
        return
    assert (read == value and same_types(read, value)) == (changed == written)


odd_keys = st.text(alphabet='é🍷a"\\\\:,{}\x01\x7f', max_size=5)


@given(
    st.recursive(
        st.dictionaries(odd_keys, st.integers(0, 9) | odd_keys, max_size=3),
        lambda inner: st.dictionaries(odd_keys, inner, max_size=2),
        max_leaves=3,
    )
)
def test_an_object_is_written_and_read_if_all_its_keys_are_ascii(value: dict[str, object]) -> None:
    for take in (encode, lambda found: decode(orjson.dumps(found, option=orjson.OPT_SORT_KEYS))):
        try:
            taken = take(value)
        except MalformedRecord:
            taken = None
        assert (taken is not None) == all(key.isascii() for key in keys_of(value))


def keys_of(value: object) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [*value, *(key for inner in value.values() for key in keys_of(inner))]


def same_types(a: object, b: object) -> bool:
    """``True == 1`` in Python, but not in JSON."""
    if isinstance(a, dict) and isinstance(b, dict):
        return all(same_types(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return all(map(same_types, a, b))
    return type(a) is type(b)
