"""What the person at the till reads when a limit of the relay is met, and that it is over by itself."""

import resource

import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.cli.group import main
from crdtsync_server.local import LocalRelay
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def read_at(folder):
    """What `crdtsync status` says there."""
    return CliRunner().invoke(main, ["status", "--data", str(folder)]).stdout


def test_a_till_for_which_the_relay_has_no_connection_left_says_so_and_comes_in_when_there_is_one(tmp_path):
    with (
        LocalRelay(tmp_path / "relay", shop="Cave", connections_max=1) as relay,
        Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as first,
        Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as second,
    ):
        first.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        first.sync(60)
        second.sync(60)
        connected = first.start_sync()
        wait_until(lambda: connected.is_connected)
        second.start_sync()
        number = second.sell(["CM-19"], ["card"]).number
        wait_until(lambda: "not connected" in read_at(tmp_path / "b"))
        said = read_at(tmp_path / "b")
        assert "offline – 1 ticket pending" in said
        assert "Sales are recorded and safe on this register; they go out when the relay is reached." in said
        assert "offline" not in read_at(tmp_path / "a")
        first.stop_sync()
        wait_until(lambda: second.status().pending.records == 0)
        wait_until(lambda: "not connected" not in read_at(tmp_path / "b"))
        second.stop_sync()
        first.sync(60)
        assert [row.number for row in first.sales()] == [number]


def test_a_relay_that_may_open_fewer_files_than_its_settings_need_says_so_when_it_starts(relay):
    _, hard = resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE)
    relay.stop()
    relay.settings = ("--connections-max", str(hard))
    relay.start()
    [told] = [event for event in relay.log() if event["event"] == "few_open_files"]
    assert told["allowed"] == hard < told["wanted"]
    assert "--connections-max" in told["hint"]
