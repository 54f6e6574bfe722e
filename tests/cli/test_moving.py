"""``crdtsync move``: what does not answer, or is not the relay that it should be, changes nothing."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.runtime.belonging import moving
from crdtsync.runtime.doctor import network
from crdtsync_server.cli.group import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till


@pytest.fixture(autouse=True)
def with_time_to_answer(monkeypatch):
    """However busy this machine is: only who never answers is given up."""
    monkeypatch.setattr(moving, "PROOF_WITHIN_S", 60.0)
    monkeypatch.setattr(network, "GIVEN_UP_S", 60.0)


@pytest.fixture
def relays(tmp_path) -> Iterator[tuple[LocalRelay, LocalRelay]]:
    """The relay of a shop, and that of another one."""
    with ExitStack() as stack:
        mine = stack.enter_context(LocalRelay(tmp_path / "relay", shop="Cave du Port"))
        yield mine, stack.enter_context(LocalRelay(tmp_path / "another", shop="Bar des Amis"))


@pytest.fixture
def joined(relays, empty) -> Till:
    """A register of that shop."""
    empty.ok("join", relays[0].url, relays[0].pairing_code(), "--name", "Caisse 1")
    return empty


def belongs_as_before(till: Till, relay: LocalRelay) -> bool:
    return bool(till.json("status")["relay"] == relay.url and till.json("sync")["state"] == "synced")


def test_an_address_with_a_mistake_in_it_is_refused_and_the_right_one_kept(joined, relays):
    for code in ((), (relays[0].pairing_code(),)):
        moved = joined.run("move", "ws://typo.invalid:1", *code)
        assert moved.exit_code == errors.RelayUnreachable.exit_code
        assert "ws://typo.invalid:1" in moved.stderr
        assert "belongs to the relay at" not in moved.stdout
    assert belongs_as_before(joined, relays[0])


def test_another_relay_is_refused_and_the_right_one_kept(joined, relays):
    mine, another = relays
    for code in ((), (mine.pairing_code(),)):
        moved = joined.run("move", another.url, *code)
        assert moved.exit_code == errors.WrongRelayKey.exit_code
        assert "belongs to the relay at" not in moved.stdout
    assert "as before" in joined.run("move", another.url).stderr
    assert belongs_as_before(joined, mine)


def test_what_never_answers_is_given_up_and_the_right_relay_kept(joined, relays, monkeypatch):
    monkeypatch.setattr(moving, "PROOF_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        moved = joined.run("move", f"ws://127.0.0.1:{silent.getsockname()[1]}")
    assert moved.exit_code == errors.RelayUnreachable.exit_code
    assert "within 0.2 s" in moved.stderr
    assert belongs_as_before(joined, relays[0])


def test_the_same_relay_at_another_address_is_taken_when_it_has_proved_its_key(joined, relays):
    url = relays[0].url.replace("127.0.0.1", "localhost")
    moved = joined.run("move", url)
    assert moved.exit_code == 0
    assert "Synchronised" in moved.stdout
    assert joined.json("status")["relay"] == url


def test_a_relay_that_proves_its_key_and_then_refuses_is_moved_to_and_told(joined, relays, tmp_path):
    """The address was right: what else is wrong has to be mended there."""
    mine = relays[0]
    joined.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    revoked = CliRunner().invoke(
        relay_main, ["revoke", "Cave du Port", "Caisse 1", "--data", str(tmp_path / "relay")]
    )
    assert revoked.exit_code == 0, revoked.output
    moved = joined.run("move", mine.url.replace("127.0.0.1", "localhost"), "--json")
    assert moved.exit_code == errors.AccessDenied.exit_code
    assert json.loads(moved.stdout)["sync"].startswith("Not synchronised: ")
