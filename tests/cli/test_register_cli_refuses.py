"""What the command line of a register refuses, in one line for a person and a code for a script."""

import json
import re

import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.cli import main


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["sell", "NOPE", "--pay", "card"], errors.UnknownProduct),
        (["sell", "CM-19", "--pay", "gold"], errors.InvalidSale),
        (["sell", "CM-19", "--pay", "card=12,345"], errors.InvalidAmount),
        (["sell", "CM-19", "--pay", "card=1"], errors.InvalidSale),
        (["sell", "CM-19x0", "--pay", "card"], errors.InvalidAmount),
        (["refund", "NOPE-26-000001"], errors.UnknownTicket),
        (["product", "add", "b d", "--name", "x", "--price", "1", "--vat", "20"], errors.InvalidProduct),
        (["product", "add", "CM-19", "--name", "x", "--price", "1", "--vat", "20"], errors.InvalidProduct),
        (["product", "add", "X", "--name", "x", "--price", "1.234", "--vat", "20"], errors.InvalidAmount),
        (["product", "set", "NOPE", "--price", "1"], errors.UnknownProduct),
        (["product", "import", "nowhere.csv"], errors.InvalidImport),
        (["open", "--float", "much"], errors.InvalidAmount),
        (["open", "--day", "tomorrow"], errors.InvalidName),
        (["open", "--day", "2020-01-01"], errors.InvalidName),
        (["open", "--day", "2126-11-24"], errors.InvalidName),
        (["open", "--float", "-1"], errors.InvalidAmount),
        (["open", "--float", "9007199254740993"], errors.InvalidAmount),
        (["close"], errors.UsageError),
        (["close", "--counted", "-1"], errors.InvalidAmount),
        (["close", "--counted", "1.234"], errors.InvalidAmount),
        (["close", "--level", "month"], errors.UsageError),
        (["close", "--level", "week"], errors.WrongCommandLine),
        (["sell", "CM-19x-1", "--pay", "card"], errors.InvalidAmount),
        (["sell", "CM-19x1000000000000", "--pay", "card"], errors.InvalidAmount),
        (["sell", "CM-19x0.0001", "--pay", "card"], errors.InvalidAmount),
        (["sell", "CM-19x", "--pay", "card"], errors.InvalidAmount),
        (["sell", "NOPEx2", "--pay", "card"], errors.UnknownProduct),
        (["sell", "", "--pay", "card"], errors.UnknownProduct),
        (["sell", "CM-19"], errors.WrongCommandLine),
        (["sell", "--pay", "card"], errors.WrongCommandLine),
        (["sell", "CM-19", "--pay", "card="], errors.InvalidAmount),
        (["sell", "CM-19", "--pay", "card=9007199254740993"], errors.InvalidAmount),
        (["sell", "CM-19", "--pay", "card=-5"], errors.InvalidSale),
        (["sell", "CM-19", "--pay", "card", "--discount", "100"], errors.InvalidSale),
        (["sell", "CM-19", "--pay", "card", "--request-id", "x" * 100_000], errors.InvalidSale),
        (["product", "add", "X", "--name", "x", "--price", "-1", "--vat", "20"], errors.InvalidProduct),
        (["product", "add", "X", "--name", "x", "--price", str(2**53), "--vat", "20"], errors.InvalidAmount),
        (["product", "add", "X", "--name", "x", "--price", "1", "--vat", "999"], errors.InvalidAmount),
        (["product", "add", "X", "--name", "", "--price", "1", "--vat", "20"], errors.InvalidProduct),
        (["product", "set", "CM-19"], errors.WrongCommandLine),
        (["product", "set", "CM-19", "--name", ""], errors.InvalidProduct),
        (["product", "show", "NOPE"], errors.UnknownProduct),
        (["refund", ""], errors.UnknownTicket),
        (["sales", "--day", "yesterday"], errors.InvalidName),
        (["sales", "--day", "2026-02-30"], errors.InvalidName),
        (["report", "--day", ""], errors.InvalidName),
        (["cash", "in", "-5", "--reason", "x"], errors.InvalidAmount),
        (["cash", "in", "5", "--reason", ""], errors.InvalidSale),
        (["stock", "add", "CM-19", "0"], errors.InvalidAmount),
        (["stock", "add", "CM-19", "x"], errors.InvalidAmount),
        (["stock", "add", "CM-19", "1", "--why", "x"], errors.WrongCommandLine),
        (["stock", "count", "CM-19=-1"], errors.InvalidAmount),
        (["stock", "count", "CM-19=1", "CM-19=2"], errors.InvalidAmount),
        (["nonsense"], errors.WrongCommandLine),
        (["status", "--nonsense"], errors.WrongCommandLine),
        (["report", "--day", "2026-13-01"], errors.InvalidName),
        (["cash", "out", "0", "--reason", "x"], errors.InvalidAmount),
        (["stock", "add", "NOPE", "1"], errors.UnknownProduct),
        (["stock", "count", "CM-19"], errors.InvalidAmount),
        (["inspect", "nowhere"], errors.InvalidName),
        (["init", "--name", "again"], errors.AlreadyARegister),
        (["sync"], errors.NoRegister),
        (["run"], errors.NoRegister),
        (["resync", "--dry-run"], errors.NoRegister),
        (["join", "ws://127.0.0.1:1", "not-a-code", "--name", "x"], errors.InvalidName),
    ],
)
def test_an_error_is_one_line_for_a_person_and_an_exit_code_for_a_script(till, arguments, error):
    result = till.run(*arguments)
    assert (result.exit_code, result.stdout) == (error.exit_code, "")
    assert re.fullmatch(r"crdtsync: [^\n]+\n", result.stderr)


@pytest.mark.parametrize("line", ["1=0", "1=-1", "1=5", "9", "x", "1="])
def test_a_refund_of_what_cannot_come_back_is_refused(till, line):
    number = till.json("sell", "CM-19x2", "--pay", "card")["number"]
    result = till.run("refund", number, "--line", line)
    assert result.exit_code in (errors.NotRefundable.exit_code, errors.InvalidAmount.exit_code)
    assert len(till.json("sales")) == 1


def test_a_ticket_is_not_refunded_twice_nor_its_refund(till):
    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    back = till.json("refund", number)["number"]
    for again in (number, back):
        assert till.run("refund", again).exit_code == errors.NotRefundable.exit_code


def test_a_wrong_command_line_is_json_too(till):
    result = till.run("sell", "--nonsense", "--json")
    assert json.loads(result.stderr)["code"] == "WrongCommandLine"


def test_a_name_from_elsewhere_cannot_break_the_line(till):
    result = till.run("sell", "a\nb\x1b[31mc", "--pay", "card")
    assert (result.stderr.count("\n"), "\x1b" in result.stderr) == (1, False)


@pytest.mark.parametrize("word", ["Ch\udce2teau", "\udcff"])
def test_what_a_scanner_set_to_another_alphabet_types_is_refused_in_words(till, word):
    for arguments in (("sell", word, "--pay", "card"), ("product", "show", word), ("status", "--data", word)):
        result = till.run(*arguments)
        assert (result.exit_code, result.stdout) == (errors.WrongCommandLine.exit_code, "")
        assert "is not text in UTF-8" in result.stderr


def test_a_setting_that_is_no_text_is_refused_in_words(till, monkeypatch):
    monkeypatch.setenv("CRDTSYNC_TLS_CA", "/etc/ca-\udce9.pem")
    result = till.run("status")
    assert result.exit_code == errors.WrongCommandLine.exit_code
    assert "CRDTSYNC_TLS_CA" in result.stderr


def test_with_json_an_error_is_one_document_on_standard_error(till):
    result = till.run("sell", "NOPE", "--pay", "card", "--json")
    told = json.loads(result.stderr)
    assert (result.stdout, told["code"], told["exit_code"]) == ("", "UnknownProduct", 14)
    assert told["hint"]


@pytest.mark.parametrize("command", ["status", "sales", "verify", "sync", "inspect"])
def test_where_no_register_is_the_way_to_one_is_told(empty, command):
    result = empty.run(command)
    assert result.exit_code == errors.NoRegister.exit_code
    assert "crdtsync init" in result.stderr


def test_a_setting_that_makes_no_sense_names_its_variable(till, monkeypatch):
    monkeypatch.setenv("CRDTSYNC_DAY_STARTS", "four")
    result = till.run("status")
    assert result.exit_code == errors.UsageError.exit_code
    assert "CRDTSYNC_DAY_STARTS" in result.stderr


def test_the_data_folder_may_come_from_the_environment(till, monkeypatch):
    monkeypatch.setenv("CRDTSYNC_DATA", str(till.folder))
    assert CliRunner().invoke(main, ["status", "--json"]).exit_code == 0


def test_the_operator_stands_in_the_ticket(till, monkeypatch):
    monkeypatch.setenv("CRDTSYNC_OPERATOR", "u-lea")
    assert till.json("sell", "CM-19", "--pay", "card")["operator"] == "u-lea"
