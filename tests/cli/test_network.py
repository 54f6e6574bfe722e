"""What the network does to commands: nobody there, somebody else there, somebody who never answers."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from crdtsync import errors
from crdtsync.protocol.pairing import PairingCode
from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.runtime.register.register import Register
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till

CODE = PairingCode.make(bytes(10), b"\x02" * 33).format()


def belongs_to(till, url: str) -> None:
    """Have the register believe that it was enrolled with a relay at an address."""
    with Register.open(till.folder) as register, register.replica.store.transaction():
        save_relay(register.replica.log, Relay(url, b"\x02" * 33))


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a machine that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def web_server() -> Iterator[str]:
    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("ws://127.0.0.1:1", errors.RelayUnreachable, "Connection refused"),
        ("ws://no.such.host.invalid:1", errors.RelayUnreachable, "its host is not known"),
        ("ws://127.0.0.1:99999", errors.InvalidName, "no address of a relay"),
        ("ws://[::1", errors.InvalidName, "no address of a relay"),
        ("ftp://127.0.0.1", errors.InvalidName, "no address of a relay"),
        ("", errors.InvalidName, "no address of a relay"),
    ],
)
def test_a_relay_that_is_not_there_is_told_with_its_address(empty, url, error, told):
    result = empty.run("join", url, CODE, "--name", "Caisse 1")
    assert (result.exit_code, result.stderr.count("\n")) == (error.exit_code, 1)
    assert url in result.stderr
    assert told in result.stderr


def test_a_web_server_is_no_relay(empty):
    with web_server() as url:
        result = empty.run("join", url, CODE, "--name", "Caisse 1")
    assert result.exit_code == errors.RelayUnreachable.exit_code
    assert "not as a relay does" in result.stderr or "does not answer as a relay" in result.stderr


def test_a_code_lets_one_device_in_and_wrong_ones_are_soon_not_looked_at(empty, tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        good = PairingCode.parse(relay.pairing_code())
        Till(tmp_path / "till-2").ok("join", relay.url, good.format(), "--name", "Caisse 2")
        used = empty.run("join", relay.url, good.format(), "--name", "Caisse 1")
        assert (used.exit_code, "was used already" in used.stderr) == (errors.PairingRefused.exit_code, True)
        for number in range(12):
            made = PairingCode.make(bytes([number] * 10), b"\x02" * 33)
            wrong = replace(made, fingerprint=good.fingerprint)
            result = empty.run("join", relay.url, wrong.format(), "--name", "Caisse 1", "--json")
            if result.exit_code != errors.PairingRefused.exit_code:
                break
    told = json.loads(result.stderr)
    assert (told["code"], told["retryable"]) == ("TooManyAttempts", True)
    assert told["retry_after_s"] > 0


def test_a_file_of_certificates_that_is_none_is_told(empty, monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    monkeypatch.setenv("CRDTSYNC_TLS_CA", str(tmp_path / "ca.pem"))
    result = empty.run("join", "wss://127.0.0.1:1", CODE, "--name", "Caisse 1")
    assert result.exit_code == errors.UsageError.exit_code
    assert "ca.pem is no file of certificates" in result.stderr


def test_a_relay_that_never_answers_is_waited_for_no_longer_than_asked(till, silent):
    belongs_to(till, silent)
    result = till.run("sync", "--timeout", "0.2")
    assert result.exit_code == errors.RelayUnreachable.exit_code
    assert "did not answer within 0.2 s" in result.stderr


def test_a_day_opens_and_closes_although_the_relay_never_answers(till, silent, monkeypatch):
    belongs_to(till, silent)
    monkeypatch.setenv("CRDTSYNC_SYNC_TIMEOUT_S", "0.2")
    assert till.json("open")["sync"].startswith("Not synchronised: ")
    assert till.json("close")["figures"]["z"] == 1


@pytest.mark.slow
def test_ctrl_c_ends_a_sync_at_once_and_gives_the_role_back(till, silent):
    belongs_to(till, silent)
    process = subprocess.Popen(
        [sys.executable, "-m", "crdtsync", "sync", "--timeout", "600", "--json", "--data", str(till.folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not till.json("status")["syncing"]:
        pass
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, json.loads(told)["code"]) == (130, "Interrupted")
    assert not till.json("status")["syncing"]


@pytest.mark.parametrize("how", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.slow
def test_ctrl_c_while_a_closed_day_is_sent_stops_the_sending_and_the_closing_is_told(till, silent, how):
    belongs_to(till, silent)
    till.ok("sell", "CM-19", "--pay", "card")
    process = subprocess.Popen(
        [sys.executable, "-m", "crdtsync", "close", *how, "--data", str(till.folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"CRDTSYNC_SYNC_TIMEOUT_S": "600"},
    )
    while not till.json("status")["syncing"]:
        pass
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert ('"z": 1' if how else "Z1 of the day") in told
    assert "Not synchronised: it was stopped." in told


@pytest.mark.slow
def test_a_second_run_names_the_process_that_has_the_role(till, silent):
    belongs_to(till, silent)
    command = [sys.executable, "-m", "crdtsync", "run", "--data", str(till.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while not till.json("status")["syncing"]:
            pass
        result = till.run("run")
        process.terminate()
    assert (result.exit_code, process.returncode) == (errors.RoleTaken.exit_code, 0)
    assert f"(pid {process.pid})" in result.stderr


# -- what a person is told of it ---------------------------------------------------------------------------


def test_a_sale_that_nobody_carries_is_not_called_offline_while_the_relay_was_reached(till, tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        till.ok("join", relay.url, relay.pairing_code(), "--name", "Caisse 1")
        till.ok("product", "add", "CH-20", "--name", "Chinon", "--price", "9", "--vat", "20")
        till.ok("sync")
        till.ok("sell", "CH-20", "--pay", "card")
        told = till.ok("status")
    assert "not synchronising – 1 ticket pending" in told
    assert "Start `crdtsync run`" in told
    assert till.run("sync").exit_code == errors.RelayUnreachable.exit_code
    assert "offline – 1 ticket pending" in till.ok("status")


def test_a_refund_is_told_as_a_ticket_and_not_as_a_sale(till):
    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    till.ok("refund", number)
    assert "2 tickets, 0,00\u00a0€, here only" in till.ok("status")


# -- a newcomer, who has no register yet -------------------------------------------------------------------


def test_who_has_no_register_yet_is_not_told_that_sales_go_on(empty):
    for _ in range(2):  # What a failed attempt leaves in the folder is no register either.
        told = empty.run("join", "ws://127.0.0.1:1", CODE, "--name", "Caisse 1").stderr.lower()
        assert "sales go on" not in told
        assert "there is no register in this folder yet" in told


def test_who_sold_alone_and_does_not_reach_the_relay_is_told_that_sales_go_on(till):
    assert "sales go on" in till.run("join", "ws://127.0.0.1:1", CODE).stderr.lower()


def test_a_relay_without_tls_is_told_in_words_of_a_person(empty, tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        url = relay.url.replace("ws://", "wss://")
        result = empty.run("join", url, relay.pairing_code(), "--name", "Caisse 1")
    assert result.exit_code == errors.RelayUnreachable.exit_code
    assert "no TLS is spoken there; try ws:// instead of wss://" in result.stderr
    assert "_ssl.c" not in result.stderr


def test_a_wrong_address_is_answered_with_the_form_that_every_page_uses(empty):
    told = empty.run("join", "ftp://127.0.0.1", CODE, "--name", "Caisse 1").stderr
    assert "ws://HOST:PORT or wss://HOST is expected" in told


@pytest.mark.slow
def test_who_joins_at_a_terminal_is_told_at_once_that_the_relay_is_asked(empty, silent):
    """It is said before there is any answer: this relay never gives one."""
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "crdtsync", "join", silent, CODE, "--name", "1", "--data", empty.folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=end) as process:
        os.close(end)
        told = b""
        while b"\n" not in told:  # Ends with an OSError when the process does.
            told += os.read(terminal, 1000)
        assert told.startswith(f"asking {silent}".encode())
        process.kill()
    os.close(terminal)
