"""What a revoked device brings: known entries come in, the rest is held, and it writes no document."""

import pytest

from crdtsync.ids import OWNER_DOCUMENT, entry_record, update_record
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.taking import take_records
from crdtsync.runtime.damage.quarantine import judge_again, retry
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing import yjs_bytes
from crdtsync.testing.till import MemoryOwner

SOURCE = b"s" * 16
A_NOTE = yjs_bytes.update(yjs_bytes.item(4, yjs_bytes.text("fermé lundi"), root="note"))


class Shop:
    """A replica's log with an owner and a till of six entries, which was revoked at the fourth."""

    def __init__(self) -> None:
        self.owner = MemoryOwner()
        self.till = self.owner.enrol("Caisse 1")
        for _ in range(5):
            self.till.sell()
        self.store = MemoryStore(MemoryDisk())
        with self.store.transaction():
            self.log = self.store.create_shop(self.owner.author, b"l" * 16)
        self.admission = Admission(self.owner.author)
        self.taken = 0
        self.bring(*self.owner.sealed)

    def bring(self, *sealed, role="register"):
        """Codes of what is not admitted, by the order in which it came."""
        records = [data if data[:1] == b"U" else entry_record(data) for data in sealed]
        numbered = list(enumerate(records, start=self.taken + 1))
        self.taken += len(records)
        taken = take_records(self.store, self.admission, SOURCE, role, numbered, 0)
        return [one.code for one in taken.refused]

    def revoke_at(self, n):
        entry = self.till.entries[n - 1]
        head = self.till.end.known
        self.owner.revoke(self.till, [type(head)(head.chain, entry.link, n)])
        self.bring(self.owner.sealed[-1])

    def lose_certificate(self):
        """It is damaged and set apart, and the replica starts anew."""
        seq = max(seq for seq, _ in self.log.document_records(OWNER_DOCUMENT))
        self.store.disk.damage(self.owner.author, seq)
        with self.store.transaction():
            assert self.log.set_damaged_apart(seq, 0)
        self.admission = Admission(self.owner.author)
        self.taken = 0

    def numbers(self):
        found = [read_entry(record[1:]) for record in self.records() if record[:1] == b"E"]
        return sorted(entry.facts.n for entry in found if entry.author == self.till.author)

    def records(self):
        return [record for _, record in self.log.read(0, bytes_max=1 << 20).records]

    def forged(self, n, before):
        """Another version of entry ``n``, signed with the till's key, after the entry ``before``."""
        body = {**self.till.entries[n - 1].body, "prev": before.hex(), "op": "voleur"}
        return seal(body, self.till.key)


@pytest.fixture
def shop():
    return Shop()


def test_up_to_the_heads_known_entries_come_in_whoever_brings_them_and_when(shop):
    shop.revoke_at(4)
    assert shop.bring(*shop.till.sealed) == ["revoked", "revoked"]
    assert shop.numbers() == [1, 2, 3, 4]


def test_what_was_held_comes_in_when_a_person_lets_it_in_and_only_that(shop):
    shop.revoke_at(4)
    shop.bring(*shop.till.sealed)
    shop.bring(shop.owner.approve(shop.till, shop.till.entries[5]).sealed)
    assert shop.numbers() == [1, 2, 3, 4, 6]
    assert [apart.digest for apart in shop.log.apart()] == [shop.till.entries[4].link]


def test_an_approval_that_came_before_lets_in_what_comes_later(shop):
    shop.revoke_at(4)
    shop.bring(shop.owner.approve(shop.till, shop.till.entries[5]).sealed)
    assert shop.bring(*shop.till.sealed) == ["revoked"]
    assert shop.numbers() == [1, 2, 3, 4, 6]


def test_a_new_version_of_an_old_sale_is_held_although_its_number_was_known(shop):
    shop.bring(*shop.till.sealed[:4])
    shop.revoke_at(4)
    assert shop.bring(shop.forged(3, shop.till.entries[1].link)) == ["revoked"]
    assert shop.bring(shop.forged(2, b"\7" * 32)) == ["revoked"]
    assert shop.numbers() == [1, 2, 3, 4]
    assert judge_again(shop.log) == []
    assert retry(shop.store, shop.log) == []
    assert len(shop.log.apart()) == 2


def test_a_person_may_let_in_another_version_too(shop):
    shop.bring(*shop.till.sealed[:4])
    shop.revoke_at(4)
    forged = read_entry(shop.forged(3, shop.till.entries[1].link))
    shop.bring(forged.sealed)
    shop.bring(shop.owner.approve(shop.till, forged).sealed)
    assert shop.numbers() == [1, 2, 3, 3, 4]


def test_both_branches_that_were_known_stay_good_and_no_third(shop):
    """A disk was copied before: both versions were here when the device was cut off."""
    other = read_entry(shop.forged(3, shop.till.entries[1].link))
    shop.bring(*shop.till.sealed[:4], other.sealed)
    head = shop.till.end.known
    heads = [type(head)(head.chain, shop.till.entries[3].link, 4), type(head)(head.chain, other.link, 3)]
    shop.owner.revoke(shop.till, heads)
    fresh = Shop()
    fresh.owner, fresh.till = shop.owner, shop.till
    fresh.bring(*shop.owner.sealed)
    third = shop.forged(2, shop.till.entries[0].link)
    assert fresh.bring(*shop.till.sealed[:4], other.sealed) == []
    assert fresh.bring(third) == ["revoked"]


def test_what_lies_in_a_hole_below_a_head_comes_in(shop):
    """A replica that lacks some of it cannot say that an entry was not known: it may be what is missing."""
    shop.bring(shop.till.sealed[0], shop.till.sealed[3])
    shop.revoke_at(4)
    assert shop.bring(shop.till.sealed[1], shop.till.sealed[2]) == []
    assert shop.numbers() == [1, 2, 3, 4]


def test_what_is_in_the_log_is_no_news_after_a_revocation_with_older_heads(shop):
    shop.bring(*shop.till.sealed)
    shop.revoke_at(4)
    assert shop.bring(*shop.till.sealed) == []
    assert shop.numbers() == [1, 2, 3, 4, 5, 6]
    assert shop.log.apart() == []


def test_what_is_in_the_log_is_no_news_when_damage_took_its_certificate(shop):
    """It would be on hold and in the log at once, and pending for ever at its till."""
    shop.bring(*shop.till.sealed[:5])
    shop.lose_certificate()
    assert shop.bring(*shop.till.sealed) == ["unknown-device"]
    assert shop.numbers() == [1, 2, 3, 4, 5]
    assert [one.record for one in shop.log.apart() if one.held] == [entry_record(shop.till.sealed[5])]


def test_a_revoked_device_writes_no_document_but_what_is_there_already_is_no_news(shop):
    note = update_record("x/notes", A_NOTE)
    assert shop.bring(note) == []
    assert shop.bring(note, role="revoked") == []
    other = yjs_bytes.update(yjs_bytes.item(4, yjs_bytes.text("ouvert"), root="note"), client=9)
    assert shop.bring(update_record("x/notes", other), role="revoked") == ["not-permitted"]
    assert shop.bring(update_record("catalogue", other), role="revoked") == ["not-permitted"]
    assert retry(shop.store, shop.log) == []


def test_a_neighbours_sales_come_in_by_a_revoked_device(shop):
    neighbour = shop.owner.enrol("Caisse 2", series="02")
    neighbour.sell()
    shop.bring(*shop.owner.sealed)
    shop.revoke_at(1)
    assert shop.bring(*neighbour.sealed, role="revoked") == []
