"""A till that sends more than its share, at a relay in this process."""

import json
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.cli.group import main as cli
from crdtsync_server import LocalRelay
from crdtsync_server.cli.group import main as relay_cli
from crdtsync_server.serving import pace
from tests.integration.conftest import wait_until

pytestmark = pytest.mark.slow

SALES = 2_000
"""More than one piece on the wire: who has sent everything at once has nothing left to wait with."""


def shown(command, *arguments):
    result = CliRunner().invoke(command, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def words(command, *arguments):
    return CliRunner().invoke(command, list(arguments)).stdout


def test_a_till_that_sends_more_than_its_share_is_slowed_and_told_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "BURST_RECORDS", 100)
    folder, relay_folder = str(tmp_path / "flood"), str(tmp_path / "relay")
    with ExitStack() as opened:
        relay = opened.enter_context(LocalRelay(relay_folder, shop="Cave", device_records_per_s=300))
        flood, quiet = (
            opened.enter_context(Register.join(tmp_path / name, relay.url, relay.pairing_code(), name=name))
            for name in ("flood", "quiet")
        )
        flood.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        sold = {flood.sell(["CM-19"], ["card"]).number for _ in range(SALES)}
        flood.start_sync()
        share = "it sends more than its share; nothing is lost"
        wait_until(lambda: share in words(cli, "status", "--data", folder), "the till is not told")

        def devices():
            (shop,) = shown(relay_cli, "status", "--data", relay_folder)["shops"]
            return {device["name"]: device["slowed"] for device in shop["devices"]}

        wait_until(lambda: devices()["flood"], "the relay does not say so")
        assert devices()["quiet"] is False
        assert "connected, slowed" in words(relay_cli, "status", "--data", relay_folder)
        # The other one does not wait for it.
        quiet.sync(60)
        quiet.sell(["CM-19"], ["card"])
        quiet.sync(60)
        assert quiet.status().pending.records == 0
        wait_until(lambda: flood.status().pending.records == 0, "the rest does not follow")
        assert flood.status().slowed_since_ms is None
        quiet.sync(60)
        assert {row.number for row in quiet.sales(rows_max=10_000)} >= sold
