"""A relay that was put back from an old backup is healed by its registers, and goes on letting devices in."""

import shutil

import pytest

from crdtsync.errors import AccessDenied
from crdtsync.protocol.heads import root_digest
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.shops.owner import OwnerChain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def restored(relay, tills, tmp_path):
    """A relay with what it had in the morning; in the afternoon, before it was lost, `b` had joined."""
    a = tills("a", relay.join(tmp_path / "a", "Caisse A", relay.first_code))
    a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
    sell(a, 3)
    a.sync(60)
    relay.stop()
    shutil.copytree(relay.folder, tmp_path / "backup")
    relay.start()
    b = tills("b", relay.join(tmp_path / "b", "Caisse B"))
    b.sync(60)
    sell(b, 5)
    b.sync(60)
    sell(a, 2)
    a.sync(60)
    relay.stop()
    return relay


def sell(till, tickets):
    for _ in range(tickets):
        till.sell(["CM-19"], ["card"])


def put_back(relay, backup):
    shutil.rmtree(relay.folder)
    shutil.copytree(backup, relay.folder)


def write_back(relay, backup):
    """As when the disk of a machine is set back: the files are the same ones, with old contents."""
    for name in ("relay.sqlite", "access.sqlite"):
        (relay.folder / name).write_bytes((backup / name).read_bytes())


def digest_of(store, shop):
    try:
        return root_digest(store.shop(shop).runs())
    finally:
        store.close()


def are_equal(relay, *tills):
    """Whether the relay and all registers hold the same entries."""
    digests = {digest_of(relay.open_store(), relay.shop)}
    digests |= {digest_of(SqliteStore(till.config.data / "register.sqlite"), relay.shop) for till in tills}
    return len(digests) == 1


def test_a_register_certified_after_the_backup_is_admitted_with_all_it_sold(restored, tills, tmp_path):
    put_back(restored, tmp_path / "backup")
    restored.start()
    sell(tills("b"), 1)
    tills("b").sync(60)
    assert tills("b").status().pending.records == 0
    tills("a").sync(60)
    assert len(tills("a").sales()) == 3 + 2 + 5 + 1
    names = [device["name"] for device in restored.status()["devices"]]
    assert sorted(names) == ["Caisse A", "Caisse B"]


@pytest.mark.parametrize("first_back", ["b", "c"])
def test_a_restored_relay_lets_registers_in_and_everybody_converges(restored, tills, tmp_path, first_back):
    put_back(restored, tmp_path / "backup")
    restored.start()
    if first_back == "b":
        tills("b").sync(60)
    c = tills("c", restored.join(tmp_path / "c", "Caisse C"))
    c.sync(60)
    sell(c, 4)
    for name in "cbacba":
        tills(name).sync(60)
    d = tills("d", restored.join(tmp_path / "d", "Caisse D"))
    d.sync(60)
    sell(d, 1)
    for name in "dabc":
        tills(name).sync(60)
    tills("d").sync(60)
    everybody = [tills(name) for name in "abcd"]
    assert are_equal(restored, *everybody)
    assert {len(till.sales()) for till in everybody} == {3 + 2 + 5 + 4 + 1}
    numbers = [row.number for row in tills("a").sales()]
    assert len(set(numbers)) == len(numbers), "a ticket number twice"
    assert all(till.status().pending.records == 0 for till in everybody)


def test_a_machine_set_back_is_found_out_by_the_first_register_that_knows_more(restored, tills, tmp_path):
    write_back(restored, tmp_path / "backup")
    restored.start()
    tills("b").sync(60)
    c = tills("c", restored.join(tmp_path / "c", "Caisse C"))
    assert len({tills("a").identity.series, tills("b").identity.series, c.identity.series}) == 3
    assert len(c.identity.series) == 5
    noticed = [
        (event["by"], event["level"]) for event in restored.log() if event["event"] == "restore_noticed"
    ]
    assert noticed == [("a device", "warning")]


def test_a_relay_that_lost_its_databases_is_filled_again_by_its_registers(restored, tills, tmp_path):
    for file in restored.folder.glob("*.sqlite*"):
        file.unlink()
    restored.start()
    for name in "bab":
        tills(name).sync(60)
    assert are_equal(restored, tills("a"), tills("b"))
    shop = restored.status()
    assert (shop["name"], len(shop["devices"])) == ("Cave", 2)
    c = tills("c", restored.join(tmp_path / "c", "Caisse C"))
    c.sync(60)
    assert len(c.sales()) == 3 + 2 + 5
    assert len(c.identity.series) == 5


def test_a_relay_without_the_owners_key_refuses_a_shop_that_it_does_not_know(restored, tills):
    for file in (*restored.folder.glob("*.sqlite*"), *restored.folder.glob("keys/*.owner")):
        file.unlink()
    restored.start()
    with pytest.raises(AccessDenied, match="does not know the shop"):
        tills("a").sync(60)


def test_the_owners_chain_has_both_branches_and_all_certificates(restored, tills, tmp_path):
    put_back(restored, tmp_path / "backup")
    restored.start()
    tills("c", restored.join(tmp_path / "c", "Caisse C")).sync(60)
    tills("b").sync(60)
    store = restored.open_store()
    chain = OwnerChain.read(store.shop(restored.shop))
    store.close()
    assert [entry.facts.n for entry in chain.entries] == [1, 2, 3, 4, 4]
    names = {certificate.name for certificate in chain.directory.certificates()}
    assert names == {"relay", "Caisse A", "Caisse B", "Caisse C"}


def test_a_restored_relay_is_no_reason_to_look_for_a_defect_on_a_register(restored, tills, tmp_path):
    put_back(restored, tmp_path / "backup")
    restored.start()
    tills("c", restored.join(tmp_path / "c", "Caisse C")).sync(60)
    tills("b").sync(60)
    till = tills("b")
    found = till.verify()
    assert (found.findings, {(note.place, note.code) for note in found.notes}) == ((), {("owner", "fork")})
    assert till.status().concerns == ()
