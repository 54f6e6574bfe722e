"""What `status` and `doctor` say of a register that its relay refuses: the same, once, and what helps."""

import json
import re

import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.protocol.backoff import may_retry
from crdtsync.runtime.doctor import network
from crdtsync.runtime.folder.identity import load_relay
from crdtsync.runtime.folder.role import sync_role
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing import refusal
from crdtsync.runtime.syncing.link_trouble import LinkTrouble, save_link_trouble
from crdtsync.runtime.syncing.reconnecting import meaning, needs_person
from crdtsync_server.cli.group import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till

pytestmark = pytest.mark.usefixtures("on_a_disk_of_this_machine")

STARTS = ("`crdtsync run`", "`crdtsync sync`")


@pytest.fixture(autouse=True)
def with_time_to_answer(monkeypatch):
    """However busy this machine is: only who never answers is given up."""
    monkeypatch.setattr(network, "BUDGET_S", 60.0)
    monkeypatch.setattr(network, "GIVEN_UP_S", 60.0)


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        yield relay


@pytest.fixture
def joined(relay, empty):
    """A register of the relay's shop with a product, in step."""
    empty.ok("join", relay.url, relay.pairing_code(), "--name", "Caisse 1")
    empty.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    empty.ok("sync")
    return empty


def at_the_relay(till: Till, *arguments: str) -> None:
    data = till.folder.parent / "relay"
    done = CliRunner().invoke(relay_main, [*arguments, "--data", str(data)])
    assert done.exit_code == 0, done.output


def doctor(till: Till) -> tuple[int, str]:
    result = till.run("doctor")
    assert till.run("doctor", "--json").exit_code == result.exit_code
    return result.exit_code, result.stdout


def cut_off(till: Till) -> None:
    at_the_relay(till, "revoke", "Cave du Port", "Caisse 1")
    assert till.run("sync").exit_code == errors.AccessDenied.exit_code


def test_a_revoked_register_with_nothing_pending_is_not_called_up_to_date(joined):
    cut_off(joined)
    assert joined.json("status")["state"] == "attention"
    told = joined.ok("status")
    assert told.startswith("Caisse 1, Cave du Port: cut off – not synchronising, nothing pending\n")
    assert "up to date" not in told
    assert "What was recorded so far is on the relay's disk." in told
    assert told.count(refusal.CUT_OFF) == 1
    assert told.count(refusal.HOW_TO_COME_BACK) == 1
    assert not any(start in told for start in STARTS)
    exit_code, said = doctor(joined)
    assert exit_code == errors.AccessDenied.exit_code
    assert (said.count(refusal.CUT_OFF), said.count(refusal.HOW_TO_COME_BACK)) == (1, 1)
    assert not any(start in said for start in STARTS)


def test_a_revoked_register_with_sales_is_not_told_to_synchronise(joined):
    cut_off(joined)
    joined.ok("sell", "CM-19", "--pay", "card")
    for _ in range(2):
        told = joined.ok("status")
        assert "cut off – not synchronising, 1 ticket pending, 18,50" in told
        assert "safe on this register" in told
        assert told.count(refusal.CUT_OFF) == 1
        assert not any(start in told for start in STARTS)
        exit_code, said = doctor(joined)
        assert exit_code == errors.AccessDenied.exit_code
        assert not any(start in said for start in STARTS)
        assert joined.run("sync").exit_code == errors.AccessDenied.exit_code
    assert "keeps 1 record on hold until a person decides" in joined.ok("status")
    assert "keeps 1 record on hold until a person decides" in doctor(joined)[1]


def test_a_register_whose_shop_went_elsewhere_is_told_how_to_follow(relay, joined):
    port = int(relay.url.rpartition(":")[2])
    relay.stop()
    erase = ("shop", "erase", "Cave du Port", "--confirm", "Cave du Port", "--told", "wss://new.example")
    at_the_relay(joined, *erase)
    with LocalRelay(joined.folder.parent / "relay", port=port):
        refused = joined.run("sync")
        assert refused.exit_code == errors.AccessDenied.exit_code
        assert "run `crdtsync move wss://new.example CODE`" in refused.stderr
        told = joined.ok("status")
        assert "somebody must look – not synchronising" in told
        assert told.count("the shop is not on this relay any more: wss://new.example") == 1
        assert told.count("run `crdtsync move wss://new.example CODE`") == 1
        assert "ask whoever runs the relay" not in told
        exit_code, said = doctor(joined)
    assert exit_code == errors.AccessDenied.exit_code
    assert said.count("run `crdtsync move wss://new.example CODE`") == 1


@pytest.mark.parametrize(
    "told",
    [": wss://new.example/" + "x" * 80, ": file:///etc/passwd", ": ws://a`reboot`", ": ws://[", ""],
)
def test_what_is_told_as_an_address_and_is_none_does_not_stand_in_a_command(told):
    assert refusal.refusal_hint(f"{refusal.SHOP_GONE}{told}"[:120]) == refusal.HOW_TO_MOVE.format("URL")


def test_another_relay_that_does_not_know_the_shop_is_found_out(relay, joined, tmp_path):
    port = int(relay.url.rpartition(":")[2])
    relay.stop()
    with LocalRelay(tmp_path / "another", shop="Bar", port=port):
        assert joined.run("sync").exit_code == errors.WrongRelayKey.exit_code
        told = joined.ok("status")
        assert "did not prove the key that this register was paired with" in told
        assert "cut off" not in told
        exit_code, said = doctor(joined)
    assert exit_code == errors.WrongRelayKey.exit_code
    assert "another relay answers there" in said


# Each reason for which a relay closes a connection, as this side notes it; and what it must come to.
STOPS = {
    (4401, refusal.CUT_OFF): (errors.AccessDenied, "new folder"),
    (4403, refusal.SHOP_GONE): (errors.AccessDenied, "crdtsync move URL CODE"),
    (4403, refusal.SHOP_UNKNOWN): (errors.AccessDenied, "ask whoever runs it"),
    (4403, refusal.NOT_OF_THE_SHOP): (errors.AccessDenied, "crdtsync-relay status"),
    (4403, refusal.KEY_NOT_PROVED): (errors.AccessDenied, "from a copy"),
    (4403, "for another reason"): (errors.AccessDenied, "ask whoever runs the relay"),
    (4426, "another version"): (errors.UnsupportedVersion, "update the older"),
}
GOES_ON = {
    (4400, "no message"): errors.LinkClosed,
    (4402, "no place here"): errors.LinkClosed,
    (4413, "too big"): errors.LinkClosed,
    (4503, "its disk is full"): errors.LinkClosed,
    (4508, "too long silent"): errors.LinkClosed,
    (4513, "does not continue"): errors.LinkClosed,
    (4514, "too much apart"): errors.LinkClosed,
}


def note(till: Till, error: errors.CrdtsyncError) -> None:
    """Leave for `status` what kept the register from its relay, as whoever synchronises does."""
    with Register.open(till.folder) as register, register.replica.store.transaction():
        relay = load_relay(register.replica.log)
        assert relay is not None
        trouble = LinkTrouble.of(
            error,
            now_ms=register.replica.clock.now_ms() - 3_600_000,
            is_over=needs_person(error),
            relay_key=relay.public_key,
        )
        save_link_trouble(register.replica.log, trouble)


@pytest.mark.parametrize(("close", "expected"), STOPS.items(), ids=[f"{code} {why}" for code, why in STOPS])
def test_each_refusal_is_told_once_with_what_helps_and_its_exit_code(joined, close, expected):
    kind, advice = expected
    code, reason = close
    error = meaning(errors.LinkClosed(f"closed ({code}: {reason})", code=code, reason=reason))
    assert not may_retry(code)
    joined.ok("sell", "CM-19", "--pay", "card")
    note(joined, error)
    assert joined.json("status")["state"] == "attention"
    told, (exit_code, said) = joined.ok("status"), doctor(joined)
    assert exit_code == kind.exit_code
    assert re.search("(cut off|somebody must look) – not synchronising, 1 ticket pending", told)
    for text in (told, said):
        assert text.count(str(error)) == 1
        assert text.count(advice) == 1
        assert not any(start in text for start in STARTS)


@pytest.mark.parametrize(
    "error",
    [
        errors.WrongRelayKey("the relay is not the one that this register was paired with"),
        errors.UnsupportedVersion("they do not understand one another"),
        errors.UsageError("ca.pem is no file of certificates", hint="CRDTSYNC_TLS_CA names a PEM file"),
        errors.StoreTooNew("a newer version wrote it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_else_stops_it_is_told_with_its_own_exit_code(joined, error):
    note(joined, error)
    told, (exit_code, said) = joined.ok("status"), doctor(joined)
    assert exit_code == error.exit_code
    assert "somebody must look – not synchronising, nothing pending" in told
    for text in (told, said):
        assert (text.count(str(error)), text.count(error.hint)) == (1, 1)


@pytest.mark.parametrize(("close", "kind"), GOES_ON.items(), ids=[str(code) for code, _ in GOES_ON])
def test_what_is_tried_again_is_told_as_that(joined, close, kind):
    code, reason = close
    error = meaning(errors.LinkClosed(f"the peer closed ({code}: {reason})", code=code, reason=reason))
    assert type(error) is kind
    joined.ok("sell", "CM-19", "--pay", "card")
    note(joined, error)
    told = joined.ok("status")
    assert "offline – 1 ticket pending" in told
    assert told.count(str(error)) == 1
    with Register.open(joined.folder) as register:
        with sync_role(joined.folder):
            assert "tried again and again, by itself" in joined.ok("status")
            found = json.loads(joined.run("doctor", "--json").stdout)
        assert register.status().link_trouble is not None
    assert found["exit_code"] == errors.LinkClosed.exit_code
    [syncing] = [one for one in found["findings"] if one["check"] == "syncing"]
    assert str(error) in syncing["says"]
