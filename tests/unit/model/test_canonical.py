import json
from time import process_time

import pytest

from crdtsync.errors import MalformedRecord
from crdtsync.model.canonical import DEPTH_MAX, decode, encode

HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"a":"\xff"}',
    "not an object": b"[1]",
    "a number alone": b"1",
    "a float": b'{"a":1.5}',
    "a float that is whole": b'{"a":1.0}',
    "an exponent": b'{"a":1e3}',
    "minus zero": b'{"a":-0}',
    "a leading zero": b'{"a":01}',
    "null": b'{"a":null}',
    "null in a list": b'{"a":[null]}',
    "not a number": b'{"a":NaN}',
    "2^53": b'{"a":9007199254740992}',
    "-2^53": b'{"a":-9007199254740992}',
    "2^64": b'{"a":18446744073709551616}',
    "a duplicate key": b'{"a":1,"a":1}',
    "keys out of order": b'{"b":1,"a":1}',
    "a space": b'{"a": 1}',
    "a line end": b'{"a":1}\n',
    "bytes after the end": b'{"a":1}x',
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "an escape that is not needed": b'{"a":"\\u0041"}',
    "an escaped slash": b'{"a":"\\/"}',
    "an escape in capitals": b'{"a":"\\u001F"}',
    "a control character": b'{"a":"\x01"}',
    "a long escape of a newline": b'{"a":"\\u000a"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "a surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "an escaped pair": b'{"a":"\\ud83c\\udf77"}',
    "NFD": '{"a":"abi\u0302me\u0301"}'.encode(),
    "NFD in a list": '{"a":["x",{"b":["e\u0301"]}]}'.encode(),
    "a key that is not ASCII": '{"é":1}'.encode(),
    "a deep key that is not ASCII": '{"a":[{"é":1}]}'.encode(),
    "a key that is not ASCII before a quote": '{"é\\"a":1}'.encode(),
    "a key that is not ASCII before a backslash": '{"é\\\\":1}'.encode(),
    "a key that is not ASCII before an escape": '{"é\\u0001a":1}'.encode(),
    "a key that ends outside ASCII": '{"aé🍷":"é"}'.encode(),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedRecord):
        decode(data)


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_a_hundred_thousand_levels_are_refused_without_harm(opening: bytes) -> None:
    closing = b"}" if opening.startswith(b"{") else b"]"
    for data in (opening * 100_000, opening * 100_000 + b"1" + closing * 100_000):
        with pytest.raises(MalformedRecord):
            decode(data)


def nested(levels: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_eight_levels_are_the_limit() -> None:
    deepest = encode(nested(DEPTH_MAX))
    assert decode(deepest) == nested(DEPTH_MAX)
    with pytest.raises(MalformedRecord, match="nesting"):
        decode(b'{"a":' + deepest + b"}")
    with pytest.raises(MalformedRecord, match="nesting"):
        encode(nested(DEPTH_MAX + 1))


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        (1,),
        {1},
        b"x",
        "\ud800",
        "e\u0301",
        {"é": 1},
        {1: 2},
        object(),
    ],
)
def test_what_has_no_canonical_form_is_not_written(value: object) -> None:
    with pytest.raises(MalformedRecord):
        encode({"a": value})


def test_a_list_that_holds_itself_is_not_written() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(MalformedRecord):
        encode({"a": endless})


@pytest.mark.parametrize("text", ["é" * 30_000, 'é"' * 15_000, "é\\" * 15_000, "é:" * 20_000, "🍷" * 15_000])
def test_a_long_label_outside_ascii_is_read_at_once(text: str) -> None:
    data = encode({"label": text, "n": 1})
    began_s = process_time()
    assert decode(data) == {"label": text, "n": 1}
    assert process_time() - began_s < 0.5


def test_text_that_looks_like_a_key_is_text() -> None:
    value = {"a": 'é":', "b": ['é\\":', {"c": 'é\\\\"'}], "d": 5}
    assert decode(encode(value)) == value


def test_any_mapping_is_written() -> None:
    from types import MappingProxyType

    assert encode(MappingProxyType({"b": 1, "a": True})) == b'{"a":true,"b":1}'


def test_a_newline_before_a_combining_mark_is_no_composition() -> None:
    text = "line\n\u0303"
    assert decode(encode({"a": text})) == {"a": text}


def test_what_is_written_is_plain_json() -> None:
    value = {"z": [1, -1, 2**53 - 1, True, 'abîmé 🍷 "\\\n\x01/'], "a": {}, "m": []}
    assert json.loads(encode(value)) == value
