"""Rescue files that somebody made on purpose: nothing comes in that a connection would not bring in."""

import pytest

from crdtsync.errors import InvalidRescue, UnknownShop
from crdtsync.ids import entry_record, update_record
from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.model.entry import Head, read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.runtime.committing import bounds as bounding
from crdtsync.runtime.committing.quota import Quota
from crdtsync.storage.rescue_file import CERTIFICATES, RescueWriter, read_rescue
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing import yjs_bytes
from crdtsync.testing.till import MemoryOwner, MemoryTill
from crdtsync_server.folder import DataFolder
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.owner import OwnerChain, owner_item
from crdtsync_server.shops.rescue import take_rescue

NOTE = update_record("x/notes", yjs_bytes.update(yjs_bytes.item(4, yjs_bytes.text("fermé"), root="note")))
THIEF = PrivateKey.from_seed(b"thief")


class Relay:
    """A relay's folder with one shop, in which a till is certified."""

    def __init__(self, folder, clock, seeded):
        self.folder = folder
        data = DataFolder.create(folder)
        self.access = Access(data, clock=clock, random=seeded)
        self.store = SqliteStore(data.store)
        self.clock = clock
        self.shop = self.access.create_shop(self.store, "Cave")
        self.log = self.store.shop(self.shop.id)
        self.till = self.certify(MemoryTill("Caisse 1", shop=_shop(self.shop.id)))

    def certify(self, till, role="register"):
        key = self.access.keys.owner_key(self.shop.id)
        certificate = Certificate(till.author, till.name, role, till.key.public, self.shop.id, "01")
        with self.store.transaction():
            chain = OwnerChain.read(self.log)
            entry = chain.next_entry("certify", build_certify(certificate), key, self.clock)
            self.log.append(owner_item(entry))
        return till

    def take(self, *records, till=None, key=None, shop=None, device=None, certificates=(), quota=None):
        till = till or self.till
        path = self.folder / f"{len(list(self.folder.iterdir()))}.rescue"
        writer = RescueWriter(path)
        for record in certificates:
            writer.add(record, CERTIFICATES)
        for record in records:
            writer.add(record)
        footer = {
            "shop": (shop or self.shop.id).hex(),
            "device": till.author.hex() if device is None else device,
            "name": till.name,
        }
        writer.finish(footer, lambda digest: sign_with_purpose(key or till.key, "rescue", digest))
        return take_rescue(self.access, self.store, read_rescue(path), quota or Quota(), 0)

    def records(self):
        return [record for _, record in self.log.read(0, bytes_max=1 << 20).records]


def _shop(shop):
    from crdtsync.model.chain import Shop

    return Shop(shop, "Cave")


def sales(till, many=2):
    for _ in range(many):
        till.sell()
    return [entry_record(data) for data in till.sealed]


@pytest.fixture
def relay(tmp_path, clock, seeded):
    made = Relay(tmp_path / "relay", clock, seeded)
    yield made
    made.store.close()
    made.access.close()


def why(taken):
    return {code for _, code, _ in taken.why}


def test_a_genuine_file_is_taken_whole_and_again_changes_nothing(relay):
    records = [*sales(relay.till), NOTE]
    taken = relay.take(*records)
    assert (taken.new.records, taken.new.sales, taken.is_signed) == (4, 2, True)
    before = relay.records()
    again = relay.take(*records)
    assert (again.new.records, again.known.records) == (0, 4)
    assert relay.records() == before
    assert relay.log.apart() == []


def test_a_record_that_is_there_twice_counts_once(relay):
    records = sales(relay.till)
    taken = relay.take(*records, *records)
    assert (taken.new.records, taken.known.records) == (3, 3)


def test_entries_of_another_shop_are_kept_apart(relay):
    stranger = MemoryOwner("ailleurs").enrol("Ailleurs 1")
    taken = relay.take(*sales(stranger))
    assert (taken.held.sales, taken.new.records, why(taken)) == (2, 0, {"unknown-device"})


def test_a_file_of_a_shop_that_is_not_here_is_not_taken(relay):
    with pytest.raises(UnknownShop):
        relay.take(*sales(relay.till), shop=b"x" * 16)


@pytest.mark.parametrize("device", ["zz", "ab", 5])
def test_a_file_that_names_no_device_that_could_be_is_not_taken(relay, device):
    with pytest.raises(InvalidRescue):
        relay.take(device=device)


def test_a_changed_sale_is_refused_and_the_others_come_in(relay):
    first, *others = sales(relay.till)
    forged = entry_record(seal({**read_entry(others[0][1:]).body, "ttc": 1}, THIEF))
    taken = relay.take(first, forged, *others)
    assert (taken.new.records, taken.refused.records, why(taken)) == (3, 1, {"bad-signature"})


def test_changes_of_documents_need_a_signature_of_the_device(relay):
    for key, device in ((THIEF, None), (relay.till.key, "")):
        taken = relay.take(*sales(relay.till), NOTE, key=key, device=device)
        assert (taken.is_signed, why(taken), taken.refused.records) == (False, {"not-permitted"}, 1)
    assert NOTE not in relay.records()


def test_a_display_may_not_write_the_catalogue_by_a_file_either(relay):
    display = relay.certify(MemoryTill("Écran"), role="display")
    catalogue = update_record("catalogue", NOTE[3 + len("x/notes") :])
    taken = relay.take(catalogue, till=display)
    assert (taken.is_signed, why(taken)) == (True, {"not-permitted"})


def test_bytes_that_the_scanner_refuses_are_refused(relay):
    taken = relay.take(update_record("x/notes", b"\xff" * 20), b"U", b"E{}", b"?")
    assert (taken.refused.records, taken.new.records) == (4, 0)


def test_a_certificate_that_the_owner_did_not_sign_lets_nobody_in(relay):
    own = MemoryOwner()
    stranger = own.enrol("Caisse 7")
    certificate = Certificate(stranger.author, "Caisse 7", "register", stranger.key.public, relay.shop.id)
    owners = OwnerChain.read(relay.log).entries
    body = {**owners[-1].body, **build_certify(certificate)}
    forged = entry_record(seal(body, THIEF))
    taken = relay.take(*sales(stranger), till=stranger, certificates=[forged])
    assert (taken.certificates, taken.new.records, taken.is_signed) == (0, 0, False)
    assert relay.take(*sales(stranger), certificates=map(entry_record, own.sealed)).new.records == 0


def test_a_file_brings_the_certificate_that_a_restored_relay_lacks(relay):
    """The register was enrolled after the backup: its file says so itself."""
    other = relay.certify(MemoryTill("Caisse 2", shop=_shop(relay.shop.id)))
    proofs = [entry_record(entry.sealed) for entry in OwnerChain.read(relay.log).entries]
    relay.store.close()
    relay.access.close()
    restored = relay.folder / "relay.sqlite"
    restored.unlink()
    relay.store = SqliteStore(restored)
    relay.access = Access(DataFolder(relay.folder), clock=relay.clock, random=bytes)
    assert relay.access.make_lost_shop(relay.store, relay.shop.id)
    relay.log = relay.store.shop(relay.shop.id)
    taken = relay.take(*sales(other), NOTE, till=other, certificates=proofs)
    assert (taken.new.sales, taken.new.records, taken.certificates) == (2, 4, len(proofs))


def test_a_revoked_device_that_forges_heads_is_held(relay):
    """In a first entry it may name any heads: what counts are those that the owner signed."""
    first, *others = sales(relay.till, 4)
    relay.take(first, others[0])
    assert relay.access.revoke(relay.store, relay.shop.id, relay.till.author, "volée")
    claimed = [Head(relay.till.entries[0].link, relay.till.entries[-1].link, 5)]
    again = MemoryTill("Caisse 1", shop=_shop(relay.shop.id), heads=claimed)
    taken = relay.take(*others, entry_record(again.sealed[0]))
    assert (taken.held.sales, taken.known.sales, taken.new.records) == (3, 1, 0)
    assert why(taken) == {"revoked"}


def test_what_has_no_room_stops_and_what_was_taken_stays(relay, monkeypatch):
    monkeypatch.setattr(bounding, "APART_BYTES_MAX", 1_500)
    stranger = MemoryOwner("ailleurs").enrol("Ailleurs 1")
    taken = relay.take(*sales(relay.till), certificates=())
    stopped = relay.take(*sales(stranger, 5))
    assert taken.new.sales == 2
    assert "can keep nothing more" in stopped.stopped
    assert relay.log.apart() == []


def test_what_is_over_the_quota_of_the_shop_is_held(relay):
    taken = relay.take(*sales(relay.till, 5), quota=Quota(records_max=5))
    assert taken.held.records > 0
    assert why(taken) == {"over-limit"}
