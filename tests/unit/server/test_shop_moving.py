"""A shop goes into a file and out of it: whole, verified, and without touching its neighbours."""

from contextlib import closing, contextmanager

import pytest

from crdtsync.errors import DamagedStore, NotAStore, RoleTaken, SetupError, StillPending, UnknownShop
from crdtsync.ids import Item, entry_record, record_digest, split_update_record, update_record
from crdtsync.model.certificate import build_revoke
from crdtsync.model.chain import Shop
from crdtsync.model.entry import Head, read_entry
from crdtsync.model.sealed import join, seal, split
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.protocol.heads import root_digest
from crdtsync.runtime.clock import SystemClock
from crdtsync.runtime.committing.admission import Admission, entry_item
from crdtsync.runtime.committing.taking import take_records
from crdtsync.storage.log import Refusal
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing import yjs_bytes
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.records import made_up_update
from crdtsync.testing.till import MemoryTill
from crdtsync_server.backups.backup import back_up
from crdtsync_server.backups.file import MAGIC
from crdtsync_server.backups.restore import restore_from
from crdtsync_server.dashboard.history import Difference, Journal
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened
from crdtsync_server.shops.moving import erase_shop, export_shop, import_shop
from crdtsync_server.shops.owner import OwnerChain, owner_item
from crdtsync_server.shops.waiting import waiting

PASSPHRASE = b"correct horse battery staple"


class Relay:
    """A relay's folder with two shops, each with a till that has sold."""

    def __init__(self, root):
        self.root, self.folder = root, DataFolder(root)
        self.shops, self.tills = {}, {}
        with opened(root, create=True) as (access, store):
            for name in ("Cave", "Bar"):
                shop = self.shops[name] = access.create_shop(store, name).id
                till = self.tills[name] = MemoryTill(f"till of {name}", shop=Shop(shop, name))
                secret = access.issue_code(shop, "register").code.secret
                access.enrol(store, EnrolRequest(secret, till.author, till.name, till.key.public), "::1")
        for name in self.shops:
            self.sell(name, 300)

    def sell(self, name, count):
        till = self.tills[name]
        new = [*(till.entries if len(till.entries) == 1 else []), *(till.sell() for _ in range(count))]
        self.append(name, new)

    def append(self, name, entries):
        with opened(self.root) as (_, store), store.transaction():
            for entry in entries:
                store.shop(self.shops[name]).append(entry_item(entry, entry_record(entry.sealed)))

    @contextmanager
    def log(self, name):
        with closing(SqliteStore(self.folder.store, create=False)) as store:
            yield store.shop(self.shops[name])

    def digest(self, name):
        with self.log(name) as log:
            return root_digest(log.runs())

    def export(self, path, name="Cave", **more):
        return export_shop(self.folder, self.shops[name], path, random=seeded_bytes(4), **more)

    def erase(self, name="Cave", **more):
        with opened(self.root) as (access, _):
            return erase_shop(access, self.folder, self.shops[name], **{"exported": None, "told": ""} | more)


@pytest.fixture
def relay(tmp_path):
    return Relay(tmp_path / "relay")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cave.shop"


def take_in(root, path, passphrase=PASSPHRASE):
    with opened(root, create=True) as (access, store):
        return import_shop(access, store, path, passphrase=passphrase)


def test_a_shop_arrives_whole_with_what_was_kept_apart(relay, path, tmp_path):
    with opened(relay.root) as (_, store), store.transaction():
        log = store.shop(relay.shops["Cave"])
        log.append(made_up_update("x/a", b"a note"))
        stranger = MemoryTill("a stranger").entries[0]
        refusal = Refusal(7, stranger.link, "unknown-device", "nobody", True)
        log.refuse(b"a stranger's log", refusal, entry_record(stranger.sealed), 5)
        assert log.pack(100, 100)
    assert relay.export(path, passphrase=PASSPHRASE).apart == 1
    found = take_in(tmp_path / "new", path)
    assert (found.name, found.not_admitted, found.is_certified) == ("Cave", 2, True)
    with opened(tmp_path / "new") as (access, store):
        log = store.shop(relay.shops["Cave"])
        assert root_digest(log.runs()) != b""
        assert [row.code for row in log.apart()] == ["unsafe-update", "unknown-device"]
        assert access.keys.owner_key(relay.shops["Cave"])
        assert [one.name for one in access.shops()] == ["Cave"]
        assert not list(store.check())


def test_only_what_is_new_travels(relay, path, tmp_path):
    first = relay.export(path)
    take_in(tmp_path / "new", path, None)
    relay.sell("Cave", 3)
    second = relay.export(path)
    assert second.written_bytes * 2 < first.written_bytes
    assert take_in(tmp_path / "new", path, None).records == 3
    assert take_in(tmp_path / "new", path, None).records == 0


def test_a_forged_sale_in_an_export_is_kept_apart(relay, path, tmp_path):
    """Nobody has to trust the file."""
    entry = relay.tills["Cave"].sell()
    body, text = split(entry.sealed)
    forged = read_entry(join(body.replace(b"1850", b"9850"), text))
    relay.append("Cave", [forged])
    relay.export(path)
    assert take_in(tmp_path / "new", path, None).not_admitted == 1
    with opened(tmp_path / "new") as (_, store):
        assert [row.code for row in store.shop(relay.shops["Cave"]).apart()] == ["bad-signature"]


def test_without_the_owners_key_the_new_relay_waits_for_its_certificate(relay, path, tmp_path):
    relay.export(path)
    assert not take_in(tmp_path / "new", path, None).is_certified
    with opened(tmp_path / "new") as (access, store):
        [one] = waiting(store.shop(relay.shops["Cave"]))
        assert (one["payload"]["role"], one["device"]) == ("relay", access.relay_device.hex())
    with pytest.raises(SetupError, match="no keys"):
        take_in(tmp_path / "another", path)


def test_erasing_a_shop_leaves_its_neighbour_as_it_is(relay, path):
    before = relay.digest("Bar")
    kept = relay.erase()
    assert kept.name.endswith(".erased-owner")
    assert relay.digest("Bar") == before
    with closing(SqliteStore(relay.folder.store, create=False)) as store:
        assert store.shops() == [relay.shops["Bar"]]
        assert list(store.check()) == []
        left = store.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        counts = {
            name: store.connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in left
        }
        assert counts["shop"] == 1
        with pytest.raises(RuntimeError):
            store.erase_shop(relay.shops["Bar"])
        with pytest.raises(KeyError), store.transaction():
            store.erase_shop(relay.shops["Cave"])
    with opened(relay.root) as (access, store):
        with pytest.raises(UnknownShop):
            access.find_shop("Cave")
        assert access.moved.told(relay.shops["Cave"]) == ""
        assert access.moved.told(relay.shops["Bar"]) is None
        assert not access.make_lost_shop(store, relay.shops["Cave"])


def test_the_back_office_keeps_nothing_of_an_erased_shop_either(relay):
    """Views of every sale, names and sessions of its people, who changed what."""
    for name in ("Cave", "Bar"):
        visit_back_office(relay, name)
    relay.erase()
    left = [path.name for path in relay.folder.office_views.iterdir()]
    assert left == [f"{relay.shops['Bar'].hex()}.sqlite"]
    with closing(Books(relay.folder, SystemClock(), seeded_bytes(6))) as books:
        assert books.accounts.shops() == {relay.shops["Bar"]}
    on_disk = b"".join(path.read_bytes() for path in relay.root.glob("office.sqlite*"))
    assert b"Bar's owner" in on_disk
    assert b"Cave's" not in on_disk


def visit_back_office(relay, name):
    shop = relay.shops[name]
    with opened(relay.root) as (access, store):
        office = OfficeShop(store, shop, relay.folder.office_views, access, SystemClock(), seeded_bytes(5))
        assert office.file_some(lambda: False)
        office.close()
    with closing(Books(relay.folder, SystemClock(), seeded_bytes(name.encode()[0]))) as books:
        account, _ = books.accounts.create(shop, f"{name}'s owner", "owner")
        books.sessions.begin(account, address="::1", agent=f"{name}'s browser")
        change = {"CM-19": [Difference("name", None, f"{name}'s wine")]}
        Journal(books.database).note(shop, change, at_ms=5, device=None, account=f"{name}'s owner")


def test_an_export_that_lacks_something_is_no_reason_to_erase(relay, path):
    relay.export(path)
    relay.sell("Cave", 1)
    with pytest.raises(StillPending):
        relay.erase(exported=path)
    assert relay.digest("Cave")
    relay.export(path)
    relay.erase(exported=path)


def test_a_shop_that_is_served_is_not_erased(relay, path):
    with relay.folder.serving(), pytest.raises(RoleTaken):
        relay.erase()


def test_files_are_not_mixed_up(relay, path, tmp_path):
    relay.export(path)
    with pytest.raises(SetupError, match="another shop"):
        relay.export(path, "Bar")
    with pytest.raises(SetupError, match="another shop"):
        relay.erase("Bar", exported=path)
    with pytest.raises(SetupError, match="export of a shop"):
        back_up(relay.folder, path)
    with pytest.raises(SetupError, match="export of a shop"):
        restore_from(path, tmp_path / "new", new_key=True)
    back_up(relay.folder, tmp_path / "backup")
    with pytest.raises(NotAStore):
        take_in(tmp_path / "new", tmp_path / "backup", None)
    (tmp_path / "empty").write_bytes(MAGIC)
    with pytest.raises(DamagedStore):
        take_in(tmp_path / "new", tmp_path / "empty", None)


def test_a_relay_put_back_without_its_key_is_certified_by_the_owner_anew(relay, tmp_path):
    back_up(relay.folder, tmp_path / "backup")
    restore_from(tmp_path / "backup", tmp_path / "new", new_key=True)
    with opened(tmp_path / "new") as (access, store):
        assert [one["payload"]["role"] for one in waiting(store.shop(relay.shops["Cave"]))] == ["relay"]
        assert not access.keys.has_owner_key(relay.shops["Cave"])


class Stolen:
    """A shop whose till was stolen and cut off, and what it brought then: another version of its second sale,
    which is on hold.
    """

    def __init__(self, relay):
        till = relay.tills["Cave"]
        with opened(relay.root) as (access, store):
            access.revoke(store, relay.shops["Cave"], till.author, "stolen")
        body = {**till.entries[2].body, "op": "thief"}
        self.forged = read_entry(seal(body, till.key))
        with opened(relay.root) as (_, store):
            admission = Admission(relay.shops["Cave"])
            rows = [(1, entry_record(self.forged.sealed))]
            taken = take_records(store, admission, b"a thief's log id", "revoked", rows, 0)
        assert [one.code for one in taken.refused] == ["revoked"]

    def is_held(self, root, shop):
        with opened(root) as (_, store):
            log = store.shop(shop)
            facts = self.forged.facts
            assert not log.holds(facts.link, facts.chain, facts.n)
            return [(row.code, row.held, row.digest) for row in log.apart()] == [
                ("revoked", True, self.forged.link)
            ]


def test_what_is_on_hold_is_on_hold_on_the_next_relay_too(relay, path, tmp_path):
    """Below a head it looks known; here, as there, the log shows that it was not."""
    stolen = Stolen(relay)
    relay.export(path, passphrase=PASSPHRASE)
    for _ in range(2):
        assert take_in(tmp_path / "new", path).not_admitted == 1
        assert stolen.is_held(tmp_path / "new", relay.shops["Cave"])


def test_a_change_that_nobody_vouched_for_gets_into_no_catalogue_by_an_import(relay, path, tmp_path):
    """Who brought a change is not in the file: what was refused for that stays refused, and what was found
    damaged is nobody's change any more.
    """
    shop = relay.shops["Cave"]
    price = yjs_bytes.entry("CM-19/name", b"\x77" + yjs_bytes.text("free"))
    by_a_thief = update_record("catalogue", yjs_bytes.update(price))
    note = yjs_bytes.item(4, yjs_bytes.text("2"), root="a")
    damaged = update_record("x/a", yjs_bytes.update(note))
    with opened(relay.root) as (_, store):
        taken = take_records(store, Admission(shop), b"a thief's log id", "revoked", [(1, by_a_thief)], 0)
        assert [one.code for one in taken.refused] == ["not-permitted"]
        with store.transaction():
            seq = store.shop(shop).append(update_item(damaged))
        with store.transaction():
            store.database.write("UPDATE record SET crc = crc + 1 WHERE bytes = ?", (damaged,))
            assert store.shop(shop).set_damaged_apart(seq, 5)
    assert relay.export(path, passphrase=PASSPHRASE).apart == 2
    for _ in range(2):
        take_in(tmp_path / "new", path)
        with opened(tmp_path / "new") as (_, store):
            log = store.shop(shop)
            assert {row.name for row in log.documents()} & {"catalogue", "x/a"} == set()
            assert [(row.code, row.record) for row in log.apart()] == [
                ("not-permitted", by_a_thief),
                ("damaged", damaged),
            ]


def update_item(record):
    document, _ = split_update_record(record)
    return Item(record, document, record_digest(record))


def test_what_is_in_the_log_is_not_put_on_hold_by_a_second_import(relay, path, tmp_path):
    """As of a relay that was put back: its revocation names older heads than there are entries."""
    till = relay.tills["Cave"]
    with opened(relay.root) as (access, store):
        log = store.shop(relay.shops["Cave"])
        chain = OwnerChain.read(log)
        head = Head(till.end.chain, till.entries[9].link, 10)
        payload = build_revoke(till.author, [head], reason="stolen")
        key = access.keys.owner_key(log.shop)
        with store.transaction():
            log.append(owner_item(chain.next_entry("revoke", payload, key, access.clock)))
    relay.export(path)
    for _ in range(2):
        assert take_in(tmp_path / "new", path, None).not_admitted == 0
    with opened(tmp_path / "new") as (_, store):
        assert root_digest(store.shop(relay.shops["Cave"]).runs(till.end.chain)) == root_digest(
            log_runs(relay, till)
        )


def log_runs(relay, till):
    with relay.log("Cave") as log:
        return log.runs(till.end.chain)
