"""Whatever is sealed or sent: it is refused with an error of ours, or read and written as the same bytes.

What is admitted may still make no sense. Then it is a flag for ``verify`` and an event for the views, and
neither of them, nor a refund of it, ends in anything else.
"""

import base64
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import CrdtsyncError, MalformedRecord, RecordError, RecordTooBig
from crdtsync.model import canonical, sealed
from crdtsync.model.admission import Held, judge_entry, judge_run
from crdtsync.model.entry import ENTRY_BYTES_MAX, Entry, read_entry
from crdtsync.model.form import payload_problem
from crdtsync.model.ledger import project as document_of
from crdtsync.model.returns import Returns
from crdtsync.model.signature import PrivateKey, verify
from crdtsync.model.ticket import refund_lines, refunded
from crdtsync.model.verify import CODES, verify_chain
from crdtsync.model.views import AMOUNT_MAX, project
from crdtsync.testing.strange_entries import STRANGE_SPELLINGS, everything_once, respelled
from crdtsync.testing.strategies.entries import strange_bodies
from crdtsync.testing.till import MemoryChain, MemoryOwner, MemoryTill

OWNER = MemoryOwner()
SHOP_TILL = OWNER.enrol("Caisse 1")


TILL = everything_once(SHOP_TILL)
OWNER.revoke(MemoryTill("volée"), [TILL.end.known])
DIRECTORY = OWNER.directory
CHAINS = {chain.author: chain for chain in (TILL, OWNER)}
GENUINE = [*TILL.entries, *OWNER.entries]


rewritten = partial(strange_bodies, [TILL, OWNER])


def sealed_or_none(body: dict[str, Any], key: PrivateKey) -> bytes | None:
    try:
        return sealed.seal(body, key)
    except MalformedRecord:
        return None


@given(rewritten())
def test_a_body_with_strange_values_is_refused_or_read_as_the_same_bytes(
    case: tuple[int, MemoryChain, dict[str, Any]],
) -> None:
    _, author, body = case
    data = sealed_or_none(body, author.key)
    if data is None:
        return
    try:
        entry = read_entry(data)
    except RecordError:
        return
    assert len(data) <= ENTRY_BYTES_MAX
    assert sealed.join(canonical.encode(entry.body), sealed.split(data)[1]) == data == entry.sealed


@given(rewritten())
def test_a_body_with_strange_values_is_admitted_held_or_refused(
    case: tuple[int, MemoryChain, dict[str, Any]],
) -> None:
    _, author, body = case
    data = sealed_or_none(body, author.key)
    if data is None:
        return
    [verdict] = judge_run([data], DIRECTORY)
    try:
        judged = judge_entry(data, DIRECTORY)
        alone = judged.code if isinstance(judged, Held) else ""
    except RecordError as error:
        alone = error.code
    assert verdict.code == alone


@given(rewritten())
def test_an_admitted_entry_of_strange_values_is_named_and_stops_nothing(
    case: tuple[int, MemoryChain, dict[str, Any]],
) -> None:
    n, author, body = case
    data = sealed_or_none(body, author.key)
    others = author.sealed
    if data is None:
        return
    chain = [*others[: n - 1], data, *others[n:]]
    found = list(verify_chain(author.end.chain, chain, directory=DIRECTORY, known=[author.end.known]))
    assert {defect.code for defect in found} <= CODES.keys()
    assert all(defect.message and len(defect.link) == 32 for defect in found)
    if data != others[n - 1]:
        assert sealed.link(data) in {defect.link for defect in found} or n < len(others)


@given(rewritten())
def test_views_show_every_entry_and_add_only_what_fits(
    case: tuple[int, MemoryChain, dict[str, Any]],
) -> None:
    entry = entry_of(case)
    if entry is None:
        return
    shown = project(entry)
    assert shown.head[1]["kind"] == entry.kind
    for _, row in (shown.head, *shown.details, *shown.sums):
        for value in row.values():
            assert value is None or type(value) in (int, str, bytes)
            assert type(value) is not int or abs(value) < 2**53
    for _, row in shown.sums:
        assert all(abs(value) <= AMOUNT_MAX for value in row.values() if type(value) is int)
    assert document_of([entry.sealed])


@given(rewritten())
def test_a_strange_ticket_is_refunded_or_refused(
    case: tuple[int, MemoryChain, dict[str, Any]],
) -> None:
    entry = entry_of(case)
    if entry is None:
        return
    refunded(TILL.entries[2], [entry])
    returns = Returns()
    for each in (*TILL.entries, entry):
        returns.add(each)
    assert {defect.code for defect in returns.check(lambda place: [*TILL.entries, entry])} <= {"refund"}
    problem = payload_problem(entry.body)
    assert problem is None or problem.startswith("the field ")
    try:
        refund_lines(entry, [*TILL.entries, entry], None)
    except CrdtsyncError:
        pass


def entry_of(case: tuple[int, MemoryChain, dict[str, Any]]) -> Entry | None:
    data = sealed_or_none(case[2], case[1].key)
    try:
        return None if data is None else read_entry(data)
    except RecordError:
        return None


@given(st.data())
def test_a_body_in_another_spelling_is_refused_or_read_as_the_same_bytes(data: st.DataObject) -> None:
    body, text = sealed.split(data.draw(st.sampled_from(GENUINE)).sealed)
    colons = [place for place, byte in enumerate(body) if byte == ord(":")]
    start = data.draw(st.sampled_from([0, *(place + 1 for place in colons), len(body)]))
    end = start + data.draw(st.integers(0, 12))
    changed = body[:start] + data.draw(st.sampled_from(STRANGE_SPELLINGS)) + body[end:]
    try:
        entry = read_entry(sealed.join(changed, text))
    except (MalformedRecord, RecordTooBig):
        return
    assert canonical.encode(entry.body) == changed


@given(st.data())
def test_any_bytes_at_all_are_an_entry_or_refused(data: st.DataObject) -> None:
    genuine = data.draw(st.sampled_from(GENUINE)).sealed
    start = data.draw(st.integers(0, len(genuine)))
    end = data.draw(st.integers(start, min(len(genuine), start + 40)))
    changed = genuine[:start] + data.draw(st.binary(max_size=40)) + genuine[end:]
    try:
        entry = read_entry(changed)
    except (MalformedRecord, RecordTooBig):
        return
    assert sealed.join(canonical.encode(entry.body), sealed.split(changed)[1]) == changed


@given(st.sampled_from(GENUINE), st.data())
def test_a_signature_has_one_spelling(entry: Entry, data: st.DataObject) -> None:
    body, text = sealed.split(entry.sealed)
    key = CHAINS[entry.author].key
    raw = base64.urlsafe_b64decode(text + "==")
    other = data.draw(st.sampled_from(list(respelled(raw))) | st.binary(min_size=64, max_size=64))
    plain = base64.b64encode(other).decode().rstrip("=")
    spelled = data.draw(
        st.sampled_from(
            [
                base64.urlsafe_b64encode(other).decode().rstrip("="),
                plain,
                plain.replace("+", " "),
                text + "==",
                text[:-1],
                text + "A",
                text.upper(),
                text[:-1] + chr(ord(text[-1]) + 1),
                "\n" + text[1:],
                raw.hex()[:86],
            ]
        )
        | st.text(alphabet="ABCxyz019-_+/= \n", min_size=84, max_size=88)
    )
    assert spelled == text or not verify(key.public, body, spelled)
    try:
        judged = judge_entry(sealed.join(body, spelled), DIRECTORY)
    except RecordError:
        return
    assert isinstance(judged, Held) or spelled == text
    assert not isinstance(judged, Held) or judged.entry.facts.n == 1 or spelled == text


@given(
    st.sampled_from(GENUINE), st.sampled_from([b"", b" ", b"\1", b"\0\0", b"\r\0", b"\0\n", b".", b"\xff"])
)
def test_body_and_signature_are_parted_by_one_zero_byte(entry: Entry, separator: bytes) -> None:
    body, text = sealed.split(entry.sealed)
    for data in (body + separator + text.encode(), text.encode() + separator + body):
        try:
            read_entry(data)
        except MalformedRecord:
            continue
        raise AssertionError(f"{separator!r} was taken for a zero byte")
