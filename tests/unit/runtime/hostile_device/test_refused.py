"""What is no entry, or has not the form of one, is refused by both sides and kept apart."""

import pytest

from crdtsync.model import sealed
from crdtsync.testing.strange_entries import signed_as_it_is
from crdtsync.testing.strategies.entries import WRONGS
from tests.unit.runtime.hostile_device.conftest import both, one_of, resealed, shop
from tests.unit.runtime.hostile_device.test_named import FLAGGED_BY_KIT

# It prints what it finds, and an entry may be long.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


REFUSED = {
    "a float": "malformed",
    "a number with an exponent": "malformed",
    "an integer of 2^53": "malformed",
    "an integer of 2^64": "malformed",
    "a key twice": "malformed",
    "null": "malformed",
    "nine levels": "malformed",
    "a string that is not in NFC": "malformed",
    "a key outside ASCII": "malformed",
    "a space": "malformed",
    "a letter spelled as an escape": "malformed",
    "keys in another order": "malformed",
    "a byte order mark": "malformed",
    "more bytes than an entry may have": "too-big",
    "a signature with a high s": "bad-signature",
    "a second spelling of its signature": "malformed",
    "a signature with padding": "malformed",
    "a signature in hexadecimal": "malformed",
    "a signature in the other alphabet": "malformed",
    "no signature": "malformed",
    "the signature of another key": "bad-signature",
    "a body that was changed after it was signed": "bad-signature",
    "its end cut off": "malformed",
    "a byte too many": "malformed",
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_is_no_entry_is_refused_by_both_and_kept_apart(sides, wrong):
    _, device, _ = shop()
    hostile = one_of(wrong)
    for side in sides:
        assert side.bring(*device.sealed[: hostile.n - 1]) == []
    before = [side.look() for side in sides]
    assert both(sides, hostile.sealed) == [REFUSED[wrong]]
    assert [side.look() for side in sides] == before
    for side in sides:
        assert side.apart() == {hostile.sealed: REFUSED[wrong]}
        # What is as it should be goes on: the one that stands in its place is taken, and those after it.
        assert side.bring(*device.sealed[hostile.n - 1 :]) == []
        assert side.flags() == set()


def test_every_wrong_of_the_kit_is_in_one_of_the_tables():
    assert {*REFUSED, *FLAGGED_BY_KIT, "the chain of a register that nobody enrolled"} == set(WRONGS)


def of_version(n):
    return lambda device: resealed(device.entries[2], v=n)


FORMS = {
    "version 2": of_version(2),
    "version 0": of_version(0),
    "a version that is a text": of_version("1"),
    "a first entry in the middle": lambda device: resealed(device.entries[2], kind="register"),
    "an owner's kind in a register's chain": lambda device: resealed(device.entries[2], kind="certify"),
    "more of a kind than entries": lambda device: resealed(device.entries[2], n=99),
    "a day that there never was": lambda device: resealed(device.entries[2], bd="2026-02-30"),
    "number 0": lambda device: signed_as_it_is(
        sealed.split(device.entries[2].sealed)[0].replace(b'"seq":3', b'"seq":0'), device.key
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_has_not_the_form_of_an_entry_is_refused_by_both_although_it_is_signed(sides, form):
    _, device, _ = shop()
    before = [side.look() for side in sides]
    (code,) = both(sides, FORMS[form](device))
    assert code == ("other-shop" if "owner" in form else "malformed")
    assert [side.look() for side in sides] == before
