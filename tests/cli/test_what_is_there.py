"""`status` and `inspect`: what is safe, what is where, and which record brought it."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from pycrdt import Array, Map, Text

from crdtsync import errors
from crdtsync.cli.syncing import progress_text
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.progress import Progress


def records(till, document):
    [row] = [row for row in till.json("inspect") if row["document"] == document]
    return row["records"]


# -- status ------------------------------------------------------------------------------------------------


def test_status_has_the_fields_that_scripts_were_promised(till):
    status = till.json("status")
    promised = ("state", "pending_sales", "pending_amount_minor", "oldest_pending_at", "last_ack_at", "relay")
    assert {*promised, "devices", "documents", "store_bytes", "clock_offset_ms"} <= status.keys()


def test_all_documents_are_named_with_what_they_take_and_their_fingerprint(till):
    with Register.open(till.folder) as register, register.document("x/loyalty").transaction() as doc:
        doc.get("points", type=Map)["lea"] = 12
    before = till.json("status", "--documents")["documents"]
    assert {"catalogue", "owner", "x/loyalty"} < {row["name"] for row in before}
    assert all(row["entries"] and row["bytes"] and len(row["fingerprint"]) == 64 for row in before)
    till.ok("product", "set", "CM-19", "--price", "19")
    after = till.json("status", "--documents")["documents"]
    changed = {row["name"] for row, was in zip(after, before, strict=True) if row != was}
    assert changed == {"catalogue"}


def test_a_person_is_told_how_big_the_store_is(till):
    assert re.search(r"^  store +0\.[0-9] MB$", till.ok("status"), re.MULTILINE)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_watching_tells_one_object_per_line_until_it_is_stopped(till, stop):
    command = [sys.executable, "-m", "crdtsync", "status", "--watch", "--json", "--data", str(till.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        states = [json.loads(process.stdout.readline())["state"] for _ in range(2)]
        process.send_signal(stop)
        process.communicate(timeout=60)
    assert (states, process.returncode) == (["alone", "alone"], 0)


# -- progress ----------------------------------------------------------------------------------------------


def test_progress_tells_records_bytes_and_the_time_left():
    told = progress_text(Progress(True, 1200, 3, 1_440_000, 8.2))
    assert told == "1200 to receive, 3 records to send, 1.4 MB moved, 8 s left"
    assert progress_text(Progress(False, 0, 0, 0, None)) == "connecting…"


# -- inspect -----------------------------------------------------------------------------------------------


def test_each_key_of_a_document_names_the_record_that_brought_it(till):
    first = records(till, "catalogue")
    till.ok("product", "set", "CM-19", "--name", "Crozes-Hermitage 2020")
    facts = {fact["key"]: fact for fact in till.json("inspect", "catalogue", "CM-19")}
    name = facts["CM-19/name"]
    price = next(fact for key, fact in facts.items() if key.startswith("CM-19/price/"))
    assert name["value"] == "Crozes-Hermitage 2020"
    assert name["seq"] > price["seq"]
    assert name["record"] != price["record"]
    assert records(till, "catalogue") == first + 1


def test_what_lies_inside_a_key_names_the_record_that_changed_it_last(till):
    with Register.open(till.folder) as register:
        loyalty = register.document("x/loyalty")
        with loyalty.transaction() as doc:
            doc.get("members", type=Map)["lea"] = Map({"points": 1})
        with loyalty.transaction() as doc:
            doc.get("members", type=Map)["leo"] = 3
            doc.get("notes", type=Text).insert(0, "closed on Monday")
        with loyalty.transaction() as doc:
            doc.get("members", type=Map)["lea"]["points"] = 2
            doc.get("queue", type=Array).append("leo")
    seqs = {
        fact["key"]: fact["seq"] for fact in till.json("inspect", "x/loyalty") if fact["root"] == "members"
    }
    roots = {fact["root"]: fact["seq"] for fact in till.json("inspect", "x/loyalty")}
    assert seqs["lea"] == seqs["leo"] + 1
    assert (roots["notes"], roots["queue"]) == (seqs["leo"], seqs["lea"])


def test_one_key_is_shown_whole(till):
    [fact] = [row for row in till.json("inspect", "catalogue") if row["key"].startswith("CM-19/price/")]
    shown = till.ok("inspect", "catalogue", fact["key"])
    assert json.loads(shown) == fact


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "x/none"),
        ("inspect", f"ledger/{'0' * 32}/2026-01-01"),
        ("inspect", "nowhere"),
        ("inspect", "catalogue", "NOPE"),
        ("inspect", "apart"),
        ("quarantine", "show", "zz"),
        ("quarantine", "show", ""),
        ("quarantine", "retry", "abcd1234"),
    ],
)
def test_what_is_not_there_is_an_error(till, arguments):
    result = till.run(*arguments)
    assert (result.exit_code, result.stdout) == (errors.InvalidName.exit_code, "")


# -- who reads it ------------------------------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_the_command_without_a_word(till):
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-m", "crdtsync", "status", "--data", str(till.folder)],
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("arguments", [("status",), ("sell", "CM-19", "--pay", "card"), ("--help",)])
def test_an_output_that_cannot_be_written_is_told_and_what_was_recorded_stays(till, arguments):
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "crdtsync", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"CRDTSYNC_DATA": str(till.folder)},
        )
    assert (ran.returncode, ran.stderr.count("\n")) == (errors.OutputLost.exit_code, 1)
    assert len(till.json("sales")) == ("sell" in arguments)


def test_a_closed_output_hinders_no_sale(till):
    command = f'"{sys.executable}" -m crdtsync sell CM-19 --pay card --data "{till.folder}" >&-'
    assert subprocess.run(["sh", "-c", command], capture_output=True).returncode == 0
    assert len(till.json("sales")) == 1


# -- a narrow terminal -------------------------------------------------------------------------------------


def on_terminal(till, columns, *arguments):
    """What a command shows on a terminal of that width."""
    master, slave = os.openpty()
    subprocess.run(
        [sys.executable, "-m", "crdtsync", *arguments],
        stdout=slave,
        check=True,
        env=os.environ | {"CRDTSYNC_DATA": str(till.folder), "COLUMNS": str(columns)},
    )
    os.close(slave)
    shown = b""
    with suppress(OSError):  # Linux ends so what a terminal has to say.
        while part := os.read(master, 4096):
            shown += part
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


def test_a_table_that_a_narrow_terminal_cannot_hold_is_told_line_by_line(till):
    till.ok("sell", "CM-19", "--pay", "card")
    wide, narrow = (on_terminal(till, columns, "report").splitlines() for columns in (110, 40))
    assert any(line.startswith("register  state") for line in wide)
    assert narrow[1:4] == ["Caisse 1", "  state       not closed", "  tickets     1"]
    assert not any("register  state" in line for line in narrow)
