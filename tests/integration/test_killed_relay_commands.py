"""Export, import, erase, rotation and restore are killed at each of their steps: the shop is there whole or
not at all, no key is lost, and repeating the command ends well. Who judges imports nothing of the product.
"""

import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.integration.copies.processes import Desk, Relay, Till
from tests.integration.killed import KILLED, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

STEPS_MAX = 120


class Shop:
    """A relay that serves, with a shop of one register, and another folder for a relay."""

    def __init__(self, folder):
        self.desk = Desk()
        self.relay, self.other = Relay(folder / "relay", self.desk), Relay(folder / "other", self.desk)
        self.code = self.relay.say("shop", "create", "Cave")["code"]
        self.file = folder / "cave.shop"
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text("correct horse battery staple")
        self.relay.start()
        self.till = self.joined(Till(folder / "till", self.desk), self.code, "Caisse 1")
        self.till.say(
            "product", "add", "CM-19", "--name", "Crozes-Hermitage", "--price", "18.50", "--vat", "20"
        )
        self.sell()

    def joined(self, till, code, name):
        till.say("join", self.relay.url, code, "--name", name)
        return till

    def sell(self):
        self.till.sell(2)
        self.till.sync()

    def links(self, place):
        """What lies on a disk; nothing is wrong with it."""
        (found,) = self.desk.check(place)
        assert found["defects"] == []
        return set(found["links"])

    def has_arrived(self, place, links):
        """Whether a disk holds these, and its relay's certificate besides."""
        there = self.links(place)
        return links <= there and len(there - links) <= 1

    def killed(self, at, *command, relay=None):
        """Whether a command of a relay was killed at that step; otherwise it has ended well."""
        assert at < STEPS_MAX
        done = run(at, "crdtsync_server", *command, "--data", (relay or self.relay).folder)
        assert done.returncode in (KILLED, 0), done.stderr
        return done.returncode == KILLED

    def say(self, *command):
        """A command of the relay, to its end."""
        return self.relay.say(*map(str, command))

    @property
    def keys(self):
        return ("--with-keys", self.passphrase)

    def close(self):
        for relay in (self.relay, self.other):
            relay.stop()
        self.desk.close()


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.close()


def owner_keys(relay):
    """The owner's keys on a relay, whatever they are called."""
    return {file.read_bytes() for file in (relay.folder / "keys").glob("*owner*")}


def imported(shop, relay, code=0):
    """Take in what the export holds, on another relay."""
    keys = map(str, shop.keys)
    return shop.desk.run(
        "crdtsync_server", "shop", "import", str(shop.file), *keys, "--data", str(relay.folder), code=code
    )


@pytest.mark.parametrize("is_repeated", [False, True], ids=["a new file", "added to"])
def test_an_export_counts_when_it_is_whole_whenever_it_was_killed(shop, is_repeated, tmp_path):
    export = ("shop", "export", "Cave", shop.file, *shop.keys)
    before = set()
    if is_repeated:
        shop.say(*export)
        before = shop.links(shop.relay)
    at = 1
    while True:
        shop.sell()
        if not is_repeated:
            shop.file.unlink(missing_ok=True)
        if not shop.killed(at, *export):
            break
        elsewhere = Relay(tmp_path / f"elsewhere-{at}", shop.desk)
        if shop.file.exists():
            imported(shop, elsewhere)
            assert any(shop.has_arrived(elsewhere, one) for one in (before, shop.links(shop.relay)))
        else:
            assert not before
        shop.say(*export)
        imported(shop, elsewhere)
        assert shop.has_arrived(elsewhere, shop.links(shop.relay))
        before = before and shop.links(shop.relay)
        at += 1
    assert at > 2


def test_an_import_can_be_repeated_whenever_it_was_killed(shop, tmp_path):
    shop.say("shop", "export", "Cave", shop.file, *shop.keys)
    wanted, at = shop.links(shop.relay), 1
    while True:
        elsewhere = Relay(tmp_path / f"elsewhere-{at}", shop.desk)
        if not shop.killed(at, "shop", "import", shop.file, *shop.keys, relay=elsewhere):
            break
        report = imported(shop, elsewhere)
        assert report["certified"], "the owner's key came with it"
        assert shop.has_arrived(elsewhere, wanted)
        assert owner_keys(elsewhere) == owner_keys(shop.relay)
        assert [one["name"] for one in elsewhere.say("status")["shops"]] == ["Cave"]
        at += 1
    assert at > 4


def test_a_shop_that_is_erased_is_here_whole_or_gone_whenever_it_was_killed(shop):
    shop.say("shop", "export", "Cave", shop.file, *shop.keys)
    shop.relay.stop()
    wanted, keys, at = shop.links(shop.relay), owner_keys(shop.relay), 1
    erase = ("shop", "erase", "Cave", "--exported", shop.file, "--told", "ws://elsewhere")
    while shop.killed(at, *erase):
        assert shops_in(shop.relay) == 0 or shop.links(shop.relay) == wanted
        assert owner_keys(shop.relay) == keys, "a key is never lost"
        shop.relay.doctor()
        shop.relay.say("status")
        if not is_unknown(shop):
            shop.say(*erase)
        is_gone(shop)
        imported(shop, shop.relay)
        assert shop.has_arrived(shop.relay, wanted)
        wanted = shop.links(shop.relay)
        assert owner_keys(shop.relay) == keys
        shop.say("shop", "export", "Cave", shop.file, *shop.keys)
        at += 1
    assert at > 8
    is_gone(shop)
    imported(shop, shop.relay)
    shop.relay.start()
    shop.sell()
    assert shop.links(shop.till) == shop.links(shop.relay)
    shop.joined(Till(shop.till.folder.parent / "second", shop.desk), pairing_code(shop), "Caisse 2").sync()


def is_unknown(shop):
    """Whether the relay does not know the name of the shop any more."""
    return not shop.relay.say("shop", "list")["shops"]


def shops_in(relay):
    """How many shops its store has."""
    with closing(sqlite3.connect(f"file:{relay.folder / 'relay.sqlite'}?mode=ro", uri=True)) as store:
        return store.execute("SELECT count(*) FROM shop").fetchone()[0]


def is_gone(shop):
    """Nothing of the shop is on the relay any more, in whatever corner of its files."""
    assert shops_in(shop.relay) == 0
    assert shop.relay.say("status")["shops"] == []
    for file in shop.relay.folder.glob("relay.sqlite*"):
        assert b"Crozes" not in file.read_bytes(), file


def pairing_code(shop):
    return shop.relay.say("pair", "Cave")["code"]


def test_a_rotation_is_finished_whenever_it_was_killed(shop, tmp_path):
    """While the relay serves, and registers come in between."""
    at, names = 1, ["Caisse 1"]
    while shop.killed(at, "owner", "rotate", "Cave"):
        names.append(f"Caisse {at + 1}")
        shop.joined(Till(tmp_path / f"till-{at}", shop.desk), pairing_code(shop), names[-1]).sync()
        shop.sell()
        shop.say("owner", "rotate", "Cave")
        at += 1
    assert at > 5
    shop.sell()
    assert shop.links(shop.till) == shop.links(shop.relay)
    devices = shop.relay.shop()["devices"]
    assert sorted(one["name"] for one in devices if one["role"] == "register") == sorted(names)
    assert not any(one["revoked"] for one in devices)
    assert shop.relay.say("verify")["defects"] == 0
    assert shop.till.say("verify")["findings"] == []
    assert not list((shop.relay.folder / "keys").glob("*.next-owner"))


def test_a_relay_is_put_back_whole_and_what_was_there_is_kept_whenever_it_was_killed(shop, tmp_path):
    file = tmp_path / "relay.backup"
    shop.say("backup", file, *shop.keys)
    wanted = shop.links(shop.relay)
    shop.sell()
    newest = shop.links(shop.relay)
    shop.relay.stop()
    # Making the databases takes many steps that are alike; putting them in place comes after.
    for at in (*range(1, 45, 4), *range(45, 200)):
        place = Relay(tmp_path / f"put-back-{at}", shop.desk)
        shutil.copytree(shop.relay.folder, place.folder)
        restore = ("restore-from", file, *shop.keys, "--replace")
        if not shop.killed(at, *restore, relay=place):
            break
        place.say(*map(str, restore))
        assert shop.links(place) == wanted
        kept = [Relay(path.parent, shop.desk) for path in place.folder.glob("before-*/relay.sqlite")]
        assert newest in [shop.links(one) for one in kept]
        assert owner_keys(place) == owner_keys(shop.relay)
        assert [one["name"] for one in place.say("status")["shops"]] == ["Cave"]
    assert at > 45
