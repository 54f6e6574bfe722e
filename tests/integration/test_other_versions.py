"""An old register at a new relay and the reverse, a store from a newer version, IPv6, a clock a year off."""

import json
import signal
import subprocess
import sys

import apsw
import pytest
from click.testing import CliRunner

from crdtsync.cli.group import main
from crdtsync.errors import StoreTooNew, UnsupportedVersion
from crdtsync.protocol import limits
from crdtsync.runtime.clock import SystemClock
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import ManualClock
from tests.clocks import clock_of_now
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

YEAR_MS = 365 * 86_400_000

A_NEWER_RELAY = """
from crdtsync.protocol import limits
limits.VERSION = 2
from crdtsync_server.cli import main
main(prog_name="crdtsync-relay")
"""


def words(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments))).stdout


@pytest.fixture
def till(relay, tmp_path):
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sync(60)
        yield till


def serve_newer(relay):
    """The same relay as before, of a version that speaks another protocol."""
    relay.stop()
    serve = ["serve", "--data", str(relay.folder), "--port", str(relay.port), "--json"]
    relay.process = subprocess.Popen(
        [sys.executable, "-c", A_NEWER_RELAY, *serve],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert json.loads(relay.process.stdout.readline())["port"] == relay.port


def sells_and_is_told(till, folder, theirs, ours):
    number = till.sell(["CM-19"], ["card"]).number
    till.start_sync()
    wait_until(
        lambda: any("synchronising has stopped" in one for one in till.status().concerns), "nobody says so"
    )
    till.stop_sync()
    status = words("status", "--data", folder)
    assert "1 ticket pending" in status
    assert (
        f"synchronising has stopped: the peer speaks version {theirs} of the protocol, "
        f"this device speaks version {ours}" in status
    )
    with pytest.raises(UnsupportedVersion) as refused:
        till.sync(60)
    assert refused.value.hint == "update the older of the two; unsent sales stay where they are"
    assert till.sell(["CM-19"], ["card"]).number != number
    assert till.status().pending.sales == 2


def test_an_old_register_at_a_new_relay_sells_on_says_what_to_update_and_is_in_step_after_it(relay, till):
    serve_newer(relay)
    sells_and_is_told(till, till.replica.folder, theirs=2, ours=1)
    relay.stop(signal.SIGKILL)
    relay.start()
    till.sync(60)
    assert till.status().pending.records == 0
    assert till.status().concerns == ()


def test_a_new_register_at_an_old_relay_sells_on_says_what_to_update_and_is_in_step_after_it(
    relay, till, monkeypatch
):
    with monkeypatch.context() as newer:
        newer.setattr(limits, "VERSION", 2)
        sells_and_is_told(till, till.replica.folder, theirs=1, ours=2)
    till.sync(60)
    assert till.status().pending.records == 0


def test_a_relay_leaves_a_store_of_a_newer_version_alone_and_says_so(relay, till):
    relay.stop()
    path = relay.folder / "relay.sqlite"
    with_version(path, 99)
    before = path.read_bytes()
    serve = [sys.executable, "-m", "crdtsync_server", "serve", "--data", str(relay.folder), "--port", "0"]
    run = subprocess.run(serve, capture_output=True, text=True, timeout=60)
    assert run.returncode == StoreTooNew.exit_code
    assert "was written by a newer version of crdtsync" in run.stderr
    assert path.read_bytes() == before


def with_version(path, version):
    store = SqliteStore(path)  # What the relay left in the journal goes into the file first.
    store.close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", version)
    connection.close()


def test_a_shop_on_ipv6_alone_is_in_step(relay_of, tmp_path):
    relay = relay_of("--host", "::1")
    assert relay.url.startswith("ws://[::1]:")
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sell(["CM-19"], ["card"])
        till.sync(60)
        assert till.status().pending.records == 0
        assert f"relay           ws://[::1]:{relay.port}" in words("status", "--data", tmp_path / "till")


@pytest.mark.parametrize("off_ms", [YEAR_MS, -YEAR_MS], ids=["ahead", "behind"])
def test_a_till_whose_clock_is_a_year_off_sells_keeps_its_day_is_in_step_and_says_so(relay, tmp_path, off_ms):
    clock = clock_of_now()
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code, clock=clock) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sync(60)  # It knows the relay's time from here on.
        day = till.sell(["CM-19"], ["card"]).business_day
        clock.pass_ms(off_ms)
        ticket = till.sell(["CM-19"], ["card"])
        assert ticket.business_day == day
        asked = "Is it 20" if off_ms > 0 else "Is the clock right?"
        assert any(asked in notice for notice in ticket.notices)
        till.sync(60)
        status = till.status()
        assert status.pending.records == 0
        offset_days = abs(status.clock_offset_ms) // 86_400_000
        (concern,) = (one for one in status.concerns if "the clock is" in one)
        where = "ahead of" if status.clock_offset_ms > 0 else "behind"
        assert concern == f"the clock is {offset_days} days {where} the relay's: set it right"
        assert (status.clock_offset_ms > 0) == (off_ms > 0)


class JumpingClock(ManualClock):
    """The machine's clock, that somebody sets."""

    ticks_ms = SystemClock().ticks_ms


@pytest.mark.parametrize("off_ms", [YEAR_MS, -YEAR_MS], ids=["ahead", "behind"])
def test_a_clock_that_jumps_while_the_line_stays_is_told_without_connecting_again(relay, tmp_path, off_ms):
    clock = JumpingClock(SystemClock().now_ms())
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code, clock=clock) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.start_sync()
        wait_until(lambda: till.status().clock_measured is not None)
        clock.pass_ms(off_ms)
        wait_until(lambda: abs(till.status().clock_offset_ms) > YEAR_MS // 2)
        assert any("the clock is" in one for one in till.status().concerns)
        clock.pass_ms(-off_ms)
        wait_until(lambda: not till.status().concerns)
