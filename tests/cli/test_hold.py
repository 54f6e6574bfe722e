"""A person decides on what a register sold that had been cut off."""

import json

import pytest
from click.testing import CliRunner

from crdtsync_server.cli import json_forms, main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till
from tests.cli.forms import differences

FORMS = {form.command: form for form in json_forms.FORMS}
SHOP = "Cave du Port"


class RelayFolder:
    """Runs commands of the relay beside a relay that runs."""

    def __init__(self, folder, local):
        self.folder, self.local = folder, local

    def run(self, *arguments):
        return CliRunner().invoke(main, [*arguments, "--data", str(self.folder)])

    def ok(self, *arguments):
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments):
        document = json.loads(self.ok(*arguments, "--json"))
        command = next(name for name in FORMS if " ".join(arguments).startswith(name))
        assert differences(FORMS[command], document) == []
        return document


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop=SHOP) as local:
        yield RelayFolder(tmp_path / "relay", local)


@pytest.fixture
def till(relay, tmp_path):
    """A register of the shop with one product, one ticket at the relay, and two more after it was cut off."""
    till = Till(tmp_path / "till-1")
    till.ok("join", relay.local.url, relay.local.pairing_code(), "--name", "Caisse 1")
    till.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    till.ok("sell", "CM-19", "--pay", "card")
    till.ok("sync")
    relay.ok("revoke", SHOP, "Caisse 1", "--reason", "volée")
    till.ok("sell", "CM-19x2", "--pay", "card")
    till.ok("sell", "CM-19x3", "--pay", "card")
    cut_off = till.run("sync")
    assert (cut_off.exit_code, "this device was revoked" in cut_off.stderr) == (33, True)
    return till


def test_what_is_on_hold_is_shown_by_device_in_tickets_and_money(relay, till):
    [hold] = relay.json("hold", "list", SHOP)
    assert (hold["name"], hold["revoked"], hold["tickets"], hold["amount_minor"]) == (
        "Caisse 1",
        True,
        2,
        9250,
    )
    assert (hold["entries"], hold["approvable"], hold["codes"]) == (2, 2, ["revoked"])
    shown = relay.json("hold", "show", SHOP, "Caisse 1")
    tickets = [(one["amount_minor"], one["signed"], one["approvable"]) for one in shown["on_hold"]]
    assert tickets == [(3700, True, True), (5550, True, True)]
    text = relay.ok("hold", "list", SHOP)
    assert "92,50" in text
    assert "was revoked before this entry of it was known" in text
    assert "2 entries wait for a person" in text
    told = relay.ok("hold", "show", SHOP, "Caisse 1")
    assert all(one["number"] in told for one in shown["on_hold"])
    assert told.startswith(f"Caisse 1 ({shown['device']})")


def test_the_register_says_that_they_are_pending_until_somebody_decides(relay, till):
    status = till.json("status")
    assert (status["pending_sales"], status["pending_amount_minor"]) == (2, 9250)
    assert any("revoked" in concern for concern in status["concerns"])
    relay.ok("hold", "approve", SHOP, "--device", "Caisse 1")
    till.run("sync")
    assert till.json("status")["pending_records"] == 0


def test_one_ticket_is_let_in_and_the_other_stays(relay, till):
    first, second = relay.json("hold", "show", SHOP, "Caisse 1")["on_hold"]
    told = relay.json("hold", "approve", SHOP, first["number"], "--reason", "vue avec la cliente")
    assert (told["tickets"], told["amount_minor"], told["links"]) == (1, 3700, [first["link"]])
    [left] = relay.json("hold", "show", SHOP, "Caisse 1")["on_hold"]
    assert left["link"] == second["link"]


def test_approving_again_changes_nothing_and_names_what_is_not_there(relay, till):
    [hold] = relay.json("hold", "list", SHOP)
    [first, _] = relay.json("hold", "show", SHOP, hold["device"])["on_hold"]
    relay.ok("hold", "approve", SHOP, first["link"][:12])
    again = relay.run("hold", "approve", SHOP, first["link"][:12])
    assert (again.exit_code, "names no entries on hold" in again.stderr) == (11, True)
    for unknown in ("00" * 32, "12", "T99-7"):
        assert relay.run("hold", "approve", SHOP, unknown).exit_code == 11
    assert relay.run("hold", "approve", SHOP).exit_code == 2
    assert relay.run("hold", "approve", SHOP, "--device", "Caisse 7").exit_code == 11
    assert relay.run("hold", "list", "Nowhere").exit_code == 19


def test_an_empty_hold(relay):
    assert relay.json("hold", "list", SHOP) == []
    assert relay.ok("hold", "list", SHOP) == "Nothing is on hold.\n"
    assert relay.run("hold", "show", SHOP, "Caisse 1").exit_code == 11


def test_what_its_device_did_not_sign_cannot_be_let_in(relay, till):
    """Whoever brings a file can say anything in the name of a register that was cut off."""
    from contextlib import closing

    from crdtsync.ids import entry_record, record_digest
    from crdtsync.model.entry import read_entry
    from crdtsync.model.sealed import seal
    from crdtsync.model.signature import PrivateKey
    from crdtsync.storage.log import Refusal
    from crdtsync.storage.sqlite import SqliteStore

    with closing(SqliteStore(relay.folder / "relay.sqlite")) as store:
        log = store.shop(store.shops()[0])
        body = read_entry(log.apart()[0].record[1:]).body
        record = entry_record(seal({**body, "ttc": 100_000}, PrivateKey.from_seed(b"thief")))
        refusal = Refusal(99, record_digest(record), "revoked", "revoked", held=True)
        with store.transaction():
            log.refuse(b"x" * 16, refusal, record, 0)
    told = relay.json("hold", "approve", SHOP, "--device", "Caisse 1")
    assert (told["tickets"], told["left"]) == (2, [record_digest(record).hex()])
    [left] = relay.json("hold", "show", SHOP, "Caisse 1")["on_hold"]
    assert (left["signed"], left["approvable"]) == (False, False)
    assert "not signed by its device" in relay.ok("hold", "approve", SHOP, "--device", "Caisse 1")
    assert "not signed by its device" in relay.ok("hold", "show", SHOP, "Caisse 1")
