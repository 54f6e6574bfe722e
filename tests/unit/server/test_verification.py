import json
import shutil

import apsw
import pytest
from click.testing import CliRunner

from crdtsync.ids import entry_record
from crdtsync.model.chain import Shop
from crdtsync.model.entry import read_entry
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.testing.till import MemoryTill
from crdtsync_server.cli import main
from crdtsync_server.open import opened
from crdtsync_server.shops.owner import owner_item


class Cave:
    """A relay's folder with one shop and one register of it, whose entries are stored as they are given."""

    def __init__(self, root):
        self.root = root
        with opened(root, create=True) as (access, store):
            self.shop = access.create_shop(store, "Cave du Port")
            self.till = self.certified(
                access, store, MemoryTill("till 1", shop=Shop(self.shop.id, "Cave du Port"))
            )

    def certified(self, access, store, till):
        secret = access.issue_code(self.shop.id, "register").code.secret
        access.enrol(store, EnrolRequest(secret, till.author, till.name, till.key.public), "198.51.100.7")
        return till

    def store(self, entries):
        with opened(self.root) as (_, store), store.transaction():
            for entry in entries:
                store.shop(self.shop.id).append(owner_item(entry))

    def spoil(self, sql, *values):
        """Write past the store."""
        connection = apsw.Connection(str(self.root / "relay.sqlite"))
        connection.execute(sql, values)
        connection.close()

    def verify(self, *arguments):
        return CliRunner().invoke(main, ["verify", *arguments, "--data", str(self.root), "--json"])

    def findings(self):
        report = json.loads(self.verify().stdout)
        [shop] = report["shops"]
        return [(one["place"], one["code"], one["seq"]) for one in shop["findings"]]


@pytest.fixture
def cave(tmp_path):
    return Cave(tmp_path / "relay")


def test_what_registers_and_the_owner_made_holds(cave):
    for _ in range(3):
        cave.till.sell()
    cave.till.close()
    cave.store(cave.till.entries)
    result = cave.verify()
    report = json.loads(result.stdout)
    assert (result.exit_code, report["defects"]) == (0, 0)
    [shop] = report["shops"]
    assert (shop["name"], shop["records"], shop["entries"], shop["chains"]) == ("Cave du Port", 8, 8, 2)


def test_a_missing_entry_is_named(cave):
    cave.till.sell()
    cave.till.sell()
    cave.store([cave.till.entries[0], cave.till.entries[2]])
    assert cave.findings() == [("till 1", "gap", 3)]
    assert cave.verify().exit_code == 67


def test_an_entry_that_its_register_did_not_sign_is_named(cave):
    cave.till.key = PrivateKey.from_seed(b"somebody else")
    cave.till.sell()
    cave.store(cave.till.entries)
    assert cave.findings() == [("till 1", "signature", 2)]


def test_a_total_that_does_not_follow_is_named_with_its_ticket(cave):
    sale = cave.till.sell()
    forged = MemoryTill("till 1", shop=Shop(cave.shop.id, "Cave du Port"))
    body = dict(sale.body) | {"ttc": sale.body["ttc"] + 100}
    cave.store([forged.entries[0], forged.seal(body)])
    result = cave.verify()
    found = json.loads(result.stdout)["shops"][0]["findings"]
    assert ("totals", sale.body["num"]) in [(one["code"], one["number"]) for one in found]


def test_a_ticket_number_that_does_not_follow_is_named(cave):
    sale = cave.till.sell()
    forged = MemoryTill("till 1", shop=Shop(cave.shop.id, "Cave du Port"))
    body = dict(sale.body) | {"num": sale.body["num"][:-1] + "7"}
    cave.store([forged.entries[0], forged.seal(body)])
    assert cave.findings() == [("till 1", "number", 2)]


def test_a_chain_without_a_certificate_is_named(cave):
    stranger = MemoryTill("stranger", shop=Shop(cave.shop.id, "Cave du Port"))
    cave.store(stranger.entries)
    assert cave.findings() == [(stranger.author.hex(), "key", 1)]


def test_a_flipped_byte_is_named(cave):
    for _ in range(3):
        cave.till.sell()
    cave.store(cave.till.entries)
    flipped = entry_record(cave.till.entries[2].sealed).replace(b"Crozes", b"Crozet")
    cave.spoil("UPDATE record SET bytes = ? WHERE digest = ?", flipped, cave.till.entries[2].link)
    result = cave.verify()
    report = json.loads(result.stdout)
    assert result.exit_code == 67
    assert 6 in {one["seq"] for one in [*report["store"], *report["shops"][0]["findings"]]}


def test_a_certificate_that_was_taken_away_is_named(cave):
    cave.store(cave.till.entries)
    cave.spoil("DELETE FROM record WHERE pos & 1099511627775 = 3")
    assert cave.verify().exit_code == 67


def test_branches_of_the_owners_chain_are_noted_and_no_defect(cave, tmp_path):
    shutil.copytree(cave.root, tmp_path / "backup")
    with opened(cave.root) as (access, store):
        cave.certified(access, store, MemoryTill("till 2"))
    with opened(tmp_path / "backup") as (access, store):
        cave.certified(access, store, MemoryTill("till 3"))
        branch = store.shop(cave.shop.id).entry(store.shop(cave.shop.id).runs()[0].chain, 4)
    cave.store([read_entry(sealed) for sealed in branch])
    result = cave.verify()
    report = json.loads(result.stdout)["shops"][0]
    assert result.exit_code == 0
    assert {(note["place"], note["code"], note["seq"]) for note in report["notes"]} == {("owner", "fork", 4)}


def test_one_shop_of_several_is_verified(cave):
    with opened(cave.root) as (access, store):
        access.create_shop(store, "Bar du Quai")
    report = json.loads(cave.verify("bar du quai").stdout)
    assert [shop["name"] for shop in report["shops"]] == ["Bar du Quai"]
    assert cave.verify("Nowhere").exit_code == 19


def test_a_folder_without_a_relay_is_told_and_not_made(tmp_path):
    result = CliRunner().invoke(main, ["verify", "--data", str(tmp_path / "none")])
    assert (result.exit_code, (tmp_path / "none").exists()) == (21, False)


def test_verifying_writes_nothing(cave):
    before = (cave.root / "relay.sqlite").read_bytes()
    cave.verify()
    assert (cave.root / "relay.sqlite").read_bytes() == before


def test_a_person_reads_which_entry_fails(cave):
    cave.till.sell()
    cave.till.sell()
    cave.store([cave.till.entries[0], cave.till.entries[2]])
    result = CliRunner().invoke(main, ["verify", "--data", str(cave.root)])
    assert "Cave du Port: till 1: " in result.stdout
    assert "gap: entries 2 to 2 are missing" in result.stdout
    assert result.stderr.startswith("crdtsync-relay: 1 defect in ")
