"""The back office records deliveries, losses and counts in a chain of its own, as a register would."""

import shutil

import pytest

from crdtsync.errors import AccessDenied, InvalidSale, SetupError
from crdtsync.ids import ENTRY
from crdtsync.model.admission import judge_run
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import read_entry
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.runtime.committing.writer import append_entry
from crdtsync.runtime.folder.identity import HEAD
from crdtsync.runtime.register.verify import verify_log
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder
from crdtsync_server.keys import office_device_id
from crdtsync_server.open import open_store
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.office_chain import OfficeChain
from crdtsync_server.shops.owner import OwnerChain
from crdtsync_server.shops.owner_keys import request_for, sign, take_answer

DELIVERY = build_move([Moved("CM-19", 12_000, "delivery", "BL 4711")])


class Desk:
    """A relay's folder with one shop, opened, and the pen of its back office."""

    def __init__(self, root, clock, seeded):
        self.root, self.folder = root, DataFolder.create(root)
        self.access = Access(self.folder, clock=clock, random=seeded)
        self.store = open_store(self.folder)
        self.access.index_shops(self.store)
        self.restored = self.access.notice_restore(self.store)
        if not self.access.shops():
            self.access.create_shop(self.store, "Cave du Port")
        [self.shop] = self.access.shops()
        self.log = self.store.shop(self.shop.id)
        self.chain = OfficeChain(self.access, self.store, self.shop.id, clock, seeded)

    def deliver(self, **more):
        return self.chain.record("move", DELIVERY, by="M1", **more).entry

    def entries(self):
        """What back offices of the shop have made, in the order of the log."""
        found = [
            read_entry(row[1:]) for _, row in self.log.read(0, bytes_max=1 << 20).records if row[:1] == ENTRY
        ]
        return [entry for entry in found if entry.author != self.shop.id]

    def offices(self):
        certificates = OwnerChain.read(self.log).directory.certificates()
        return [one for one in certificates if one.device == office_device_id(one.public)]

    def close(self):
        self.access.close()
        self.store.close()


@pytest.fixture
def opened(tmp_path, clock, seeded):
    """Opens the relay's folder; closes what it has opened before."""
    present = []

    def open_it():
        while present:
            present.pop().close()
        present.append(Desk(tmp_path / "relay", clock, seeded))
        return present[0]

    yield open_it
    present[0].close()


@pytest.fixture
def desk(opened):
    return opened()


def test_a_delivery_is_an_entry_of_the_back_offices_own_chain(desk):
    entry = desk.deliver()
    [office] = desk.offices()
    first, second = desk.entries()
    assert (first.kind, first.author, first.body["series"]) == ("register", office.device, office.series)
    assert (second.link, second.kind, second.facts.n) == (entry.link, "move", 2)
    assert (second.facts.chain, second.facts.prev, second.body["op"]) == (first.link, first.link, "M1")
    assert second.body["lines"] == [{"sku": "CM-19", "qty": 12_000, "why": "delivery", "ref": "BL 4711"}]


def test_what_it_records_is_on_disk_when_it_returns(desk):
    entry = desk.deliver()
    other = SqliteStore(desk.folder.store, read_only=True, create=False)
    try:
        assert other.shop(desk.shop.id).entry(entry.facts.chain, 2) == (entry.sealed,)
    finally:
        other.close()


def test_every_register_admits_it_by_the_owners_certificate(desk):
    desk.deliver()
    directory = Directory(desk.shop.id)
    for entry in OwnerChain.read(desk.log).entries:
        directory = directory.with_entry(entry)
    verdicts = judge_run([entry.sealed for entry in desk.entries()], directory)
    assert [verdict.code for verdict in verdicts] == ["", ""]


def test_numbers_go_on_without_a_gap_when_the_relay_starts_again(desk, opened):
    desk.deliver()
    again = opened()
    assert again.restored == []
    assert again.deliver().facts.n == 3
    assert [entry.facts.n for entry in again.entries()] == [1, 2, 3]


def test_the_same_request_is_recorded_once(desk):
    assert desk.deliver(request_id="form 1").link == desk.deliver(request_id="form 1").link
    assert len(desk.entries()) == 2


def test_a_count_includes_what_is_known_here(desk):
    delivery = desk.deliver()
    count = desk.chain.record(
        "count", lambda _: build_count({"CM-19": 11_000}, cut=desk.chain.cut()), by="M1"
    ).entry
    assert count.body["cut"][delivery.facts.chain.hex()] == 2


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("sale", {"lines": []}), ("close", {}), ("move", {"lines": "twelve"}), ("print", {"rank": 1})],
)
def test_what_it_may_not_record_leaves_nothing(desk, kind, payload):
    desk.deliver()
    with pytest.raises(InvalidSale):
        desk.chain.record(kind, payload, by="M1")
    assert len(desk.entries()) == 2


def test_with_the_owners_key_kept_elsewhere_nothing_is_recorded(desk, tmp_path):
    shutil.move(desk.folder.keys / f"{desk.shop.id.hex()}.owner", tmp_path / "owner.key")
    for _ in range(2):
        with pytest.raises(SetupError, match="waits for its signature"):
            desk.deliver()
    assert desk.entries() == []


def test_once_the_owner_has_signed_it_elsewhere_it_records(desk, tmp_path, clock):
    key = desk.access.keys.owner_key(desk.shop.id)
    shutil.move(desk.folder.keys / f"{desk.shop.id.hex()}.owner", tmp_path / "owner.key")
    with pytest.raises(SetupError):
        desk.deliver()
    answer, [signed] = sign(request_for(desk.access, desk.store, desk.shop.id, []), key, clock)
    assert (signed.name, signed.role, signed.series) == ("Back office", "backoffice", "01")
    take_answer(desk.access, desk.store, desk.shop.id, answer)
    assert desk.deliver().facts.n == 2


def test_a_back_office_that_was_revoked_records_nothing_more(desk):
    desk.deliver()
    [office] = desk.offices()
    desk.access.revoke(desk.store, desk.shop.id, office.device, "given up")
    with pytest.raises(AccessDenied):
        desk.deliver()


def test_after_a_restore_it_is_another_device_and_gives_no_number_again(desk, opened, tmp_path):
    before = desk.deliver()
    desk.close()
    shutil.copytree(desk.root, tmp_path / "backup")
    desk = opened()
    lost = desk.deliver()
    desk.close()
    shutil.rmtree(desk.root)
    shutil.copytree(tmp_path / "backup", desk.root)
    desk = opened()
    anew = desk.deliver()
    old, new = desk.offices()
    assert (anew.author, anew.facts.chain != before.facts.chain) == (new.device, True)
    assert old.series != new.series
    first = read_entry(desk.log.entry(anew.facts.chain, 1)[0])
    assert first.body["heads"] == [{"chain": before.facts.chain.hex(), "seq": 2, "link": before.link.hex()}]
    # A register brings back what the backup lacks: it belongs to the chain of the one before.
    with desk.store.transaction():
        assert append_entry(desk.log, lost) is not None
    assert desk.deliver().facts.n == 3
    assert verify_log(desk.log, bytes.hex).findings == ()


def test_a_chain_that_went_on_elsewhere_is_left_alone(desk, opened, tmp_path):
    """A whole machine put back, disk and all: no folder tells it. What registers bring back does."""
    desk.deliver()
    copies = {path: path.read_bytes() for path in sorted(desk.root.glob("*.sqlite*"))}
    lost = desk.deliver()
    desk.close()
    for path, data in copies.items():
        path.write_bytes(data)
    desk = opened()
    with desk.store.transaction():
        append_entry(desk.log, lost)
    assert desk.deliver().facts.chain != lost.facts.chain
    assert len(desk.offices()) == 2
    assert desk.log.links_at(lost.facts.chain, 4) == []


@pytest.mark.parametrize("note", [None, b"{"])
def test_where_the_note_of_its_end_is_lost_it_begins_another_chain(desk, note):
    entry = desk.deliver()
    with desk.store.transaction():
        desk.log.set_state(HEAD, note)
    anew = desk.deliver()
    assert (anew.facts.n, anew.facts.chain != entry.facts.chain) == (2, True)
    assert len(desk.offices()) == 2
