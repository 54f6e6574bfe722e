"""What is read in bulk is read as the exact judge reads it: good, damaged, made to deceive."""

import string
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.errors import MalformedRecord
from crdtsync.model import sealed
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.plain import read_plain
from crdtsync.testing.strange_entries import (
    STRANGE_SPELLINGS,
    STRANGE_VALUES,
    places,
    signed_as_it_is,
    with_value,
)
from crdtsync.testing.strategies.entries import HostileEntry, busy_shop, hostile_entries, strange_bodies
from crdtsync.testing.till import MemoryChain

OWNER, TILL = busy_shop()
GENUINE = [*TILL.entries, *OWNER.entries]
TICKETS = [entry for entry in TILL.entries if entry.kind in ("sale", "refund")]
FIELDS = [(entry, where) for entry in TICKETS for where in places(entry.body)]

NUMBERS = [0, 1, -1, 2, 2**31, 2**53 - 1, 2**53, -(2**53) + 1, -(2**53), 2**63, 2**64, 253_402_300_799_999]
NUMBERS += [253_402_300_800_000, 1080, 1081, -1080, -1081]
TEXTS = [
    "",
    "é",
    "e\u0301",
    "\u0301",
    "œ",
    "€",
    "日本",
    "\U0001f377",
    "\x7f",
    "\x1f",
    '"',
    "\\",
    "/",
    "x" * 64,
    "x" * 65,
]
TEXTS += [
    "\u212b",
    "\uac00",
    "\u1100\u1161",
    "\ufeff",
    "live",
    "train",
    "sale",
    "close",
    "owner",
    "2026-02-30",
]
RAW = [
    b"null",
    b"true",
    b"1.0",
    b"1e0",
    b"-0",
    b"01",
    b"0x1",
    b"NaN",
    b"1 ",
    b'"\\u0041"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
]
RAW += [
    b'"\xc3"',
    b"{}",
    b"[]",
    b"[[[[[[[[[]]]]]]]]]",
    b'"a","v":1',
    b'1,"n":1',
    b"1}",
    b"9007199254740992",
    b'"\x01"',
]


def agree(data: bytes) -> Entry | None:
    """The entry read in bulk, which is that of the exact judge; None where it left it to that."""
    plain = read_plain(data)
    if plain is not None:
        exact = read_entry(data)
        assert (plain.facts, plain.till, plain.author) == (exact.facts, exact.till, exact.author)
        assert plain.body == exact.body
        assert plain == exact
        assert read_plain(data, exact.link) == plain, "as whoever has just unpacked it asks"
    return plain


@pytest.mark.parametrize("entry", TICKETS, ids=lambda entry: f"{entry.kind}-{entry.facts.n}")
def test_every_ticket_that_a_register_writes_is_read_in_bulk(entry: Entry) -> None:
    assert agree(entry.sealed) == entry


@pytest.mark.parametrize(
    "entry", [entry for entry in GENUINE if entry not in TICKETS], ids=lambda entry: entry.kind
)
def test_every_other_kind_is_left_to_the_exact_judge(entry: Entry) -> None:
    assert agree(entry.sealed) is None


@given(hostile_entries())
def test_an_entry_with_one_thing_wrong(case: HostileEntry) -> None:
    agree(case.sealed)


@given(partial(strange_bodies, [TILL, OWNER])())
def test_a_body_with_strange_values(case: tuple[int, MemoryChain, dict[str, Any]]) -> None:
    try:
        data = sealed.seal(case[2], case[1].key)
    except MalformedRecord:
        return
    agree(data)


@given(st.sampled_from(FIELDS), st.sampled_from([*NUMBERS, *TEXTS, *STRANGE_VALUES]))
def test_any_field_with_any_value(place: tuple[Entry, Any], value: Any) -> None:
    entry, where = place
    try:
        data = sealed.seal(with_value(entry.body, where, value), TILL.key)
    except (MalformedRecord, KeyError, TypeError):
        return
    agree(data)


@given(st.sampled_from(TICKETS), st.data())
def test_any_value_in_any_spelling(entry: Entry, data: st.DataObject) -> None:
    body, text = sealed.split(entry.sealed)
    colons = [place for place, byte in enumerate(body) if byte == ord(":")]
    start = data.draw(st.sampled_from(colons)) + 1
    end = data.draw(
        st.sampled_from([place for place, byte in enumerate(body) if byte in b",}]" and place >= start][:3])
    )
    raw = data.draw(st.sampled_from([*RAW, *STRANGE_SPELLINGS]) | st.binary(max_size=6))
    agree(sealed.join(body[:start] + raw + body[end:], text))


@given(st.sampled_from(TICKETS), st.data())
def test_any_bytes_at_all(entry: Entry, data: st.DataObject) -> None:
    whole = entry.sealed
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    agree(whole[:start] + data.draw(st.binary(max_size=40)) + whole[end:])


@given(st.sampled_from(TICKETS), st.data())
def test_another_field_twice_or_in_another_place(entry: Entry, data: st.DataObject) -> None:
    body, _ = sealed.split(entry.sealed)
    parts = body[1:-1].split(b',"')
    first, second = (data.draw(st.integers(0, len(parts) - 1)) for _ in range(2))
    moved = [*parts]
    if data.draw(st.booleans()):
        moved[first], moved[second] = moved[second], moved[first]
    else:
        moved.insert(second, parts[first])
    agree(signed_as_it_is(b"{" + b',"'.join(moved) + b"}", TILL.key))


@given(
    st.sampled_from(TICKETS),
    st.text(max_size=8),
    st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=4),
)
@example(TICKETS[0], "e\u0301", "x")
def test_words_in_any_writing(entry: Entry, words: str, name: str) -> None:
    lines = [{**line, "label": words} for line in entry.body["lines"]]
    for body in ({**entry.body, "lines": lines}, {**entry.body, "op": words}, {**entry.body, name: words}):
        try:
            data = sealed.seal(body, TILL.key)
        except MalformedRecord:
            continue
        agree(data)
