"""``crdtsync doctor``: each thing that can be in the way is named, with what to do and an exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import apsw
import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol import about
from crdtsync.runtime.clock import SystemClock
from crdtsync.runtime.doctor import disk, network
from crdtsync.runtime.doctor.disk import drive_of
from crdtsync.runtime.doctor.finding import CHECKS
from crdtsync.runtime.folder.identity import ClockOffset, Relay, load_relay, save_clock_offset, save_relay
from crdtsync.runtime.folder.role import SYNC_LOCK, holder_of
from crdtsync.runtime.register.register import Register
from crdtsync_server.cli import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till
from tests.cli.test_network import belongs_to, web_server
from tests.integration.conftest import wait_until

genuine_budget_s = network.BUDGET_S
OTHER_KEY = PrivateKey.from_seed(b"another relay").public

pytestmark = pytest.mark.usefixtures("on_a_disk_of_this_machine")


def findings(till: Till) -> dict[str, dict[str, object]]:
    """What the doctor says of each check; the exit code is that of the first thing that is wrong."""
    result = till.run("doctor", "--json")
    said = json.loads(result.stdout)
    wrong = [found for found in said["findings"] if found["state"] == "wrong"]
    assert result.exit_code == said["exit_code"] == (wrong[0]["exit_code"] if wrong else 0)
    assert said["well"] is not bool(wrong)
    assert {found["check"] for found in said["findings"]} <= set(CHECKS)
    assert all(found["advice"] for found in wrong), "each says what to do"
    for check in {found["check"] for found in wrong}:
        assert all(found["state"] != "well" for found in said["findings"] if found["check"] == check)
    return {found["check"]: found for found in said["findings"]}


@pytest.fixture(autouse=True)
def with_time_to_answer(monkeypatch):
    """However busy this machine is: only who never answers is given up."""
    monkeypatch.setattr(network, "BUDGET_S", 60.0)
    monkeypatch.setattr(network, "GIVEN_UP_S", 60.0)


@pytest.fixture
def shop(tmp_path):
    """A relay, and a till that has synchronised with it."""
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        till = Till(tmp_path / "till")
        with Register.join(till.folder, relay.url, relay.pairing_code(), name="Caisse 1") as register:
            register.sync()
        yield relay, till


def sell_one(till: Till) -> None:
    till.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    till.ok("sell", "CM-19", "--pay", "card")


def test_a_register_that_is_in_step_is_well_and_only_told_that_nothing_runs(shop):
    _, till = shop
    found = findings(till)
    assert list(found) == [check for check in CHECKS if check in found]
    assert found.pop("syncing")["state"] == "notice"
    assert {one["state"] for one in found.values()} == {"well"}
    assert till.run("doctor").stdout.endswith("Nothing is wrong.\n")


def test_a_register_without_a_relay_is_told_how_to_get_one(till):
    found = findings(till)
    assert found["relay"]["state"] == found["pending"]["state"] == "notice"
    assert "crdtsync join" in found["relay"]["advice"]
    assert "name" not in found


def test_a_folder_without_a_register_is_all_that_is_told(empty):
    assert findings(empty) == {
        "folder": {
            "check": "folder",
            "state": "wrong",
            "says": f"{empty.folder} is no folder",
            "advice": errors.NoRegister.hint,
            "exit_code": errors.NoRegister.exit_code,
        }
    }


@pytest.mark.parametrize(
    ("url", "check", "told"),
    [
        ("ws://no.such.host.invalid:1", "name", "is not known"),
        ("ws://127.0.0.1:1", "address", "Connection refused"),
        ("ws://127.0.0.1:99999", "name", "no address of a relay"),
    ],
)
def test_the_step_at_which_the_way_to_the_relay_ends_is_named(till, url, check, told):
    belongs_to(till, url)
    found = findings(till)
    assert found[check]["state"] == "wrong"
    assert told in found[check]["says"]
    assert "relay" not in found


def test_sales_that_nobody_carries_away_are_wrong(shop):
    _, till = shop
    sell_one(till)
    found = findings(till)
    assert (found["syncing"]["state"], found["syncing"]["exit_code"]) == (
        "wrong",
        errors.NotSynchronised.exit_code,
    )
    assert found["pending"]["state"] == "notice"
    assert "1 ticket (2 records)" in found["pending"]["says"]


def test_a_web_page_at_the_relays_address_is_no_relay(till):
    with web_server() as url:
        belongs_to(till, url)
        found = findings(till)
    assert found["address"]["state"] == "well"
    assert (found["relay"]["state"], found["relay"]["exit_code"]) == (
        "wrong",
        errors.RelayUnreachable.exit_code,
    )


def test_what_answers_at_the_address_cannot_command_the_terminal(till):
    def answer(listener):
        connected, _ = listener.accept()
        with connected:
            connected.recv(1000)
            connected.sendall(b"\x1b[2J\x1b]0;all is well\x07\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        belongs_to(till, f"ws://127.0.0.1:{listener.getsockname()[1]}")
        stranger = threading.Thread(target=answer, args=(listener,))
        stranger.start()
        told = till.run("doctor").stdout
        stranger.join()
    assert "all is well" in told
    assert "\x1b" not in told


def test_another_relay_at_the_address_is_found_out(shop):
    _, till = shop
    with Register.open(till.folder) as register, register.replica.store.transaction():
        log = register.replica.log
        known = load_relay(log)
        save_relay(log, Relay(known.url, OTHER_KEY, known.log_id))
    found = findings(till)
    assert found["relay"]["exit_code"] == errors.WrongRelayKey.exit_code
    assert "`crdtsync move URL`" in found["relay"]["advice"]
    assert "version" not in found, "what an unknown relay says of itself is not passed on"


@pytest.mark.slow
def test_whoever_takes_the_connection_and_says_nothing_is_given_up(till, monkeypatch):
    monkeypatch.setattr(network, "BUDGET_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        belongs_to(till, f"ws://127.0.0.1:{server.getsockname()[1]}")
        found = findings(till)
    assert found["relay"]["state"] == "wrong"
    assert "says nothing" in found["relay"]["says"]


@pytest.mark.parametrize(("scheme", "step"), [("ws", "relay"), ("wss", "tls")])
def test_over_a_slow_line_no_wrong_cause_is_told(till, monkeypatch, scheme, step):
    """A line is taken for a slow one by how long the connection took; here every line is."""
    monkeypatch.setattr(network, "BUDGET_S", 0.5)
    monkeypatch.setattr(network, "SLOW_LINE_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        belongs_to(till, f"{scheme}://127.0.0.1:{server.getsockname()[1]}")
        found = findings(till)
    assert found["address"]["state"] == "well"
    assert (found[step]["state"], found[step]["exit_code"]) == ("unknown", 0)
    assert "the line is slow" in found[step]["says"]
    assert "crdtsync sync" in found[step]["advice"]


def test_a_name_server_that_does_not_answer_is_given_up(till, monkeypatch):
    monkeypatch.setattr(network, "BUDGET_S", 0.2)
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(60) and [])
    belongs_to(till, "ws://relay.example:1")
    try:
        found = findings(till)
        assert not answered.is_set(), "it is not waited for"
    finally:
        answered.set()
    assert "name server does not answer" in found["name"]["says"]


def test_all_of_it_is_looked_at_within_a_second():
    assert genuine_budget_s < 1


def test_a_relay_that_does_not_say_who_it_is_is_an_older_one(shop, monkeypatch):
    _, till = shop
    monkeypatch.setattr(network, "ABOUT_PATH", "/v1/nothing-here")
    found = findings(till)
    assert found["relay"]["state"] == "unknown"
    assert (
        found["relay"]["advice"] == "check the relay's address and port; if they are right, update the relay"
    )


def test_a_relay_of_another_version_is_named(shop, monkeypatch):
    _, till = shop
    monkeypatch.setattr(network, "VERSION", 99)
    found = findings(till)
    assert found["version"]["exit_code"] == errors.UnsupportedVersion.exit_code


def test_tls_that_is_not_spoken_is_named(shop):
    relay, till = shop
    belongs_to(till, relay.url.replace("ws://", "wss://"))
    found = findings(till)
    assert found["address"]["state"] == "well"
    assert found["tls"]["state"] == "wrong"


def test_a_clock_that_is_a_year_off_is_named_with_the_relay_there(shop, monkeypatch):
    _, till = shop
    genuine = network._judge
    far_ms = 365 * 86_400_000

    def a_year_later(*what):
        for found in genuine(*what):
            yield replace(found, now_ms=found.now_ms - far_ms) if isinstance(found, about.About) else found

    monkeypatch.setattr(network, "_judge", a_year_later)
    found = findings(till)["clock"]
    assert found["exit_code"] == errors.WrongClock.exit_code
    assert "365 days ahead of the relay's" in found["says"]


@pytest.mark.parametrize(("days", "state"), [(365, "unknown"), (-365, "wrong"), (0, "well")])
def test_a_clock_that_is_a_year_off_is_not_called_right_with_no_network(shop, monkeypatch, days, state):
    relay, till = shop
    relay.stop()
    genuine = SystemClock.now_ms
    monkeypatch.setattr(SystemClock, "now_ms", lambda self: genuine(self) + days * 86_400_000)
    found = findings(till)["clock"]
    assert found["state"] == state
    said = till.ok("status")
    if days > 0:
        assert "365 days ago, as it counts itself" in found["says"]
        assert "to the second when it showed " in said
    if days < 0:
        assert "days behind the relay's" in found["says"]
        assert "days behind the relay's: set it right" in said


def test_a_clock_that_was_set_right_is_wrong_no_longer_with_no_network(shop, monkeypatch):
    relay, till = shop
    relay.stop()
    genuine = SystemClock.now_ms
    far_ms = 365 * 86_400_000
    with monkeypatch.context() as wrong, Register.open(till.folder) as register:
        wrong.setattr(SystemClock, "now_ms", lambda self: genuine(self) + far_ms)
        with register.replica.store.transaction():
            save_clock_offset(register.replica.log, ClockOffset(far_ms, SystemClock().now_ms()))
        assert "365 days ahead of the relay's: set it right" in till.ok("status")
        assert findings(till)["clock"]["exit_code"] == errors.WrongClock.exit_code
    found = findings(till)["clock"]
    assert (found["state"], "was set back" in found["says"]) == ("unknown", True)
    assert "set it right" not in till.ok("status")


def test_a_neighbour_whose_clock_was_a_year_ahead_makes_no_other_clock_wrong(shop, monkeypatch, tmp_path):
    relay, till = shop
    genuine = SystemClock.now_ms
    with monkeypatch.context() as wrong:
        wrong.setattr(SystemClock, "now_ms", lambda self: genuine(self) + 365 * 86_400_000)
        other = Till(tmp_path / "other")
        other.ok("join", relay.url, relay.pairing_code(), "--name", "Caisse 2")
        sell_one(other)
        other.ok("sync")
    till.ok("sync")
    for one in (till, other):
        one.ok("sync")
        assert findings(one)["clock"]["state"] == "well"
        assert "set the clock" not in one.ok("status")
        assert "set it right" not in one.ok("status")


def test_a_clock_that_is_behind_what_is_recorded_is_named_without_a_relay(till, monkeypatch):
    genuine = SystemClock.now_ms
    monkeypatch.setattr(SystemClock, "now_ms", lambda self: genuine(self) - 40 * 86_400_000)
    found = findings(till)["clock"]
    assert found["exit_code"] == errors.WrongClock.exit_code
    assert "behind what is recorded already" in found["says"]


def test_a_process_that_keeps_the_store_locked_is_named(shop):
    _, till = shop
    sell_one(till)
    with closing(apsw.Connection(str(till.folder / "register.sqlite"))) as other:
        other.execute("BEGIN IMMEDIATE")
        found = findings(till)["store"]
        assert found["exit_code"] == errors.StoreBusy.exit_code
        assert f"process {os.getpid()} keeps " in found["says"]
        assert f"`kill {os.getpid()}`" in found["advice"]
        other.execute("ROLLBACK")
    assert findings(till)["store"]["state"] == "well"


@pytest.mark.slow
def test_a_process_that_synchronises_is_named_and_one_that_is_stopped_is_in_the_way(shop):
    _, till = shop
    arguments = [sys.executable, "-m", "crdtsync", "run", "--data", str(till.folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        try:
            wait_until(lambda: holder_of(till.folder / SYNC_LOCK) == process.pid)
            assert f"process {process.pid} synchronises" in findings(till)["syncing"]["says"]
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            found = findings(till)["syncing"]
            assert found["exit_code"] == errors.RoleTaken.exit_code
            assert f"kill -CONT {process.pid}" in found["advice"]
        finally:
            os.kill(process.pid, signal.SIGCONT)
            process.terminate()


def test_asking_disturbs_nobody_who_synchronises(shop):
    relay, till = shop
    with Register.open(till.folder) as register:
        syncing = register.start_sync()
        wait_until(lambda: syncing.is_connected)
        before = connections_opened(relay)
        assert findings(till)["relay"]["state"] == "well"
        assert connections_opened(relay) == before
        assert syncing.is_connected


def connections_opened(relay) -> list[str]:
    with urlopen(f"{relay.url.replace('ws://', 'http://')}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith("crdtsync_relay_connections_opened_total")]
    assert found
    return found


def test_a_revoked_register_is_told(shop):
    _, till = shop
    data = till.folder.parent / "relay"
    answer = CliRunner().invoke(relay_main, ["revoke", "Cave du Port", "Caisse 1", "--data", str(data)])
    assert answer.exit_code == 0, answer.output
    assert till.run("sync").exit_code == errors.AccessDenied.exit_code
    assert findings(till)["certificate"]["exit_code"] == errors.AccessDenied.exit_code


# -- the disk ------------------------------------------------------------------------------------------------


def test_a_network_drive_is_named(till, monkeypatch, tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"40 22 0:50 / {till.folder.parent} rw,relatime shared:1 - nfs4 nas:/tills rw,vers=4.2\n"
    )
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    found = findings(till)["drive"]
    assert found["state"] == "wrong"
    assert "network drive (nfs4)" in found["says"]


def test_the_last_mount_at_the_deepest_point_counts(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /srv rw - xfs /dev/sdb1 rw\n"
        "3 1 0:9 / /srv/my\\040till rw - tmpfs tmpfs rw\n"
        "4 1 0:9 / /srv rw - cifs //nas/x rw\n"
    )
    assert drive_of(Path("/srv/other"), mounts) == "cifs"
    assert drive_of(Path("/srv/my till/data"), mounts) == "tmpfs"
    assert drive_of(Path("/home"), mounts) == "ext4"
    assert drive_of(Path("/home"), tmp_path / "nothing") is None


Usage = namedtuple("Usage", "f_bavail f_frsize")


@pytest.mark.parametrize(
    ("free", "state", "exit_code"),
    [(1 << 20, "wrong", errors.DiskFull.exit_code), (100 << 20, "notice", 0), (5 << 30, "well", 0)],
)
def test_a_disk_that_is_nearly_full_is_told_before_it_is_full(till, monkeypatch, free, state, exit_code):
    monkeypatch.setattr(os, "statvfs", lambda _: Usage(f_bavail=free // 4096, f_frsize=4096))
    found = findings(till)["space"]
    assert (found["state"], found["exit_code"]) == (state, exit_code)


def test_a_key_that_others_can_read_or_that_is_gone_is_told(till):
    key = till.folder / "device.key"
    key.chmod(0o644)
    assert findings(till)["key"]["state"] == "notice"
    key.write_bytes(b"no key")
    found = findings(till)
    assert (found["key"]["exit_code"], found["store"]["state"]) == (errors.DamagedStore.exit_code, "well")
    key.unlink()
    found = findings(till)
    assert found["key"]["exit_code"] == errors.NoRegister.exit_code
    assert (found["store"]["state"], "pending" in found) == ("well", True), (
        "the rest is looked at all the same"
    )


@pytest.mark.parametrize(
    ("statement", "error"),
    [("PRAGMA user_version = 9999", errors.StoreTooNew), ("PRAGMA application_id = 1", errors.NotAStore)],
)
def test_a_store_that_cannot_be_opened_is_told_and_the_rest_too(till, statement, error):
    with closing(apsw.Connection(str(till.folder / "register.sqlite"))) as connection:
        connection.execute(statement)
    found = findings(till)
    assert found["store"]["exit_code"] == error.exit_code
    assert found["space"]["state"] == "well"


# -- what a relay says of itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("nonce", ["", "?nonce=", "?nonce=zz", "?nonce=00", f"?nonce={'0' * 34}"])
def test_a_relay_that_is_asked_without_a_nonce_refuses(shop, nonce):
    relay, _ = shop
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{relay.url.replace('ws://', 'http://')}/v1/about{nonce}", timeout=60)
    with refused.value as answer:
        assert answer.code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"key": None},
        {"key": "xy"},
        {"now_ms": "1"},
        {"now_ms": -1},
        {"now_ms": True},
        {"now_ms": 1 << 60},
        {"protocol": 1.0},
        {"problem": 3},
        {"version": None},
    ],
)
def test_what_is_no_answer_of_a_relay_is_not_taken_for_one(change):
    answer = about.About(b"\x02" * 33, 1, 1, "1", "", bytes(64)).to_json()
    assert about.About.from_json(answer).to_json() == answer
    with pytest.raises(ValueError):
        about.About.from_json(answer | change)
    answer.pop(next(iter(change)))
    with pytest.raises(ValueError):
        about.About.from_json(answer)
    with pytest.raises(ValueError):
        about.About.from_json([])
