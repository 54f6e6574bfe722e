"""A shop that has what it may have on its relay sells on, is told, and all comes in once there is room."""

import json

import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.cli.group import main
from crdtsync_server.cli.group import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

RECORDS_MAX = 12


def words(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments))).stdout


def is_answered(till):
    """Whether the relay has told of all records what became of them."""
    known = till.replica.log.acknowledged(till.replica.relay.log_id or b"")
    return known is not None and known.position.seq == till.end.seq


def test_a_shop_over_its_quota_sells_on_is_told_and_loses_nothing(tmp_path):
    relay_folder, folder = tmp_path / "relay", tmp_path / "till"
    with LocalRelay(relay_folder, shop="Cave", shop_records_max=RECORDS_MAX) as relay:
        port = int(relay.url.rsplit(":", 1)[1])
        with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 1") as till:
            till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
            sold = [till.sell(["CM-19"], ["card"]).number for _ in range(RECORDS_MAX)]
            till.start_sync()
            wait_until(lambda: is_answered(till), "the relay does not answer")
            status = till.status()
            held = status.pending.sales
            assert 0 < held < RECORDS_MAX
            reason = f"this shop has the {RECORDS_MAX} records that it may have on the relay"
            assert status.concerns == (f"the relay did not take {held} records: {reason}",)
            assert f"! the relay did not take {held} records: {reason}" in words(
                main, "status", "--data", folder
            )
            # The shop sells on, and what was taken stays taken.
            sold.append(till.sell(["CM-19"], ["card"]).number)
            wait_until(
                lambda: is_answered(till) and till.status().pending.sales == held + 1,
                "the relay does not answer",
            )
        told = words(relay_main, "status", "--data", relay_folder)
        assert f"{held + 1} held" in told
        assert f"over-limit: {reason}" in told
    with (
        LocalRelay(relay_folder, shop="Cave", port=port) as relay,
        Register.open(folder) as till,
        Register.join(tmp_path / "other", relay.url, relay.pairing_code(), name="Caisse 2") as other,
    ):
        till.sync(60)
        assert (till.status().pending.records, till.status().concerns) == (0, ())
        other.sync(60)
        assert {row.number for row in other.sales(rows_max=100)} == set(sold)
        (shop,) = json.loads(words(relay_main, "status", "--data", relay_folder, "--json"))["shops"]
        assert (shop["held"], shop["not_admitted"]) == (0, [])
