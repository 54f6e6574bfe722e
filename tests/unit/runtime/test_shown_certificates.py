"""A device brings along what proves it: that counts as it would in the log, and no more."""

import pytest

from crdtsync.model.chain import advance
from crdtsync.runtime.committing.admission import Admission
from crdtsync.testing.till import MemoryOwner


@pytest.fixture
def owner():
    """An owner who let a till in, and whose key was stolen, and given up for another one."""
    owner = MemoryOwner()
    owner.enrol("till 1", series="01")
    owner.stolen = owner.key
    owner.rotate()
    owner.late = owner.enrol("till 2", series="02")
    return owner


def admission_of(owner, entries=None):
    admission = Admission(owner.author)
    for entry in owner.entries if entries is None else entries:
        admission.directory = admission.directory.with_entry(entry)
    return admission


def thief_of(owner, number):
    """Whoever goes on with the stolen key after that entry of the chain."""
    thief = MemoryOwner()
    thief.entries.clear()
    thief.head, thief.moment, thief.key = None, owner.moment, owner.stolen
    for entry in owner.entries[:number]:
        thief.head = advance(thief.head, entry)
        thief.entries.append(entry)
    return thief


@pytest.mark.parametrize("number", [1, 2])
def test_whoever_has_the_key_of_before_hands_it_over_to_nobody(owner, number):
    """A rotation of his own with a lower number would come before the owner's."""
    thief = thief_of(owner, number)
    thief.rotate("the thief's")
    device = thief.enrol("another till", series="66")
    assert admission_of(owner).certificate(device.author, thief.sealed) is None
    assert admission_of(owner).certificate(device.author, thief.sealed[::-1]) is None


def test_a_certificate_by_the_key_of_before_is_none(owner):
    thief = thief_of(owner, 2)
    device = thief.enrol("another till", series="66")
    assert admission_of(owner).certificate(device.author, thief.sealed) is None


@pytest.mark.parametrize("known", [0, 1, 2, 3])
def test_a_relay_that_was_put_back_learns_who_comes_from_what_it_brings(owner, known):
    admission = admission_of(owner, owner.entries[:known])
    assert admission.certificate(owner.late.author, owner.sealed).name == "till 2"
    assert admission.certificate(owner.late.author, owner.sealed[::-1]).name == "till 2"
    assert admission.directory.certificate(owner.late.author) is None
