"""Tickets read in bulk."""

import unicodedata

import msgspec
import pytest

from crdtsync.model import sealed
from crdtsync.model.entry import ENTRY_BYTES_MAX, Entry, read_entry
from crdtsync.model.plain import PLAIN_TYPES, read_plain
from crdtsync.testing.strange_entries import signed_as_it_is
from crdtsync.testing.till import TERRINE, WINE, MemoryOwner

OWNER = MemoryOwner()
TILL = OWNER.enrol("Caisse 1")
TILL.sell(WINE, TERRINE)
TICKET = TILL.entries[-1]


@pytest.mark.parametrize("of", PLAIN_TYPES, ids=lambda of: of.__name__)
def test_fields_are_written_in_the_order_of_canonical_json(of: type) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(of)]
    assert names == sorted(names)


def test_the_body_is_read_when_it_is_asked_for() -> None:
    plain = read_plain(TICKET.sealed)
    assert plain is not None
    assert plain.body is plain.body
    assert plain == read_entry(TICKET.sealed) == TICKET
    assert repr(plain) == f"Entry(sale 2 of {TICKET.till[:8]}, {TICKET.link.hex()[:8]})"


def test_an_entry_is_no_other_thing() -> None:
    other = Entry(TICKET.sealed, {**TICKET.body, "ttc": 1}, TICKET.facts)
    assert other != TICKET
    assert TICKET.sealed != TICKET
    with pytest.raises(TypeError):
        hash(TICKET)


def test_a_ticket_of_any_length_that_is_allowed() -> None:
    body, text = sealed.split(TICKET.sealed)
    for size in (ENTRY_BYTES_MAX, ENTRY_BYTES_MAX + 1):
        longer = sealed.join(body.replace(b'"u-lea"', b'"u-lea"'), text)
        label = b'"label":"' + b"x" * (size - len(longer))
        data = sealed.join(body.replace(b'"label":"', label, 1), text)
        assert len(data) == size
        assert (read_plain(data) is not None) == (size == ENTRY_BYTES_MAX)


@pytest.mark.parametrize("prev", ["A" * 64, "0" * 63, "0" * 62, "0" * 66, "0 " * 32, "g" * 64, ""])
def test_a_link_has_one_spelling(prev: str) -> None:
    changed = sealed.split(TICKET.sealed)[0].replace(TICKET.facts.prev.hex().encode(), prev.encode())
    assert read_plain(signed_as_it_is(changed, TILL.key)) is None


def test_no_character_of_the_first_256_composes_with_another() -> None:
    letters = [chr(code) for code in range(256)]
    assert all(unicodedata.is_normalized("NFC", one + two) for one in letters for two in letters)


def test_an_end_that_is_no_signature_is_left_to_the_exact_judge() -> None:
    for data in (
        b"",
        b"\0",
        TICKET.sealed[:86],
        TICKET.sealed[:-1],
        TICKET.sealed + b"A",
        TICKET.sealed[:-1] + b"_",
    ):
        assert read_plain(data) is None
