"""The quarantine on both sides: what was not admitted is listed with its reason, shown, and judged again."""

import json

import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.ids import record_digest
from crdtsync.model.admission import Verdict
from crdtsync.runtime.committing import admission
from crdtsync.runtime.register.register import Register
from crdtsync.storage.log import Refusal
from crdtsync_server.cli import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till

NEIGHBOUR = b"neighbour-log-01"


class OfRelay:
    """The relay's command line."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *arguments):
        return CliRunner().invoke(relay_main, [*arguments, "--data", str(self.folder)])

    def json(self, *arguments):
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def shop(tmp_path):
    """A relay, and a till that has synchronised with it."""
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        till = Till(tmp_path / "till")
        Register.join(till.folder, relay.url, relay.pairing_code(), name="Caisse 1").close()
        till.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
        till.ok("sync")
        yield OfRelay(tmp_path / "relay"), till


@pytest.fixture
def strict(monkeypatch):
    """While it is called with True, an admission that knows no sales, as an older program would be."""
    genuine = admission.judge_run

    def knows_no_sales(sealed, directory, known):
        return [
            Verdict(None, "malformed", "no entry is of the kind 'sale'")
            if verdict.entry is not None and verdict.entry.kind == "sale"
            else verdict
            for verdict in genuine(sealed, directory, known=known)
        ]

    return lambda on: monkeypatch.setattr(admission, "judge_run", knows_no_sales if on else genuine)


def test_what_an_older_relay_refused_is_told_to_its_owner_and_admitted_by_a_newer_one(shop, strict):
    relay, till = shop
    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    strict(True)
    refused = till.run("sync", "--timeout", "600")
    assert refused.exit_code == errors.NotSynchronised.exit_code
    assert "the relay did not take 1 record of this register" in refused.stderr, "and nobody waited for it"
    strict(False)

    [here] = till.json("quarantine", "list")
    [there] = relay.json("quarantine", "list", "Cave du Port")
    assert (here["by"], here["code"], here["what"]) == ("relay", "malformed", f"sale {number}")
    assert (there["by"], there["digest"], there["amount_minor"]) == ("here", here["digest"], 1850)
    assert "no entry is of the kind 'sale'" in till.ok("quarantine", "list")
    assert till.json("status")["pending_sales"] == 1
    assert json.loads(till.run("doctor", "--json").stdout)["exit_code"]

    # Nothing that was sold afterwards waits for it.
    later = till.json("sell", "CM-19", "--pay", "card")["number"]
    till.run("sync", "--timeout", "600")
    assert [row["what"] for row in till.json("quarantine", "list")] == [f"sale {number}"], later

    shown = relay.run("quarantine", "show", "Cave du Port", there["digest"][:6]).stdout
    assert "Cave du Port" not in shown
    assert f"sale {number}, refused here" in shown

    assert relay.json("quarantine", "retry", "Cave du Port") == {"admitted": [there["digest"]], "left": 0}
    till.ok("sync")
    assert till.json("quarantine", "list") == []
    assert till.json("status")["pending_records"] == 0
    assert relay.json("quarantine", "list", "Cave du Port") == []


@pytest.fixture
def neighbours(tmp_path):
    """A till that holds what another one sold in quarantine, and the record."""
    other = Till(tmp_path / "other")
    other.ok("init", "--name", "Caisse 2")
    other.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    other.ok("sell", "CM-19", "--pay", "card")
    with Register.open(other.folder) as register:
        *_, (_, record) = register.replica.log.read(0, bytes_max=1 << 20).records
    return record


def held_by(till: Till, record: bytes, code: str, *, held: bool, digest: bytes | None = None) -> None:
    refusal = Refusal(7, digest or record_digest(record), code, "because", held)
    with Register.open(till.folder) as register, register.replica.store.transaction():
        register.replica.log.refuse(NEIGHBOUR, refusal, record, 1_795_507_200_000)


def test_what_nobody_certified_stays_however_often_it_is_judged(till, neighbours):
    held_by(till, neighbours, "unknown-device", held=True)
    for _ in range(2):
        assert till.json("quarantine", "retry") == {"admitted": [], "left": 1}
    assert till.json("status")["held"] == 1
    assert "held here" in till.ok("quarantine", "list")
    assert "1 record" not in till.ok("quarantine", "retry").split(",")[0]


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (b"E", "an entry that cannot be read"),
        (b"E[1,2]\0abc", "an entry that cannot be read"),
        (b'E{"kind":"sale","num":"\\u001b[31m"}\0abc', "an entry"),
        (b'E{"kind":["a"],"num":{}}\0abc', "an entry"),
        (b'E{"till":"zz","ttc":"much","kind":"sale","seq":3}\0abc', "sale 3"),
        (b"U\0\x07x/notes\x09\x09", "a change of x/notes"),
        (b"U\0\x03\xff\xfe\x1b", "a change"),
        (b"U", "a change"),
    ],
)
def test_nothing_in_quarantine_is_believed_or_breaks_the_list(till, record, what):
    held_by(till, record, "malformed", held=False)
    [row] = till.json("quarantine", "list")
    assert row["what"] == what
    shown = till.json("quarantine", "show", row["digest"][:8])
    assert bytes.fromhex(shown["bytes"]) == record
    assert row["advice"]
    for arguments in (("list",), ("show", row["digest"])):
        assert "\x1b" not in till.ok("quarantine", *arguments)
    assert till.json("quarantine", "retry") == {"admitted": [], "left": 1}


def test_a_change_that_a_device_had_no_right_to_is_not_let_in_by_trying_again(till):
    from pycrdt import Doc, Map

    doc = Doc()
    doc.get("products", type=Map)["CM-19/name"] = "Free wine"
    record = b"U\0\x09catalogue" + doc.get_update()
    held_by(till, record, "not-permitted", held=False)
    assert till.json("quarantine", "retry") == {"admitted": [], "left": 1}
    assert "Free wine" not in till.ok("product", "list")


def test_a_change_that_a_newer_version_understands_is_let_in(till):
    from pycrdt import Doc, Map

    doc = Doc()
    doc.get("root", type=Map)["a"] = "1"
    record = b"U\0\x07x/notes" + doc.get_update()
    held_by(till, record, "unsafe-update", held=False)
    [row] = till.json("quarantine", "list")
    assert till.json("quarantine", "retry", row["digest"][:4]) == {"admitted": [row["digest"]], "left": 0}
    [fact] = till.json("inspect", "x/notes")
    assert (fact["key"], fact["value"]) == ("a", "1")
    assert till.json("status")["apart"] == 0


def test_the_beginning_of_a_digest_must_name_one(till):
    for record in (b"E1", b"E2"):
        held_by(till, record, "malformed", held=False, digest=b"\xab" * 31 + record[-1:])
    rows = till.json("quarantine", "list")
    assert till.run("quarantine", "show", "abc").exit_code == errors.InvalidName.exit_code
    assert {row["code"] for row in rows} == {"malformed"}


def test_a_shop_that_the_relay_does_not_have_is_an_error(shop):
    relay, _ = shop
    for arguments in (("list", "Nowhere"), ("show", "Nowhere", "abcd"), ("retry", "Nowhere")):
        result = relay.run("quarantine", *arguments)
        assert result.exit_code == errors.UnknownShop.exit_code
