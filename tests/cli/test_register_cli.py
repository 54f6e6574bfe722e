import importlib
import json
import os
import re
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.cli import group, main, product, quarantine, stock
from crdtsync.ids import Item, entry_record
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.runtime.register.register import Register
from crdtsync.testing.till import MemoryTill

GROUPS = {"product": product, "stock": stock, "quarantine": quarantine}
COMMANDS = {
    **{name: f"crdtsync.cli.{module}" for name, (module, _) in group.COMMANDS.items()},
    **{
        f"{name} {part}": f"crdtsync.cli.{module}"
        for name, one in GROUPS.items()
        for part, (module, _) in one.COMMANDS.items()
    },
}
LEAVES = {name: module for name, module in COMMANDS.items() if name not in GROUPS}


# -- the first day ---------------------------------------------------------------------------------------


def test_a_register_is_made_sells_and_says_so(till):
    ticket = till.json("sell", "CM-19x2", "TER-01", "--pay", "card")
    assert (ticket["total_minor"], ticket["number"].rpartition("-")[2]) == (4395, "000001")
    [row] = till.json("sales")
    assert (row["number"], row["total_minor"], row["register"]) == (ticket["number"], 4395, "Caisse 1")
    status = till.json("status")
    assert (status["state"], status["pending_sales"], status["pending_amount_minor"]) == ("alone", 1, 4395)


def test_a_ticket_is_printed_with_its_lines_its_vat_and_its_change(till):
    printed = till.ok("sell", "CM-19x2", "--pay", "cash=50").replace("\u202f", " ").replace("\u00a0", " ")
    for text in (
        "Cave du Port – Caisse 1",
        "2 × Crozes-Hermitage 2019",
        "37,00 €",
        "TVA 20 %",
        "Hand back 13,00 €",
    ):
        assert text in printed


def test_a_line_with_a_discount_is_printed_before_it_and_then_the_discount(till):
    printed = till.ok("sell", "CM-19x2", "--discount", "1", "--pay", "card")
    number = till.json("sales")[0]["number"]
    back = till.ok("refund", number)
    amounts = [re.findall(r"(-?\d+,\d\d)\u00a0€$", text, re.MULTILINE)[:3] for text in (printed, back)]
    assert amounts == [["37,00", "-1,00", "36,00"], ["-37,00", "1,00", "-36,00"]]


def test_a_product_is_shown_in_words(till):
    till.ok("product", "set", "CM-19", "--barcode", "3760000000017", "--barcode", "96385074")
    shown = till.ok("product", "show", "CM-19")
    assert "barcodes: 3760000000017, 96385074\n" in shown
    assert "False" not in shown


def test_quantities_have_decimals_and_a_sku_may_look_like_one(till):
    till.ok("product", "add", "BOX2", "--name", "Coffret", "--price", "30", "--vat", "20")
    till.ok("product", "add", "MAGx3", "--name", "Trois magnums", "--price", "99", "--vat", "20")
    assert (
        till.json("sell", "BOX2", "MAGx3", "TER-01x0,5", "--pay", "card")["total_minor"] == 3000 + 9900 + 348
    )


def test_the_same_request_sells_once(till):
    first, again = (till.json("sell", "CM-19", "--pay", "card", "--request-id", "b-1") for _ in range(2))
    assert (again["number"], again["again"]) == (first["number"], True)
    assert len(till.json("sales")) == 1


def test_a_ticket_is_refunded_by_line_and_then_no_further(till):
    number = till.json("sell", "CM-19x3", "TER-01", "--pay", "card")["number"]
    back = till.json("refund", number, "--line", "1=2", "--pay", "card", "--reason", "corked")
    assert (back["total_minor"], back["refund_of"], back["reason"]) == (-3700, number, "corked")
    result = till.run("refund", number, "--line", "1=2")
    assert result.exit_code == errors.NotRefundable.exit_code


def test_a_line_that_is_named_twice_is_refused_and_not_counted_once(till):
    number = till.json("sell", "CM-19x3", "--pay", "card")["number"]
    result = till.run("refund", number, "--line", "1=1", "--line", "1=1")
    assert result.exit_code == errors.NotRefundable.exit_code
    assert [row["kind"] for row in till.json("sales")] == ["sale"]


def test_a_day_is_opened_and_closed_without_a_network(till):
    opened = till.json("open", "--float", "150")
    till.ok("sell", "CM-19", "--pay", "cash")
    till.ok("cash", "out", "20", "--reason", "window cleaner")
    closed = till.json("close", "--counted", "148.50")
    assert "alone" in opened["sync"]
    assert (closed["figures"]["z"], closed["cash_gap_minor"], closed["figures"]["total_minor"]) == (
        1,
        0,
        1850,
    )


def test_a_day_before_the_shop_began_is_told_as_such(till):
    assert till.ok("report", "--day", "2020-01-01") == "01/01/2020: no register of this shop had begun.\n"


def test_what_cannot_be_so_stands_below_the_report(till):
    other = MemoryTill("Caisse 2", series="02")
    other.sell()
    odd = read_entry(seal({**other.entries[-1].body, "vat": []}, other.key))
    with Register.open(till.folder) as register, register.replica.store.transaction():
        for entry in (other.entries[0], odd):
            register.replica.log.append(
                Item(entry_record(entry.sealed), entry.facts.document, entry.link, entry.facts)
            )
    shown = till.ok("report", "--day", odd.body["bd"])
    assert f"! {other.author.hex()[:8]}, ticket 02-26-000001: vat: not what follows" in shown
    [flag] = till.json("report", "--day", odd.body["bd"])["report"]["flags"]
    assert (flag["number"], flag["link"]) == ("02-26-000001", odd.link.hex())


def test_a_day_is_opened_once(till):
    till.ok("open", "--float", "150")
    again = till.run("open", "--float", "150")
    assert (again.exit_code, again.stdout) == (errors.UsageError.exit_code, "")
    assert "is open already" in again.stderr
    assert till.json("close")["figures"]["cash_expected_minor"] == 15_000


def test_a_day_is_closed_once(till):
    till.ok("sell", "CM-19", "--pay", "card")
    till.ok("close")
    again = till.run("close")
    assert again.exit_code == errors.UsageError.exit_code
    assert "nothing was recorded since Z1" in again.stderr
    till.ok("sell", "CM-19", "--pay", "card")
    assert till.json("close")["figures"]["z"] == 2


def test_selling_needs_no_open_day(till):
    assert till.json("sell", "CM-19", "--pay", "card")["business_day"]


def test_a_closing_and_a_report_are_printed(till):
    till.ok("sell", "CM-19", "--pay", "card")
    assert "X of" in till.ok("close", "--read")
    assert "Z1 of the day" in till.ok("close")
    assert "Caisse 1" in till.ok("report")
    [register] = till.json("report")["report"]["registers"]
    assert (register["state"], register["total_minor"]) == ("closed", 1850)


def test_stock_is_added_counted_and_listed(till):
    till.ok("stock", "add", "CM-19", "12", "--reference", "BL-1")
    till.ok("sell", "CM-19x2", "--pay", "card")
    assert {row["sku"]: row["quantity_thousandths"] for row in till.json("stock", "list")} == {
        "CM-19": 10_000
    }
    till.ok("stock", "count", "CM-19=9", "TER-01=4")
    till.ok("stock", "add", "CM-19", "-1", "--why", "breakage")
    assert {row["sku"]: row["quantity_thousandths"] for row in till.json("stock", "list")} == {
        "CM-19": 8000,
        "TER-01": 4000,
    }
    assert "CM-19" in till.ok("stock", "list")


def test_products_are_shown_changed_and_archived(till):
    till.ok("product", "set", "CM-19", "--price", "19.50")
    assert till.json("product", "show", "CM-19")["price_minor"] == 1950
    till.ok("product", "set", "TER-01", "--archive")
    assert [row["sku"] for row in till.json("product", "list")] == ["CM-19"]
    assert "TER-01" in till.ok("product", "list", "--archived")


def test_a_product_file_is_imported_and_every_refused_line_is_reported(till, tmp_path):
    file = tmp_path / "tarif.csv"
    file.write_text("sku;name;price;vat\nA-1;Premier;12,50;20\nA-2;Deux;free;20\nA-3;;1;20\n")
    dry = till.run("product", "import", str(file), "--dry-run", "--json")
    assert (json.loads(dry.stdout)["added"], len(till.json("product", "list"))) == (["A-1"], 2)
    done = till.run("product", "import", str(file), "--json")
    report = json.loads(done.stdout)
    assert (report["added"], [line["line"] for line in report["refused"]]) == (["A-1"], [3, 4])
    assert {dry.exit_code, done.exit_code} == {errors.LinesRefused.exit_code}
    assert "line 3" in till.run("product", "import", str(file)).stdout


def test_documents_are_inspected(till):
    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    [ledger] = [row["document"] for row in till.json("inspect") if row["document"].startswith("ledger/")]
    assert [row["kind"] for row in till.json("inspect", ledger)] == ["register", "sale"]
    assert till.json("inspect", ledger, number)[0]["body"]["num"] == number
    assert number in till.ok("inspect", ledger)
    assert "CM-19/name" in till.ok("inspect", "catalogue", "CM-19")
    assert till.ok("quarantine", "list") == "The quarantine is empty.\n"


def test_everything_holds_after_a_day(till):
    till.ok("sell", "CM-19", "--pay", "card")
    assert till.json("verify")["findings"] == []
    assert "everything holds" in till.ok("verify")


def test_verify_names_the_entry_that_fails_and_ends_with_its_code(till):
    import apsw

    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    till.ok("sell", "TER-01", "--pay", "card")
    connection = apsw.Connection(str(till.folder / "register.sqlite"))
    connection.execute(
        "UPDATE record SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"ttc\":1850', '\"ttc\":1800') AS BLOB)"
        " WHERE CAST(bytes AS TEXT) LIKE '%' || ? || '%'",
        (number,),
    )
    connection.close()
    result = till.run("verify")
    assert result.exit_code == errors.IntegrityDefect.exit_code
    assert "Caisse 1" in result.stdout
    assert result.stderr.startswith("crdtsync: ")


def test_status_is_told_to_a_person(till):
    till.ok("sell", "CM-19", "--pay", "card")
    told = till.ok("status", "--documents")
    for text in ("Caisse 1", "works alone", "1 ticket", "18,50", "here only", "crdtsync join", "catalogue"):
        assert text in told


# -- what every command has --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "module"), LEAVES.items())
def test_every_command_has_its_options_and_an_example(name, module):
    command = importlib.import_module(module).command
    told = CliRunner().invoke(main, [*name.split(), "--help"]).output
    assert {"data", "as_json"} <= {parameter.name for parameter in command.params}
    assert f"crdtsync {name}" in told
    assert "Example:" in told
    assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option))


@pytest.mark.parametrize("commands", [group.COMMANDS, *(one.COMMANDS for one in GROUPS.values())])
def test_every_command_that_is_listed_is_there(commands):
    for name, (module, summary) in commands.items():
        command = importlib.import_module(f"crdtsync.cli.{module}").command
        assert (command.name, bool(summary)) == (name, True)


# -- as a process ------------------------------------------------------------------------------------------


def test_python_m_crdtsync_is_the_command_line(till):
    ran = subprocess.run(
        [sys.executable, "-m", "crdtsync", "status", "--data", str(till.folder), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout)["name"] == "Caisse 1"


def test_help_is_shown_without_loading_what_a_command_needs():
    script = (
        "import sys; from crdtsync.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print([name for name in ('apsw', 'pycrdt', 'cryptography', 'asyncio', 'websockets', 'rich')"
        " if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_terminal_that_cannot_show_the_euro_sign_loses_no_ticket(till):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    ran = subprocess.run(
        [sys.executable, "-m", "crdtsync", "sell", "CM-19", "--pay", "card", "--data", str(till.folder)],
        capture_output=True,
        check=True,
        env=environment,
    )
    assert b"18,50" in ran.stdout


def test_status_needs_neither_the_crdt_engine_nor_cryptography_nor_the_network(till):
    script = (
        "import sys; from crdtsync.cli import main\n"
        "main(['status', '--data', sys.argv[1], '--json'], standalone_mode=False)\n"
        "late = {'pycrdt', 'cryptography', 'asyncio', 'websockets', 'rich', 'crdtsync.model.certificate'}\n"
        "print(sorted(late & set(sys.modules)),"
        " file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(till.folder)], capture_output=True, text=True, check=True
    )
    assert ran.stderr == "[]\n"


NOT_FOR_A_STATUS = {
    *("pycrdt", "cryptography", "asyncio", "websockets", "rich", "shutil", "lzma", "secrets", "signal"),
    *("crdtsync.model.certificate", "crdtsync.model.ticket", "crdtsync.runtime.belonging.copies"),
    *("crdtsync.runtime.committing.writer", "crdtsync.runtime.syncing.progress"),
    "crdtsync.runtime.register.document_status",
}
"""Each takes a millisecond or more of a command that people and scripts run all day."""


def test_status_of_a_register_in_step_imports_nothing_that_it_does_not_need(till):
    script = (
        "import sys; from crdtsync.cli import main\n"
        "main(['status', '--data', sys.argv[1]], standalone_mode=False)\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(till.folder)], capture_output=True, text=True, check=True
    )
    imported = set(ran.stderr.split())
    assert "crdtsync.runtime.register.status" in imported
    assert sorted(NOT_FOR_A_STATUS & imported) == []


@pytest.mark.parametrize("files", [6, 8, 9, 10, 11])
def test_sync_that_may_not_open_enough_files_says_so(till, files):
    from crdtsync.runtime.folder.identity import Relay, save_relay
    from crdtsync.runtime.register.register import Register

    with Register.open(till.folder) as register, register.replica.store.transaction():
        save_relay(register.replica.log, Relay("ws://127.0.0.1:1", b"\x02" * 33))
    command = f"ulimit -n {files}; exec {sys.executable} -m crdtsync sync --data {till.folder}"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert ran.returncode in (errors.StorageError.exit_code, errors.RelayUnreachable.exit_code)
    assert ran.stderr.startswith("crdtsync: ")
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_run_ends_when_it_is_told_to(till):
    from crdtsync.runtime.folder.identity import Relay, save_relay
    from crdtsync.runtime.register.register import Register

    with Register.open(till.folder) as register, register.replica.store.transaction():
        save_relay(register.replica.log, Relay("ws://127.0.0.1:1", b"\x02" * 33))
    process = subprocess.Popen(
        [sys.executable, "-m", "crdtsync", "run", "--data", str(till.folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "not connected" in process.stdout.readline()
    sold_at = time.monotonic()
    till.ok("sell", "CM-19", "--pay", "card")
    assert time.monotonic() - sold_at < 5
    assert till.run("sync").exit_code == errors.RoleTaken.exit_code
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()


def test_a_register_without_a_relay_that_wants_to_leave_is_not_told_to_synchronise(till):
    till.ok("sell", "CM-19", "--pay", "card")
    told = till.run("leave")
    assert told.exit_code == errors.StillPending.exit_code
    assert "crdtsync sync" not in told.stderr
    assert "`crdtsync join`" in told.stderr
    assert "`crdtsync rescue FILE`" in told.stderr


def test_what_an_entry_does_not_have_is_no_null_for_a_person(till):
    till.ok("sell", "CM-19", "--pay", "card")
    documents = [row["document"] for row in till.json("inspect")]
    for document in documents:
        assert "null" not in till.ok("inspect", document).split()


def test_who_inspects_a_ticket_is_told_where_it_lies(till):
    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    refused = till.run("inspect", number)
    assert refused.exit_code == errors.InvalidName.exit_code
    command = refused.stderr.split("`")[1]
    assert number in till.ok(*command.split()[1:])
    assert "owner" in refused.stderr
    assert "`crdtsync inspect ledger/DEVICE/DAY NUMBER`" in till.run("inspect", "99-26-000001").stderr
