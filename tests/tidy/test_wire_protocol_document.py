"""The page that says what is on the wire says what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from crdtsync.errors import RemoteProtocolError
from crdtsync.protocol import about, codec, limits, messages
from crdtsync.protocol.backoff import RETRY_CODES, may_retry
from crdtsync.protocol.session import _HANDLERS, State
from crdtsync.runtime.syncing import address
from crdtsync.testing.messages import one_of_each

PAGE = (Path(__file__).parents[2] / "docs/reference/wire-protocol.md").read_text()


def chapter(title):
    return re.split(r"\n## ", PAGE.split(f"\n## {title}\n", 1)[1], maxsplit=1)[0]


def rows(text):
    """The cells of every table row but heads and lines."""
    table = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]
    return [row for row in table if not row[0].startswith(("---", "field", "constant", "code", "state"))]


MESSAGES = {
    int(number): (name, text)
    for number, name, text in re.findall(
        r"\n### (\d+) (\w+)\n(.*?)(?=\n### |\Z)", chapter("The messages"), re.DOTALL
    )
}


def test_every_limit_is_told_with_its_value():
    told = {name.strip("`"): int(value) for name, value, _ in rows(chapter("Limits"))}
    assert told == {name: value for name, value in vars(limits).items() if name.isupper()}


def test_every_limit_that_the_page_names_exists():
    assert set(re.findall(r"`([A-Z][A-Z_]+[A-Z])`", PAGE)) <= set(vars(limits))


def test_every_message_is_told_under_its_number():
    numbers = {
        type(message).__name__: codec._ENCODERS[type(message)](message)[0] for message in one_of_each()
    }
    assert {name: number for number, (name, _) in MESSAGES.items()} == numbers


@pytest.mark.parametrize("number", MESSAGES)
def test_the_fields_of_a_message_are_told_in_their_order(number):
    name, text = MESSAGES[number]
    told = [row[0] for row in rows(text)]
    if name == "Hello":
        assert told[:2] == ["body", "signature"]
        told = [*told[2:], "body", "signature"]
    assert told == [field.name for field in fields(getattr(messages, name))]


@pytest.mark.parametrize("number", MESSAGES)
def test_a_message_has_as_many_fields_as_are_told(number):
    name, text = MESSAGES[number]
    told = rows(text)[:2] if name == "Hello" else rows(text)
    count = sum(2 if row[1] == "position" else 1 for row in told)
    assert codec._DECODERS[number][0] == count


def test_what_may_arrive_in_which_state_is_told():
    told = {
        (state, name)
        for state, names, _ in rows(chapter("The state machine"))
        for name in names.split(", ")
        if state != State.PARTING.value
    }
    assert told == {(state.value, message.__name__) for state, message in _HANDLERS}


def test_every_close_code_is_told_with_what_follows():
    told = {int(code): retry for code, retry, _ in rows(chapter("Close codes"))}
    assert {code: may_retry(code) for code in told} == {code: retry != "no" for code, retry in told.items()}
    assert {error.close_code for error in RemoteProtocolError.__subclasses__()} <= told.keys()


def test_every_close_code_of_the_code_is_told():
    told = {int(code) for code, *_ in rows(chapter("Close codes"))}
    root = Path(__file__).parents[2]
    sources = [path.read_text() for place in ("crdtsync", "server") for path in (root / place).rglob("*.py")]
    found = {int(code) for text in sources for code in re.findall(r"\b4[45]\d\d\b(?! ?(?:to|and)\b)", text)}
    assert {code for code in found if code not in (4499, 4500, 4599)} <= told


def test_the_standard_codes_that_are_tried_again_are_told():
    told = chapter("Close codes").split("standard codes")[1].split("are tried")[0]
    assert {int(code) for code in re.findall(r"\d+", told)} == RETRY_CODES


def test_the_paths_are_told():
    assert f"`{address.SYNC_PATH}`" in chapter("Transport")
    assert f"`{address.ENROL_PATH}`" in chapter("Transport")
    assert f"`{address.ABOUT_PATH}`" in chapter("Transport")


def test_what_a_relay_says_of_itself_is_told_field_by_field():
    told = {name.strip("`") for name, *_ in rows(chapter("About"))}
    assert told == {field.name for field in fields(about.About)}
    assert f"`crdtsync/{about.ABOUT_PURPOSE}/v1`" in chapter("About")


def test_every_link_within_the_page_leads_somewhere():
    headings = re.findall(r"\n#{2,3} (.+)", PAGE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors
