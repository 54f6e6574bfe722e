"""What the relay says that a device has pending: what it was told, until it knows better."""

from contextlib import closing

import pytest

from crdtsync.ids import Position, entry_record
from crdtsync.storage.log import Cursor, Refusal
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.till import MemoryOwner
from crdtsync_server.shops.contacts import Contact, _key
from crdtsync_server.shops.devices import device_states
from crdtsync_server.shops.owner import owner_item

LOG = b"the-tills-log-id"


class Told:
    """A shop's log with a till that sold three times and said so, and of which so much has come."""

    def __init__(self, folder):
        self.owner = MemoryOwner()
        self.till = self.owner.enrol("Caisse 1")
        for _ in range(3):
            self.till.sell()
        self.store = SqliteStore(folder / "relay.sqlite")
        with self.store.transaction():
            self.log = self.store.create_shop(self.owner.author, b"l" * 16)
            for entry in self.owner.entries:
                self.log.append(owner_item(entry))
            contact = Contact(LOG, 1, 0, "crdtsync/1", 3, 12_345, log_end=4)
            self.log.set_state(_key(self.till.author), contact.to_bytes())

    def comes(self, *seqs, held=False):
        """Records of the till's log have come, and are stored or held."""
        with self.store.transaction():
            for seq in seqs:
                entry = self.till.entries[seq - 1]
                record = entry_record(entry.sealed)
                if held:
                    refusal = Refusal(seq, entry.link, "revoked", "was revoked", True)
                    self.log.refuse(LOG, refusal, record, 2)
                else:
                    self.log.append(owner_item(entry))
            self.log.set_cursor(LOG, Cursor(Position(max(seqs), bytes(32)), ()))

    @property
    def pending(self):
        [state] = device_states(self.log, is_served=False)
        return state.pending_sales, state.pending_amount_minor


@pytest.fixture
def told(tmp_path):
    told = Told(tmp_path)
    with closing(told.store):
        yield told


def test_until_all_of_it_has_come_pending_is_what_it_said(told):
    told.comes(1, 2)
    assert told.pending == (3, 12_345)


def test_when_all_of_it_is_stored_nothing_is_pending(told):
    told.comes(1, 2, 3, 4)
    assert told.pending == (0, 0)


def test_of_a_revoked_till_that_has_handed_over_pending_is_what_is_on_hold(told):
    told.comes(1, 2)
    told.comes(3, 4, held=True)
    amount = sum(entry.body["ttc"] for entry in told.till.entries[2:])
    assert told.pending == (2, amount)


def test_when_a_person_has_let_it_in_nothing_is(told):
    told.comes(1, 2)
    told.comes(3, 4, held=True)
    with told.store.transaction():
        for entry in told.till.entries[2:]:
            told.log.settle_refusals(entry.link)
    assert told.pending == (0, 0)
