"""``crdtsync-relay doctor`` and ``status``: what keeps the relay, or one of its registers, from its work."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.runtime.clock import SystemClock
from crdtsync.runtime.register.register import Register
from crdtsync.storage.log import Refusal
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.cli import main
from crdtsync_server.diagnosis import CHECKS
from crdtsync_server.folder import DataFolder
from crdtsync_server.local import LocalRelay
from crdtsync_server.open import opened
from crdtsync_server.shops import contacts
from crdtsync_server.shops.office_chain import enrol_office
from tests.integration.conftest import wait_until

DAY_MS = 86_400_000

pytestmark = pytest.mark.usefixtures("on_a_disk_of_this_machine")


def run(folder: Path, *arguments: str):
    return CliRunner().invoke(main, [*arguments, "--data", str(folder), "--json"])


def findings(folder: Path):
    result = run(folder, "doctor")
    said = json.loads(result.stdout)
    wrong = [found for found in said["findings"] if found["state"] == "wrong"]
    assert result.exit_code == said["exit_code"] == (wrong[0]["exit_code"] if wrong else 0)
    assert all(found["advice"] for found in wrong), "each says what to do"
    order = [list(CHECKS).index(found["check"]) for found in said["findings"]]
    assert order == sorted(order)
    return {found["check"]: found for found in said["findings"]}


def devices(folder: Path):
    [shop] = json.loads(run(folder, "status").stdout)["shops"]
    return {device["name"]: device for device in shop["devices"]}


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        yield relay


@pytest.fixture
def folder(relay, tmp_path):
    return tmp_path / "relay"


@pytest.fixture
def till(relay, tmp_path):
    with Register.join(tmp_path / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        yield till


def change_contact(folder: Path, till: Register, **facts) -> None:
    """Have the relay know something else of a register than it does."""
    store = SqliteStore(DataFolder(folder).store)
    log = store.shop(till.identity.shop)
    with store.transaction():
        known = contacts.read_contact(log, till.identity.device)
        changed = replace(known, **facts)
        log.set_state(f"contact/{till.identity.device.hex()}", changed.to_bytes())
    store.close()


def test_a_relay_that_works_is_well(till, folder):
    till.sync()
    wait_until(lambda: devices(folder)["Caisse 1"]["last_contact_at"])
    found = findings(folder)
    assert {one["state"] for one in found.values()} == {"well"}
    assert set(found) == set(CHECKS)


def test_of_each_register_all_that_is_known_is_told_to_a_person_and_to_a_script(till, folder):
    number = till.sell(["CM-19"], ["card"]).number
    till.sync()
    wait_until(lambda: devices(folder)["Caisse 1"]["complete_to"] == number)
    wait_until(lambda: devices(folder)["Caisse 1"]["last_contact_at"])
    change_contact(
        folder, till, connected=False, pending_sales=2, pending_amount_minor=3700, log_end=1 << 40,
        clock_offset_ms=3000, software="crdtsync 9.9",
    )  # fmt: skip
    expected = {
        "connected": False,
        "pending_sales": 2,
        "pending_amount_minor": 3700,
        "complete_to": number,
        "clock_offset_ms": 3000,
        "software": "crdtsync 9.9",
    }
    known = devices(folder)["Caisse 1"]
    [told] = json.loads(run(folder, "doctor").stdout)["devices"]
    assert (told["shop_name"], told["name"]) == ("Cave du Port", "Caisse 1")
    for facts in (known, told):
        assert expected.items() <= facts.items()
        assert facts["complete_to_at"] is not None
        assert facts["last_contact_at"] is not None
    status, doctor = (
        " ".join(CliRunner().invoke(main, [command, "--data", str(folder)]).stdout.split())
        for command in ("status", "doctor")
    )
    for text in (number, known["last_contact_at"], known["complete_to_at"], "+3 s", "crdtsync 9.9", "37,00"):
        assert text in status
        assert text in doctor
    assert "2 tickets pending, 37,00 €" in doctor


def test_a_folder_without_a_relay_is_all_that_is_told(tmp_path):
    found = findings(tmp_path / "none")
    assert [(check, one["exit_code"]) for check, one in found.items()] == [
        ("folder", errors.NoRegister.exit_code)
    ]
    assert not (tmp_path / "none").exists()


def test_a_relay_that_nobody_serves_is_told(tmp_path):
    run(tmp_path / "relay", "shop", "create", "Cave")
    found = findings(tmp_path / "relay")["serving"]
    assert (found["exit_code"], "serve" in found["advice"]) == (errors.RoleTaken.exit_code, True)


@pytest.mark.slow
def test_a_relay_whose_process_was_stopped_is_told(tmp_path):
    folder = tmp_path / "relay"
    run(folder, "shop", "create", "Cave")
    command = [sys.executable, "-m", "crdtsync_server", "serve", "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: DataFolder(folder).served_by() == process.pid)
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            found = findings(folder)["serving"]
            assert f"kill -CONT {process.pid}" in found["advice"]
        finally:
            os.kill(process.pid, signal.SIGCONT)
            process.terminate()


def test_keys_that_others_can_read_are_told(relay, folder):
    next((folder / "keys").iterdir()).chmod(0o644)
    found = findings(folder)["keys"]
    assert (found["state"], "chmod" in found["advice"]) == ("notice", True)


def test_a_store_that_cannot_be_opened_is_told(tmp_path):
    folder = tmp_path / "relay"
    run(folder, "shop", "create", "Cave")
    (folder / "relay.sqlite").write_bytes(b"not a store" * 1000)
    assert findings(folder)["store"]["exit_code"] == errors.NotAStore.exit_code


def test_what_was_refused_is_told_with_the_command_that_shows_it(till, folder):
    store = SqliteStore(DataFolder(folder).store)
    with store.transaction():
        refusal = Refusal(3, b"d" * 32, "malformed", "no record", held=False)
        store.shop(till.identity.shop).refuse(b"some-other-log-1", refusal, b"Ejunk", 1)
    store.close()
    found = findings(folder)["quarantine"]
    assert found["exit_code"] == errors.RecordError.exit_code
    assert "quarantine list 'Cave du Port'" in found["advice"]


def test_registers_that_were_not_heard_of_and_clocks_that_are_wrong_are_named(till, folder):
    assert "Caisse 1 (never)" in findings(folder)["registers"]["says"]
    till.sync()
    wait_until(lambda: devices(folder)["Caisse 1"]["last_contact_at"])
    long_ago_ms = SystemClock().now_ms() - 40 * DAY_MS
    change_contact(folder, till, at_ms=long_ago_ms, connected=False, clock_offset_ms=-365 * DAY_MS)
    found = findings(folder)
    assert "Caisse 1 (40 days)" in found["registers"]["says"]
    assert found["clocks"]["exit_code"] == errors.WrongClock.exit_code
    assert "Caisse 1 (365 days off)" in found["clocks"]["says"]


@pytest.mark.slow
def test_after_a_restore_was_noticed_registers_that_are_not_back_are_named_and_no_back_office(till, folder):
    with opened(folder) as (access, store):
        enrol_office(access, store, till.identity.shop)
        access.begin_generation(store, till.identity.shop)
    copies = findings(folder)["copies"]
    assert copies["state"] == "notice"
    assert copies["advice"].endswith("not here since: Caisse 1")


def test_status_says_who_is_here_and_up_to_where_each_is_complete(till, folder):
    till.sell(["CM-19"], ["card"])
    number = till.sell(["CM-19"], ["cash"]).number
    till.close_day(None)
    till.start_sync()
    wait_until(lambda: devices(folder)["Caisse 1"]["complete_to"] == number)
    wait_until(lambda: devices(folder)["Caisse 1"]["connected"])
    shown = CliRunner().invoke(main, ["status", "--data", str(folder)]).stdout
    assert "connected" in shown
    assert number in shown
    till.stop_sync()
    wait_until(lambda: not devices(folder)["Caisse 1"]["connected"])
    till.sell(["CM-19"], ["card"])
    assert devices(folder)["Caisse 1"]["complete_to"] == number


def test_where_an_entry_is_missing_it_is_complete_up_to_the_one_before(till, folder):
    numbers = [till.sell(["CM-19"], ["card"]).number for _ in range(3)]
    till.sync()
    store = SqliteStore(DataFolder(folder).store)
    log = store.shop(till.identity.shop)
    [seq] = [seq for seq, record in log.read(0, bytes_max=1 << 20).records if numbers[1].encode() in record]
    with closing(apsw.Connection(str(DataFolder(folder).store))) as connection:
        like = f"%{numbers[1]}%"
        connection.execute("UPDATE record SET crc = crc + 1 WHERE CAST(bytes AS TEXT) LIKE ?", (like,))
    with store.transaction():
        assert log.set_damaged_apart(seq, 1)
    store.close()
    assert devices(folder)["Caisse 1"]["complete_to"] == numbers[0]
    found = findings(folder)["missing"]
    assert found["says"] == "Cave du Port: entries are missing between those held: Caisse 1"
    told = CliRunner().invoke(main, ["missing", "Cave du Port", "--data", str(folder)]).stdout
    assert f"between tickets {numbers[0]} and {numbers[2]}" in told


def test_a_damaged_record_of_a_relay_that_is_not_served_is_named_and_serving_it_is_the_way_out(
    relay, till, folder
):
    ticket = till.sell(["CM-19"], ["card"])
    till.sync()
    port = urlsplit(relay.url).port
    relay.stop()
    with closing(apsw.Connection(str(DataFolder(folder).store))) as store:
        store.execute("UPDATE record SET crc = crc + 1 WHERE pos = (SELECT max(pos) FROM record)")
    found = findings(folder)["store"]
    assert found["exit_code"] == errors.DamagedStore.exit_code
    assert found["advice"].startswith("`crdtsync-relay serve` sets it apart with its bytes")
    verified = run(folder, "verify")
    assert verified.exit_code == errors.IntegrityDefect.exit_code
    assert {one["code"] for one in json.loads(verified.stdout)["store"]} == {"store"}
    assert "is damaged" in json.loads(verified.stdout)["store"][0]["message"]
    told = json.loads(verified.stderr)
    assert told["hint"].startswith("`crdtsync-relay serve` sets it apart with its bytes")
    shown = CliRunner().invoke(main, ["verify", "--data", str(folder)]).stdout
    assert "There are no shops" not in shown
    assert "everything holds" not in shown
    # The advice, followed.
    with LocalRelay(folder, shop="Cave du Port", port=port):
        till.start_sync()  # It connects again where the relay has found what is damaged.
        wait_until(lambda: run(folder, "verify").exit_code == 0)
    with opened(folder) as (_, store):
        assert store.shop(till.identity.shop).holds(ticket.link, ticket.chain, ticket.n)
    told = findings(folder)["copies"]
    assert "put back from a backup, taken" not in told["says"]


def test_a_shop_of_which_nothing_can_be_read_is_told_as_that_and_others_are_verified(
    till, folder, monkeypatch
):
    def cannot(*_):
        raise errors.DamagedStore("the head of the log is damaged")

    monkeypatch.setattr("crdtsync_server.verification.verify_shop", cannot)
    result = run(folder, "verify")
    assert result.exit_code == errors.DamagedStore.exit_code
    assert "the head of the log is damaged" in result.stderr
    shown = CliRunner().invoke(main, ["verify", "--data", str(folder)]).stdout
    assert shown == "Cave du Port: nothing else of it can be read as it is.\n"
