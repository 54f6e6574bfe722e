"""What threads know of the devices of a shop is one object, as long as it follows from the same entries."""

import pytest

from crdtsync.ids import entry_record
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.taking import take_records
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing.till import MemoryOwner


@pytest.fixture
def owner():
    owner = MemoryOwner()
    owner.first, owner.second = owner.enrol("Caisse 1", series="01"), owner.enrol("Caisse 2", series="02")
    return owner


def log_of(owner, sealed):
    """A log that holds these entries of the owner."""
    store = MemoryStore(MemoryDisk())
    with store.transaction():
        store.create_shop(owner.author, b"l" * 16)
    records = list(enumerate(map(entry_record, sealed), start=1))
    take_records(store, Admission(owner.author), b"s" * 16, "register", records, 0)
    return store.shop(owner.author)


def admission_after(log, shop):
    admission = Admission(shop)
    admission.refresh(log)
    return admission


def test_two_who_read_the_same_entries_share_what_follows_from_them(owner):
    one, other = (admission_after(log_of(owner, owner.sealed), owner.author) for _ in range(2))
    assert one.directory is other.directory
    assert one.directory.certificate(owner.second.author) is not None


def test_who_has_read_less_knows_less_also_after_the_other(owner):
    whole = admission_after(log_of(owner, owner.sealed), owner.author)
    less = admission_after(log_of(owner, owner.sealed[:-1]), owner.author)
    assert whole.directory.certificate(owner.second.author) is not None
    assert less.directory.certificate(owner.second.author) is None
    assert less.directory.certificate(owner.first.author) is not None


def test_who_was_told_more_than_is_in_the_log_tells_nobody(owner):
    log = log_of(owner, owner.sealed[:-1])
    told = Admission(owner.author)
    for entry in owner.entries:
        told.directory = told.directory.with_entry(entry)
    told.refresh(log)
    assert told.directory.certificate(owner.second.author) is not None
    assert admission_after(log, owner.author).directory.certificate(owner.second.author) is None
