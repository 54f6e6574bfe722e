"""What every command prints with --json is what `json_forms` says, field for field."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

from crdtsync.cli import json_forms
from crdtsync.cli.json_form import Form, many, number, text
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.register.register import Register
from crdtsync_server.cli import json_forms as relay_json_forms
from crdtsync_server.cli import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till
from tests.cli.forms import differences

FORMS = {form.command: form for form in json_forms.FORMS}
RELAY_FORMS = {form.command: form for form in relay_json_forms.FORMS}


@pytest.fixture(scope="module", autouse=True)
def cost_of_guessing() -> None:
    """As it is: a relay in a process of its own reads the codes."""


def held(form: Form, document: object) -> None:
    assert differences(form, document) == []


def as_form_says(till: Till, *arguments: str, command: str = "") -> object:
    """Run a command and hold what it prints against its form."""
    name = command or next(name for name in FORMS if " ".join(arguments).startswith(name))
    document = till.json(*arguments)
    held(FORMS[name], document)
    return document


# -- the check itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1},
        {"a": 1, "b": [], "c": 2},
        {"a": "1", "b": []},
        {"a": None, "b": []},
        {"a": True, "b": []},
        {"a": 1, "b": {}},
        {"a": 1, "b": [{"t": 1}]},
        {"a": 1, "b": [{}]},
        [],
    ],
)
def test_a_document_of_another_form_is_found(document):
    form = Form("x", (number("a", ""), many("b", "", (text("t", ""),))))
    held(form, {"a": 1, "b": [{"t": "x"}]})
    assert differences(form, document)


# -- a register --------------------------------------------------------------------------------------------


def test_making_a_register_and_its_products(empty, tmp_path):
    as_form_says(empty, "init", "--name", "Caisse 1")
    as_form_says(empty, "product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    as_form_says(empty, "product", "set", "CM-19", "--producer", "Domaine Jean")
    as_form_says(empty, "product", "show", "CM-19")
    as_form_says(empty, "product", "list")
    (tmp_path / "tarif.csv").write_text(
        "sku;name;price;vat;what\nCM-19;Crozes;19;20;\nNEW;;1;20;\nA-1;A;1;20;\n"
    )
    imported = empty.run("product", "import", str(tmp_path / "tarif.csv"), "--json")
    report = json.loads(imported.stdout)
    held(FORMS["product import"], report)
    assert all(report[name] for name in ("added", "changed", "refused", "differences", "ignored_columns"))


def test_the_day(till):
    as_form_says(till, "open", "--float", "150")
    ticket = as_form_says(till, "sell", "CM-19x2", "TER-01", "--pay", "cash=50")
    as_form_says(till, "refund", ticket["number"], "--line", "1=1", "--reason", "corked")
    as_form_says(till, "cash", "out", "20", "--reason", "window cleaner")
    as_form_says(till, "company", "--name", "Cave du Port SARL", "--siret", "73282932000074")
    as_form_says(till, "close", "--read")
    as_form_says(till, "close", "--counted", "148.50")
    as_form_says(till, "close", "--level", "month")
    assert len(as_form_says(till, "sales")) == 2
    assert as_form_says(till, "report")["report"]["registers"]


def test_stock(till):
    as_form_says(till, "stock", "add", "CM-19", "12")
    as_form_says(till, "stock", "count", "CM-19=9")
    assert as_form_says(till, "stock", "list")


def test_what_is_where(till):
    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    as_form_says(till, "status", "--documents")
    held(FORMS["doctor"], json.loads(till.run("doctor", "--json").stdout))
    documents = as_form_says(till, "inspect", command="inspect")
    [ledger] = [row["document"] for row in documents if row["document"].startswith("ledger/")]
    for name in (ledger, "owner"):
        as_form_says(till, "inspect", name, command="inspect LEDGER")
    as_form_says(till, "inspect", ledger, number, command="inspect LEDGER KEY")
    as_form_says(till, "inspect", "catalogue", command="inspect DOCUMENT [KEY]")
    as_form_says(till, "quarantine", "list")
    as_form_says(till, "quarantine", "retry")


def test_what_was_damaged(till):
    import apsw

    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    till.ok("sell", "CM-19", "--pay", "card")
    connection = apsw.Connection(str(till.folder / "register.sqlite"))
    connection.execute("UPDATE record SET crc = crc + 1 WHERE CAST(bytes AS TEXT) LIKE ?", (f"%{number}%",))
    connection.close()
    found = json.loads(till.run("verify", "--json").stdout)
    held(FORMS["verify"], found)
    assert found["findings"]
    [row] = as_form_says(till, "quarantine", "list")
    shown = as_form_says(till, "quarantine", "show", row["digest"][:8], command="quarantine show")
    assert (shown["code"], shown["what"], shown["amount_minor"]) == ("damaged", f"sale {number}", 1850)
    held(FORMS["status"], till.json("status"))


def test_what_is_rescued_and_left(till, tmp_path):
    as_form_says(till, "rescue", str(tmp_path / "till.rescue"))
    as_form_says(till, "leave", "--rescued", str(tmp_path / "till.rescue"))


def test_errors(till):
    for arguments in (("sell", "NOPE", "--pay", "card"), ("nonsense",), ("verify", "--nonsense")):
        held(json_forms.ERROR, json.loads(till.run(*arguments, "--json").stderr))


# -- with a relay ------------------------------------------------------------------------------------------


def test_a_register_of_a_shop(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        till = Till(tmp_path / "till-1")
        as_form_says(till, "join", relay.url, relay.pairing_code(), "--name", "Caisse 1")
        till.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
        till.ok("sell", "CM-19", "--pay", "card")
        sent = as_form_says(till, "sync")
        assert (sent["sent_sales"], sent["sent_amount_minor"]) == (1, 1850)
        as_form_says(till, "resync", "--dry-run")
        as_form_says(till, "resync")
        assert as_form_says(till, "status")["state"] == "synced"
        as_form_says(till, "move", relay.url)
    with closing(apsw.Connection(str(till.folder / STORE))) as store:
        store.execute("UPDATE document SET crc = crc + 1")
    as_form_says(till, "salvage")


@pytest.mark.slow
def test_a_register_that_keeps_in_step(till):
    from crdtsync.runtime.folder.identity import Relay, save_relay

    with Register.open(till.folder) as register, register.replica.store.transaction():
        save_relay(register.replica.log, Relay("ws://127.0.0.1:1", b"\x02" * 33))
    command = [sys.executable, "-m", "crdtsync", "run", "--json", "--data", str(till.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.terminate()
    held(FORMS["run"], json.loads(line))
    assert process.returncode == 0


@pytest.mark.slow
def test_the_till_in_a_browser(till):
    command = [sys.executable, "-m", "crdtsync", "till", "--json", "--no-browser", "--port", "0"]
    with subprocess.Popen(
        [*command, "--data", str(till.folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        process.terminate()
    held(FORMS["till"], json.loads(line))
    assert process.returncode == 0


@pytest.mark.slow
def test_the_relay(tmp_path):
    folder = tmp_path / "relay"

    def facts(*arguments: str) -> object:
        result = CliRunner().invoke(relay_main, [*arguments, "--data", str(folder), "--json"])
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        names = [name for name in RELAY_FORMS if " ".join(arguments).startswith(name)]
        name = max(names, key=len)
        held(RELAY_FORMS[name], document)
        return document

    code = facts("shop", "create", "Cave")["code"]
    facts("shop", "list")
    facts("pair", "Cave")
    command = [
        sys.executable,
        "-m",
        "crdtsync_server",
        "serve",
        "--port",
        "0",
        "--json",
        "--data",
        str(folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            till = Till(tmp_path / "till-1")
            till.ok("join", ready["url"], code, "--name", "Caisse 1")
        finally:
            process.terminate()
    held(RELAY_FORMS["serve"], ready)
    [shop] = facts("status")["shops"]
    assert shop["devices"]
    facts("verify")
    told = CliRunner().invoke(relay_main, ["doctor", "--data", str(folder), "--json"])
    held(RELAY_FORMS["doctor"], json.loads(told.stdout))
    facts("account", "create", "Cave", "--owner", "Marie")
    facts("account", "link", "Cave", "Marie")
    facts("account", "list", "Cave")
    facts("account", "end", "Cave", "Marie")
    facts("quarantine", "list", "Cave")
    facts("quarantine", "retry", "Cave")
    facts("restore", "Cave", "Caisse 1")
    facts("owner", "rotate", "Cave")
    request, answer = str(tmp_path / "request"), str(tmp_path / "answer")
    facts("owner", "request", "Cave", request, "--revoke", "Caisse 1")
    key = next((folder / "keys").glob("*.2.owner"))
    signed = CliRunner().invoke(relay_main, ["owner", "sign", request, answer, "--key", str(key), "--json"])
    held(RELAY_FORMS["owner sign"], json.loads(signed.stdout))
    assert facts("owner", "answer", "Cave", answer)["taken"]
    facts("revoke", "Cave", "Caisse 1")
    facts("hold", "list", "Cave")  # What is on hold: `test_hold.py`.
    export = str(tmp_path / "cave.shop")
    assert facts("shop", "export", "Cave", export)["log_end"]
    assert facts("shop", "import", export)["records"] == 0
    facts("shop", "create", "Bar")
    facts("shop", "erase", "Bar", "--confirm", "Bar")
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple")
    backup = (str(tmp_path / "relay.backup"), "--with-keys", str(passphrase))
    assert facts("backup", *backup)["shops"][0]["devices"]
    assert facts("restore-from", *backup, "--replace")["moved_aside_to"]
    assert facts("missing", "Cave")["missing"]


def test_every_form_belongs_to_a_command_of_which_it_is_known_that_it_fits():
    """Whoever adds a form adds it to one of the tests above."""
    source = Path(__file__).read_text()
    words = {name.split()[0] for name in (*FORMS, *RELAY_FORMS)}
    assert all(f'"{word}"' in source for word in words)
