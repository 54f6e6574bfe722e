"""What the kit calls hostile is what it says: whoever tests a peer with it relies on that."""

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Map

from crdtsync.errors import RecordError, RecordTooBig, UnsafeUpdate
from crdtsync.model.admission import Held, judge_entry
from crdtsync.model.sealed import link
from crdtsync.model.verify import verify_chain
from crdtsync.protocol.scanner import scan_document
from crdtsync.testing.strategies.entries import WRONGS, busy_shop, hostile_entries
from crdtsync.testing.strategies.updates import genuine_updates, hostile_updates

OWNER, TILL = busy_shop()
DIRECTORY = OWNER.directory


def verdict(hostile):
    try:
        judged = judge_entry(hostile.sealed, DIRECTORY)
    except RecordError:
        return "refused"
    if isinstance(judged, Held):
        return "held"
    chain = [*TILL.sealed[: hostile.n - 1], hostile.sealed, *TILL.sealed[hostile.n :]]
    found = {defect.link for defect in verify_chain(TILL.end.chain, chain, directory=DIRECTORY)}
    return "flagged" if link(hostile.sealed) in found else "taken for genuine"


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_wrong_with_an_entry_is_found_out(wrong):
    @settings(max_examples=12)
    @given(hostile_entries(only=[wrong]))
    def found_out(hostile):
        assert (hostile.wrong, verdict(hostile)) == (wrong, hostile.verdict)

    found_out()


def test_the_entries_that_they_are_made_of_are_genuine():
    assert all(not isinstance(judge_entry(data, DIRECTORY), Held) for data in TILL.sealed)
    assert list(verify_chain(TILL.end.chain, TILL.sealed, directory=DIRECTORY)) == []


@given(hostile_entries())
def test_no_hostile_entry_is_a_genuine_one(hostile):
    assert hostile.sealed not in TILL.sealed


def is_admitted(document, data):
    try:
        scan_document(document, data)
    except (UnsafeUpdate, RecordTooBig):
        return False
    return True


@pytest.mark.parametrize(("document", "flat"), [("x/any", False), ("catalogue", True)])
def test_a_hostile_update_is_refused_or_does_no_harm(document, flat):
    @given(hostile_updates(flat=flat))
    def kept_off(hostile):
        if is_admitted(document, hostile.data):
            assert not hostile.is_refused, hostile.wrong
            doc = Doc(client_id=0)
            doc.apply_update(hostile.data)
            doc.get_update(), doc.get_state()

    kept_off()


@pytest.mark.parametrize(("document", "flat"), [("x/any", False), ("catalogue", True)])
def test_a_genuine_update_is_admitted(document, flat):
    @given(genuine_updates(flat=flat))
    def admitted(update):
        assert is_admitted(document, update)

    admitted()


def test_updates_of_ones_own_document_can_be_made_hostile():
    mine = Doc(client_id=3)
    mine["points"] = Map({"a": "b"})
    update = mine.get_update()
    cut = find(hostile_updates(st.just(update)), lambda hostile: hostile.wrong == "cut short")
    assert update.startswith(cut.data)
