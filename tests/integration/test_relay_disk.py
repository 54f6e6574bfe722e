"""A relay whose disk is full, cannot be written, does not sync or is damaged.

It says so, acknowledges nothing that it does not hold, and goes on by itself.
"""

import functools
import json
import re
import resource
import urllib.error
import urllib.request

import apsw
import pytest
from click.testing import CliRunner

import crdtsync_server.open
from crdtsync import Register
from crdtsync.cli.group import main
from crdtsync.errors import LinkClosed, SetupError
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.disk import SimulatedDisk
from crdtsync_server import LocalRelay
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


class Shop:
    """A relay in this process on a disk that fails as it is told, and one register."""

    def __init__(self, folder, disk, relay):
        self.disk, self.relay = disk, relay
        self.till = Register.join(folder / "till", relay.url, relay.pairing_code(), name="Caisse 1")
        self.till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        self.till.sell(["CM-19"], ["card"])
        self.till.sync(60)

    def get(self, path):
        try:
            with urllib.request.urlopen(self.relay.url.replace("ws:", "http:") + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def read_at_the_till(self):
        folder = str(self.till.config.data)
        return CliRunner().invoke(main, ["status", "--data", folder]).stdout

    def problem(self):
        status, text = self.get("/healthz")
        facts = json.loads(text)
        assert (status == 200) == facts["ok"]
        return facts["problem"]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    (tmp_path / "relay").mkdir()
    disk = SimulatedDisk(tmp_path / "relay", name="relay.sqlite")
    monkeypatch.setattr(crdtsync_server.open, "SqliteStore", functools.partial(SqliteStore, vfs=disk.vfs))
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        shop = Shop(tmp_path, disk, relay)
        yield shop
        shop.till.close()


FAULTS = {
    "full": ({"free_bytes": 0}, {"free_bytes": None}, "full"),
    "read-only": ({"read_only": True}, {"read_only": False}, "written"),
    "without sync": ({"failing_syncs": True}, {"failing_syncs": False}, ""),
}


def set_disk(disk, facts):
    for name, value in facts.items():
        setattr(disk, name, value)


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_acknowledged_that_a_failing_disk_does_not_hold(shop, fault):
    broken, whole, told = FAULTS[fault]
    set_disk(shop.disk, broken)
    shop.till.sell(["CM-19"], ["card"])
    with pytest.raises(LinkClosed) as closed:
        shop.till.sync(60)
    assert closed.value.code == 4503
    assert closed.value.retryable
    assert shop.till.status().pending.sales == 1
    assert told in shop.problem()
    set_disk(shop.disk, whole)
    shop.till.sync(60)
    assert shop.till.status().pending.records == 0
    assert shop.problem() == ""


def test_a_register_comes_back_by_itself_when_there_is_space_again(shop):
    shop.disk.free_bytes = 0
    shop.till.start_sync()
    shop.till.sell(["CM-19"], ["card"])
    wait_until(lambda: "full" in shop.problem())
    wait_until(lambda: "not connected" in shop.read_at_the_till())
    said = shop.read_at_the_till()
    assert "offline – 1 ticket pending" in said
    assert re.search("not connected .* is full", said)
    shop.disk.free_bytes = None
    wait_until(lambda: shop.till.status().pending.records == 0)
    wait_until(lambda: shop.problem() == "")
    failures = [line for line in shop.get("/metrics")[1].splitlines() if "commit_failures_total" in line]
    assert float(failures[-1].split()[-1]) > 0


def test_a_pairing_code_stays_good_when_the_disk_was_full(shop, tmp_path):
    code = shop.relay.pairing_code()
    shop.disk.free_bytes = 0
    with pytest.raises(SetupError, match="could not write the certificate"):
        Register.join(tmp_path / "other", shop.relay.url, code, name="Caisse 2")
    shop.disk.free_bytes = None
    Register.join(tmp_path / "other", shop.relay.url, code, name="Caisse 2").close()


# -- a process of its own ---------------------------------------------------------------------------------


@pytest.fixture
def till(relay, tmp_path):
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        for _ in range(5):
            till.sell(["CM-19"], ["card"])
        till.sync(60)
        yield till


def test_a_process_that_may_write_no_more_refuses_and_goes_on_when_it_may_again(relay, till):
    size = (relay.folder / "relay.sqlite-wal").stat().st_size
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    till.start_sync()
    for _ in range(20):
        till.sell(["CM-19"], ["card"])
    wait_until(lambda: relay.get("/healthz")[0] == 503)
    assert till.status().pending.sales > 0
    resource.prlimit(
        relay.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    wait_until(lambda: till.status().pending.records == 0)
    wait_until(lambda: relay.get("/healthz")[0] == 200)
    relay.command("verify")


def spoil(relay, kind):
    """Flip a byte of an entry of that kind, past the store."""
    connection = apsw.Connection(str(relay.folder / "relay.sqlite"))
    needle = f'"kind":"{kind}"'.encode()
    rows = connection.execute("SELECT pos, bytes FROM record ORDER BY pos DESC").fetchall()
    pos, record = next((pos, record) for pos, record in rows if needle in record)
    connection.execute("UPDATE record SET bytes = ? WHERE pos = ?", (record.replace(b"ts", b"tt", 1), pos))
    connection.close()


@pytest.mark.parametrize("kind", ["sale", "certify"])
def test_a_relay_with_a_damaged_record_is_healed_by_the_register_that_has_it(relay, till, tmp_path, kind):
    relay.stop()
    spoil(relay, kind)
    relay.start()
    other = relay.join(tmp_path / "other", "Caisse 2")
    other.start_sync()
    wait_until(lambda: any(event["event"] == "record_set_apart" for event in relay.log()))
    till.start_sync()
    wait_until(lambda: len(other.sales()) == 5)
    wait_until(lambda: relay.get("/healthz")[0] == 200)
    other.close()
    relay.stop()
    assert relay.status()["damaged"] == 1
    relay.command("verify")
