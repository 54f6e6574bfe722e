"""A proxy that holds a connection half-open: both ends notice, say so, and meet again by themselves."""

import json

import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.cli.group import main
from crdtsync.runtime.syncing import link
from crdtsync.testing.line import FaultyLine
from crdtsync_server.cli.group import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def soon(monkeypatch):
    """What takes a till 35 seconds takes it two here."""
    monkeypatch.setattr(link, "PING_EVERY_S", 0.3)
    monkeypatch.setattr(link, "SILENCE_S_MAX", 2.0)
    monkeypatch.setattr(link, "OPEN_TIMEOUT_S", 2)


def shown(command, *arguments):
    return json.loads(CliRunner().invoke(command, [*arguments, "--json"]).stdout)


def test_both_ends_notice_a_connection_that_leads_nowhere_and_meet_again(tmp_path, soon):
    relay_folder, folder = str(tmp_path / "relay"), str(tmp_path / "till")
    with (
        LocalRelay(relay_folder, shop="Cave", ping_interval_s=1, ping_timeout_s=1) as relay,
        FaultyLine(relay.url) as line,
        Register.join(folder, line.url, relay.pairing_code(), name="Caisse 1") as till,
    ):
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.start_sync()
        wait_until(lambda: till.status().pending.records == 0, "the till is not in step")

        def is_connected():
            (shop,) = shown(relay_main, "status", "--data", relay_folder)["shops"]
            return shop["devices"][0]["connected"]

        wait_until(is_connected, "the relay does not know the till")
        line.black_hole()
        till.sell(["CM-19"], ["card"])
        wait_until(
            lambda: shown(main, "status", "--data", folder)["link_trouble"], "the till notices nothing"
        )
        status = shown(main, "status", "--data", folder)
        assert status["link_trouble"]["is_over"] is False
        assert status["pending_sales"] == 1
        words = CliRunner().invoke(main, ["status", "--data", folder]).stdout
        assert "offline – 1 ticket pending" in words
        # The second, once it has tried again and nobody answered at all.
        ways = ("sending them is tried again and again, by itself.", "they go out when the relay is reached.")
        assert any(f"Sales are recorded and safe on this register; {way}" in words for way in ways)
        wait_until(lambda: not is_connected(), "the relay notices nothing")
        line.heal()
        wait_until(lambda: till.status().pending.records == 0, "they do not meet again")
        wait_until(lambda: till.status().link_trouble is None, "the trouble is not over")
