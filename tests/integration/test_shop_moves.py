"""A shop goes to another relay: exported, imported, erased; its registers go over and nothing is lost."""

import json
import shutil
from contextlib import ExitStack, closing

import pytest

from crdtsync import Register
from crdtsync.errors import AccessDenied, PairingRefused, RoleTaken, SetupError, WrongRelayKey
from crdtsync.protocol.heads import root_digest
from crdtsync.runtime.belonging.moving import move_register
from crdtsync.runtime.clock import system_random
from crdtsync.storage.sqlite import SqliteStore
from tests.integration.conftest import RelayProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Moving:
    """An old relay with a shop of two registers, and another relay."""

    def __init__(self, old, new, tmp_path):
        self.old, self.new, self.folder = old, new, tmp_path
        self.export = str(tmp_path / "cave.shop")
        self.keys = ("--with-keys", str(tmp_path / "passphrase"))
        (tmp_path / "passphrase").write_text("correct horse battery staple")

    def export_and_import(self):
        exported = json.loads(self.old.command("shop", "export", "Cave", self.export, *self.keys, "--json"))
        return exported, json.loads(self.new.command("shop", "import", self.export, *self.keys, "--json"))

    def code(self):
        return str(json.loads(self.new.command("pair", self.old.shop.hex(), "--json"))["code"])

    def move(self, name, code=""):
        move_register(self.folder / name, self.new.url, code or self.code(), random_bytes=system_random)

    def digests(self, *names):
        paths = [self.folder / name / "register.sqlite" for name in names]
        found = set()
        for path in [*paths, self.new.folder / "relay.sqlite"]:
            with closing(SqliteStore(path, create=False)) as store:
                found.add(root_digest(store.shop(self.old.shop).runs()))
        return found


def sell(folder, tickets):
    with Register.open(folder) as till:
        return [till.sell(["CM-19"], ["card"]).number for _ in range(tickets)]


def sync(folder):
    with Register.open(folder) as till:
        till.sync(60)
        return till.status().pending.records, len(till.sales())


@pytest.fixture
def moving(relay, tmp_path):
    with relay.join(tmp_path / "a", "Caisse A", relay.first_code) as a:
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        a.sync(60)
    relay.join(tmp_path / "b", "Caisse B").close()
    for name in "ab":
        sync(tmp_path / name)
        sell(tmp_path / name, 3)
    for name in "aba":
        sync(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    with ExitStack() as stack:
        new = RelayProcess(tmp_path / "elsewhere" / "relay")
        new.start()
        stack.callback(lambda: new.process is not None and new.stop())
        yield Moving(relay, new, tmp_path)


def test_a_shop_goes_to_another_relay_with_everything(moving):
    exported, imported = moving.export_and_import()
    assert exported["log_end"] == imported["records"] > 6
    assert imported["certified"]
    sell(moving.folder / "a", 2)
    assert sync(moving.folder / "a")[0] == 0
    moving.old.stop()
    again, more = moving.export_and_import()
    assert again["written_bytes"] < again["file_bytes"]
    assert more["records"] == 2
    moving.old.command("shop", "erase", "Cave", "--exported", moving.export, "--told", moving.new.url)
    moving.old.start()
    with Register.open(moving.folder / "b") as b:
        kept = b.sell(["CM-19"], ["card"]).number
        with pytest.raises(AccessDenied, match=f"not on this relay any more: {moving.new.url}"):
            b.sync(60)
        assert b.status().pending.sales >= 1
    for name in "ab":
        moving.move(name)
    for name in "abab":
        pending, sales = sync(moving.folder / name)
        assert pending == 0
    assert sales == 3 + 3 + 2 + 1
    assert len(moving.digests("a", "b")) == 1
    with Register.open(moving.folder / "a") as a:
        assert kept in [row.number for row in a.sales()]
        assert a.verify().findings == ()
    numbers = sell(moving.folder / "b", 1)
    assert numbers[0].startswith("02-")
    with moving.new.join(moving.folder / "c", "Caisse C", moving.code()) as c:
        c.sync(60)
        assert len(c.sales()) == 9
        assert len(c.identity.series) == 5
    assert json.loads(moving.new.command("verify", "--json"))["defects"] == 0
    stored = (moving.old.folder / "relay.sqlite").read_bytes()
    assert b"Crozes-Hermitage" not in stored


def test_what_the_old_relay_confirmed_is_pending_until_the_new_one_has_it(moving):
    moving.export_and_import()
    sell(moving.folder / "a", 4)
    assert sync(moving.folder / "a")[0] == 0
    moving.move("a")
    with Register.open(moving.folder / "a") as a:
        assert a.status().pending.sales >= 4
        a.sync(60)
        assert a.status().pending.records == 0


def test_a_shop_is_not_erased_by_an_export_that_lacks_something(moving):
    moving.export_and_import()
    sell(moving.folder / "a", 1)
    sync(moving.folder / "a")
    before = moving.old.command("shop", "erase", "Cave", "--exported", moving.export, check=False)
    moving.old.stop()
    for how in (("--exported", moving.export), (), ("--confirm", "Bar")):
        assert before == moving.old.command("shop", "erase", "Cave", *how, check=False) == ""
    assert json.loads(moving.old.command("status", "--json"))["shops"][0]["name"] == "Cave"
    moving.old.command("shop", "erase", "Cave", "--confirm", "Cave")
    assert json.loads(moving.old.command("status", "--json"))["shops"] == []
    assert json.loads(moving.old.command("verify", "--json"))["defects"] == 0


def test_an_erased_shop_can_come_back(moving):
    moving.export_and_import()
    moving.old.stop()
    moving.old.command("shop", "erase", "Cave", "--exported", moving.export)
    moving.old.command("shop", "import", moving.export, *moving.keys)
    moving.old.start()
    for name in "ab":
        assert sync(moving.folder / name) == (0, 6)


def test_a_register_goes_over_to_no_relay_but_one_of_its_own_shop(moving):
    before = str(json.loads(moving.new.command("shop", "create", "Bar", "--json"))["code"])
    with pytest.raises(PairingRefused, match="another shop"):
        moving.move("a", before)
    moving.old.command("shop", "export", "Cave", moving.export)
    moving.new.command("shop", "import", moving.export)
    with pytest.raises(PairingRefused, match="owner's signature"):
        moving.move("a")
    for code in (moving.old.code(),):
        with pytest.raises(WrongRelayKey):
            moving.move("a", code)
    assert sync(moving.folder / "a") == (0, 6)


def test_a_register_is_not_moved_while_it_is_synchronised(moving):
    moving.export_and_import()
    with Register.open(moving.folder / "a") as a:
        a.start_sync()
        with pytest.raises(RoleTaken):
            moving.move("a")
        a.stop_sync()
    with Register.init(moving.folder / "alone", name="Alone", shop_name="Alone"):
        pass
    with pytest.raises(SetupError, match="no relay yet"):
        moving.move("alone")


def test_a_relay_on_another_machine_is_the_same_relay_at_another_address(relay, moving):
    """Its folder was copied: registers only have to be told the address."""
    relay.stop()
    shutil.copytree(relay.folder, moving.folder / "copied")
    relay.folder = moving.folder / "copied"
    relay.port = 0
    relay.start()
    sell(moving.folder / "a", 1)
    move_register(moving.folder / "a", relay.url, None, random_bytes=system_random)
    assert sync(moving.folder / "a") == (0, 7)
    with pytest.raises(WrongRelayKey, match="another relay answers there"):
        move_register(moving.folder / "b", moving.new.url, None, random_bytes=system_random)
    move_register(moving.folder / "b", relay.url, None, random_bytes=system_random)
    assert sync(moving.folder / "b") == (0, 7)
