"""What is held comes in as soon as what it waited for is there, in whatever order all of it came."""

import itertools

import pytest

from crdtsync.ids import entry_record
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.taking import take_records
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing.till import MemoryOwner


@pytest.fixture
def owner():
    """An owner with a third key by now, and the till that this one let in."""
    owner = MemoryOwner()
    owner.rotate("second")
    owner.rotate("third")
    owner.till = owner.enrol("Caisse 1")
    owner.till.sell()
    return owner


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_nothing_is_held_any_more_when_the_last_that_was_missing_has_come(owner, order):
    first, *others = owner.sealed
    parts = [*([one] for one in others), owner.till.sealed]
    store = MemoryStore(MemoryDisk())
    with store.transaction():
        log = store.create_shop(owner.author, b"l" * 16)
    admission = Admission(owner.author)
    for number, part in enumerate([[first], *(parts[place] for place in order)]):
        records = [(100 * number + place, entry_record(one)) for place, one in enumerate(part)]
        take_records(store, admission, b"s" * 16, "register", records, 0)
    assert log.apart() == []
    assert log.end.seq == len(owner.entries) + len(owner.till.entries)
