"""What a relay says of itself, as whoever asked reads it."""

from typing import Any

import pytest

from crdtsync.protocol.about import About, about_payload

SAID = About(b"k" * 64, 1_700_000_000_000, 1, "0.1.0", "", b"s" * 64)


def test_what_is_said_is_read_as_it_was_said() -> None:
    assert About.from_json(SAID.to_json()) == SAID


def test_the_signature_covers_what_was_asked_and_when() -> None:
    assert about_payload(b"n" * 16, 258) == b"n" * 16 + b"\x00" * 6 + b"\x01\x02"


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "no hexadecimal digits"},
        {"key": None},
        {"signature": 7},
        {"now_ms": "1"},
        {"now_ms": True},
        {"now_ms": -1},
        {"now_ms": 1 << 53},
        {"protocol": 1.0},
        {"protocol": -1},
        {"protocol": 1 << 31},
        {"version": 1},
        {"problem": None},
    ],
)
def test_what_is_no_answer_is_told_apart(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        About.from_json({**SAID.to_json(), **wrong})


@pytest.mark.parametrize("missing", list(SAID.to_json()))
def test_an_answer_has_all_its_fields(missing: str) -> None:
    with pytest.raises(ValueError, match="no answer of a relay"):
        About.from_json({name: value for name, value in SAID.to_json().items() if name != missing})


def test_texts_of_any_length_are_cut() -> None:
    read = About.from_json({**SAID.to_json(), "version": "v" * 200, "problem": "p" * 1000})
    assert (len(read.version), len(read.problem)) == (100, 500)
