"""A relay in the same process, as a program that brings its own has it."""

import json
import logging
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from crdtsync import Register
from crdtsync.errors import CannotListen, RoleTaken, UnknownShop, UsageError
from crdtsync_server import LocalRelay
from tests.integration.conftest import wait_until


def test_registers_of_a_local_relay_see_one_another(tmp_path: Path) -> None:
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        with (
            Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as a,
            Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as b,
        ):
            a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
            number = a.sell(["CM-19"], ["card"]).number
            a.sync(60)
            b.sync(60)
            assert [row.number for row in b.sales()] == [number]


def test_what_one_register_sells_another_sees_while_both_are_connected(tmp_path: Path) -> None:
    with (
        LocalRelay(tmp_path / "relay", shop="Cave") as relay,
        Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as a,
        Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as b,
    ):
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        connections = a.start_sync(), b.start_sync()
        wait_until(lambda: all(connection.is_connected for connection in connections))
        ticket = a.sell(["CM-19"], ["card"])
        log = b.replica.log
        wait_until(lambda: log.holds(ticket.link, ticket.chain, ticket.n), "it is not passed on")


def test_the_till_can_ask_how_far_it_is_while_its_sales_are_on_their_way(tmp_path: Path) -> None:
    with (
        LocalRelay(tmp_path / "relay", shop="Cave") as relay,
        Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as till,
    ):
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        for _ in range(200):
            till.sell(["CM-19"], ["card"])
        sync = till.start_sync()
        most = 0
        while till.status().pending.sales:
            most = max(most, sync.progress().to_send)
            till.poll(0.001)
        assert sync.error is None
        assert most <= till.end.seq


def test_a_local_relay_can_be_stopped_and_started_again(tmp_path: Path) -> None:
    relay = LocalRelay(tmp_path / "relay", shop="Cave")
    with relay, Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as till:
        till.sync(60)
    relay.stop()
    with relay, urllib.request.urlopen(relay.url.replace("ws:", "http:") + "/healthz", timeout=60) as answer:
        assert json.load(answer)["ok"]


def test_a_second_start_makes_no_second_shop(tmp_path: Path) -> None:
    for _ in range(2):
        with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
            assert relay.pairing_code()


def test_a_folder_is_served_once(tmp_path: Path) -> None:
    with LocalRelay(tmp_path / "relay"), pytest.raises(RoleTaken), LocalRelay(tmp_path / "relay"):
        pass


def test_after_a_failed_start_nothing_is_held(tmp_path: Path) -> None:
    with LocalRelay(tmp_path / "other") as other:
        port = int(other.url.rsplit(":", 1)[1])
        relay = LocalRelay(tmp_path / "relay", port=port)
        with pytest.raises(CannotListen):
            relay.start()
    with LocalRelay(tmp_path / "relay", shop="Cave"):
        pass


def test_a_relay_without_a_shop_gives_no_code(tmp_path: Path) -> None:
    with LocalRelay(tmp_path / "relay") as relay, pytest.raises(UnknownShop):
        relay.pairing_code()


def test_a_relay_of_several_shops_has_to_be_told_which_one(tmp_path: Path) -> None:
    with LocalRelay(tmp_path / "relay", shop="Cave"), pytest.raises(RoleTaken):
        LocalRelay(tmp_path / "relay").start()
    with LocalRelay(tmp_path / "relay", shop="Bar"):
        pass
    with LocalRelay(tmp_path / "relay") as relay:
        with pytest.raises(UnknownShop):
            relay.pairing_code()
        assert relay.pairing_code("Bar", role="display")


def test_a_local_relay_is_for_this_machine(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        LocalRelay(tmp_path / "relay", host="0.0.0.0")


def test_a_relay_that_does_not_run_has_no_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        _ = LocalRelay(tmp_path / "relay").url


@pytest.mark.slow
def test_in_another_program_its_logging_decides_what_is_shown(tmp_path: Path) -> None:
    script = (
        "import sys; from crdtsync import Register; from crdtsync_server import LocalRelay\n"
        "with LocalRelay('relay', shop='Cave') as relay:\n"
        "    Register.join('a', relay.url, relay.pairing_code(), name='Caisse 1').close()\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", prefix + script], cwd=tmp_path / folder, capture_output=True, text=True
        )
        for folder, prefix in (("quiet", ""), ("loud", "import logging; logging.basicConfig(level='INFO')\n"))
        if (tmp_path / folder).mkdir() is None
    ]
    assert (said[0].stdout, said[0].stderr) == ("", "")
    assert "INFO:crdtsync.relay:event='device_enrolled' shop='" in said[1].stderr


def test_an_event_of_the_relay_reaches_the_logging_of_its_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="crdtsync.relay")
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1").close()
    assert "device_enrolled" in caplog.text


@pytest.mark.slow
def test_devices_are_listed_by_name_and_the_relay_last(tmp_path: Path) -> None:
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        for name in ("Caisse 3", "caisse 2", "Caisse 4", "Caisse 1"):
            with Register.join(tmp_path / name, relay.url, relay.pairing_code(), name=name) as till:
                till.sync(60)
        with Register.open(tmp_path / "Caisse 1") as till:
            till.sync(60)
            named = [device.name for device in till.status().devices]
            assert named == ["Caisse 1", "caisse 2", "Caisse 3", "Caisse 4", "relay"]
            day = till.open_day().business_day
            reported = [row.name for row in till.report(day).registers]
            assert reported == named[:-1]
