"""Every value of an entry is looked at, also behind one that is well."""

import pytest

from crdtsync.errors import MalformedRecord
from crdtsync.model.canonical import decode, encode


def test_an_entry_has_at_most_eight_levels():
    eight = b'{"a":' * 7 + b"{}" + b"}" * 7
    assert encode(decode(eight)) == eight
    with pytest.raises(MalformedRecord, match="nesting"):
        decode(b'{"a":' + eight + b"}")


def test_what_has_no_place_in_an_entry_has_none_behind_a_number_either():
    with pytest.raises(MalformedRecord, match="NoneType"):
        encode({"a": 1, "b": None})
    with pytest.raises(MalformedRecord, match="NoneType"):
        decode(b'{"a":1,"b":null}')


def test_a_number_beside_a_text_that_must_be_looked_at_is_no_text():
    value = {"label": "line\n\u0303", "n": 5}
    assert decode(encode(value)) == value
