"""A relay is backed up while its registers sell, lost and put back; they bring what the backup lacks."""

import json
import random
import shutil
import signal
import subprocess
import threading
import time
from contextlib import closing

import pytest

from crdtsync import Register
from crdtsync.errors import AccessDenied, DamagedStore, NotAStore
from crdtsync.protocol.heads import root_digest
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.backups.file import BackupFile
from tests import forked
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def backup(tmp_path):
    """The arguments of a backup with keys, and its file."""
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    return Backup(tmp_path / "relay.backup", tmp_path / "passphrase")


class Backup:
    def __init__(self, path, passphrase):
        self.path, self.passphrase = path, passphrase

    def make(self, relay):
        return json.loads(
            relay.command("backup", str(self.path), "--with-keys", str(self.passphrase), "--json")
        )

    def process(self, relay):
        """A backup under way, as a process to be killed."""
        command = ["-m", "crdtsync_server", "backup", self.path, "--with-keys", self.passphrase]
        return forked.Process(
            [*command, "--data", relay.folder], stdout=forked.DEVNULL, stderr=forked.DEVNULL
        )

    def put_back(self, relay):
        """The relay's folder is lost, and made again from the backup."""
        shutil.rmtree(relay.folder)
        arguments = ("restore-from", str(self.path), "--with-keys", str(self.passphrase), "--json")
        return json.loads(relay.command(*arguments))

    def log_end(self):
        """How far the newest whole backup has the shop's log; None where there is none."""
        try:
            file = BackupFile(self.path)
        except (FileNotFoundError, NotAStore):
            return None
        except DamagedStore as error:
            raise AssertionError("a backup that was killed left a file that cannot be read") from error
        with closing(file):
            file.check()
            return file.manifest["shops"][0]["log_end"]


@pytest.fixture
def shop(relay, tills, tmp_path):
    """Two registers that have sold and are in step."""
    a = tills("a", relay.join(tmp_path / "a", "Caisse A", relay.first_code))
    a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
    sell(a, 3)
    a.sync(60)
    b = tills("b", relay.join(tmp_path / "b", "Caisse B"))
    b.sync(60)
    sell(b, 4)
    b.sync(60)
    a.sync(60)
    return relay


def sell(till, tickets):
    for _ in range(tickets):
        till.sell(["CM-19"], ["card"])


def digest_of(path, shop):
    with closing(SqliteStore(path, create=False)) as store:
        return root_digest(store.shop(shop).runs())


def are_equal(relay, tmp_path, names):
    """Whether the relay and all registers hold the same entries."""
    digests = {digest_of(tmp_path / name / "register.sqlite", relay.shop) for name in names}
    return digests == {digest_of(relay.folder / "relay.sqlite", relay.shop)}


def missing(relay):
    return json.loads(relay.command("missing", relay.shop.hex(), "--json"))["missing"]


def test_backups_are_made_and_killed_while_registers_sell(shop, tills, tmp_path, backup):
    """Whatever is killed when: the file holds the last whole backup, and what it holds can be put back."""
    stop = threading.Event()

    def sells_on(name):
        with Register.open(tmp_path / name) as till:
            till.start_sync()
            while not stop.is_set():
                till.sell(["CM-19"], ["card"])
            till.stop_sync()
            till.sync(60)

    for name in "ab":
        tills(name).close()
    threads = [threading.Thread(target=sells_on, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    try:
        began_s = time.monotonic()
        first = backup.make(shop)
        took_s = time.monotonic() - began_s
        known, whole = backup.log_end(), 0
        assert known == first["shops"][0]["log_end"]
        pick = random.Random(7)
        for _ in range(10):
            with backup.process(shop) as process:
                try:
                    process.wait(pick.uniform(0.3, 1.0) * took_s)
                except subprocess.TimeoutExpired:
                    process.kill()
            found = backup.log_end()
            assert found >= known
            whole += found > known
            known = found
        last = backup.make(shop)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert backup.log_end() == last["shops"][0]["log_end"] > first["shops"][0]["log_end"]
    assert last["written_bytes"] < last["file_bytes"]
    shop.stop(signal.SIGKILL)
    backup.put_back(shop)
    assert json.loads(shop.command("verify", "--json"))["defects"] == 0
    shop.start()
    for name in "aba":
        with Register.open(tmp_path / name) as till:
            till.sync(60)
            assert till.status().pending.records == 0
    assert are_equal(shop, tmp_path, "ab")
    shop.stop()
    wait_until(lambda: missing(shop) == [])  # When a device was here is written down a moment later.


def test_registers_bring_what_the_backup_lacks_and_get_what_the_relay_has(shop, tills, tmp_path, backup):
    made = backup.make(shop)
    assert [device["complete_to"][:2] for device in made["shops"][0]["devices"]] == ["01", "02"]
    sell(tills("a"), 5)
    tills("a").sync(60)
    sell(tills("b"), 2)
    shop.stop()
    before = shop.status()["log"]
    put_back = backup.put_back(shop)
    assert put_back["shops"] == made["shops"]
    shop.start()
    assert shop.status()["log"] != before
    assert [row["name"] for row in missing(shop) if row["sort"] == "untold"] == ["Caisse A", "Caisse B"]
    tills("a").sync(60)
    for name in "ba":
        tills(name).sync(60)
        assert tills(name).status().pending.records == 0
        assert len(tills(name).sales()) == 3 + 4 + 5 + 2
    assert are_equal(shop, tmp_path, "ab")
    shop.stop()
    wait_until(lambda: missing(shop) == [])  # When a device was here is written down a moment later.


def test_nothing_is_shown_as_safe_that_a_restored_relay_does_not_have(shop, tills, backup):
    """The register's acknowledgements were the lost relay's: they count no more from the first contact on."""
    backup.make(shop)
    sell(tills("a"), 5)
    tills("a").sync(60)
    assert tills("a").status().pending.sales == 0
    shop.stop()
    backup.put_back(shop)
    shop.start()
    tills("a").sync(60)
    assert tills("a").status().pending.sales == 0
    [held] = [device for device in shop.status()["devices"] if device["name"] == "Caisse A"]
    assert held["complete_to"].endswith("000008")


def test_others_write_to_a_restored_relay_before_a_register_returns(shop, tills, tmp_path, backup):
    backup.make(shop)
    sell(tills("a"), 5)
    tills("a").sync(60)
    shop.stop()
    backup.put_back(shop)
    shop.start()
    c = tills("c", shop.join(tmp_path / "c", "Caisse C"))
    c.sync(60)
    sell(c, 6)
    c.sync(60)
    tills("b").sync(60)
    for name in "abca":
        tills(name).sync(60)
    assert are_equal(shop, tmp_path, "abc")
    assert {len(tills(name).sales()) for name in "abc"} == {3 + 4 + 5 + 6}
    numbers = [row.number for row in tills("a").sales()]
    assert len(set(numbers)) == len(numbers)
    assert len(c.identity.series) == 5


def test_a_neighbour_brings_what_a_register_had_sold_that_is_lost_too(shop, tills, tmp_path, backup):
    backup.make(shop)
    sell(tills("a"), 5)
    tills("a").sync(60)
    tills("b").sync(60)
    tills("a").close()
    shutil.rmtree(tmp_path / "a")
    shop.stop()
    backup.put_back(shop)
    shop.start()
    tills("b").sync(60)
    [held] = [device for device in shop.status()["devices"] if device["name"] == "Caisse A"]
    assert held["complete_to"].endswith("000008")
    wait_until(lambda: [(row["sort"], row["name"]) for row in missing(shop)] == [("untold", "Caisse A")])


def test_what_nobody_has_any_more_is_named(shop, tills, tmp_path, backup):
    """B refunded tickets of A, which is lost with the relay; B itself lost A's entries to a bad disk."""
    backup.make(shop)
    sell(tills("a"), 5)
    tills("a").sync(60)
    tills("b").sync(60)
    last = tills("a").sales()[0].number
    tills("b").refund(last, reason="corked")
    for name in "ab":
        tills(name).close()
    shutil.rmtree(tmp_path / "a")
    with closing(SqliteStore(tmp_path / "b" / "register.sqlite", create=False)) as store:
        log = store.shop(shop.shop)
        seqs = [
            seq
            for run in log.runs()
            for seq, sealed in log.chain_entries(run.chain, run.lo, run.hi)
            if b'"kind":"sale"' in sealed and sealed.count(last[:6].encode()) and is_after(sealed, 3)
        ]
        assert len(seqs) == 5
        base = store.connection.execute("SELECT no << 40 FROM shop WHERE id = ?", (shop.shop,)).fetchone()[0]
        for seq in seqs:
            store.connection.execute("UPDATE record SET crc = crc + 1 WHERE pos = ?", (base + seq,))
        with store.transaction():
            for seq in seqs:
                assert log.set_damaged_apart(seq, 1)
    shop.stop()
    backup.put_back(shop)
    shop.start()
    with Register.open(tmp_path / "b") as b:
        b.sync(60)
    [tail] = [row for row in missing(shop) if row["sort"] == "tail"]
    assert (tail["name"], tail["number"]) == ("Caisse A", last)
    assert tail["after"].endswith("000003")
    assert "Caisse B" in tail["named_by"]
    told = shop.command("missing", shop.shop.hex())
    assert f"Caisse A: ticket {last} is named by refund" in told


def is_after(sealed, counter):
    number = json.loads(sealed.partition(b"\0")[0])["num"]
    return int(number.rpartition("-")[2]) > counter


def revoked_in(relay):
    return {device["name"] for device in relay.status()["devices"] if device["revoked"]}


def test_a_revocation_that_the_backup_lacks_comes_back_with_a_register_that_knows_it(
    shop, tills, tmp_path, backup
):
    """B was cut off in the afternoon. The relay was put back from the morning: A has the owner's word."""
    backup.make(shop)
    shop.command("revoke", shop.shop.hex(), "Caisse B", "--reason", "stolen")
    tills("a").sync(60)
    shop.stop()
    backup.put_back(shop)
    shop.start()
    assert revoked_in(shop) == set()
    tills("a").sync(60)
    assert revoked_in(shop) == {"Caisse B"}
    sell(tills("b"), 2)
    with pytest.raises(AccessDenied, match="was revoked"):
        tills("b").sync(60)
    [hold] = json.loads(shop.command("hold", "list", shop.shop.hex(), "--json"))
    assert (hold["name"], hold["tickets"]) == ("Caisse B", 2)


def test_it_comes_back_also_where_the_owner_has_let_somebody_else_in_meanwhile(shop, tills, tmp_path, backup):
    """The owner's chain has two ends then; both count."""
    backup.make(shop)
    shop.command("revoke", shop.shop.hex(), "Caisse B", "--reason", "stolen")
    tills("a").sync(60)
    shop.stop()
    backup.put_back(shop)
    shop.start()
    with shop.join(tmp_path / "c", "Caisse C") as newcomer:
        newcomer.sync(60)
        tills("a").sync(60)
        newcomer.sync(60)
        known = {device.name: device.revoked for device in newcomer.replica.queries.devices()}
    assert (known["Caisse B"], known["Caisse C"]) == (True, False)
    assert revoked_in(shop) == {"Caisse B"}


def test_a_revocation_that_only_the_lost_relay_knew_is_gone_until_it_is_made_again(shop, tills, backup):
    """What cannot be: nobody else had heard of it. Whoever puts the relay back is told so."""
    backup.make(shop)
    shop.command("revoke", shop.shop.hex(), "Caisse B", "--reason", "stolen")
    shop.stop()
    backup.put_back(shop)
    shop.start()
    tills("a").sync(60)
    sell(tills("b"), 1)
    tills("b").sync(60)
    assert revoked_in(shop) == set()
    shop.command("revoke", shop.shop.hex(), "Caisse B", "--reason", "stolen")
    sell(tills("b"), 1)
    with pytest.raises(AccessDenied, match="was revoked"):
        tills("b").sync(60)
