"""Data folders as they should not be: read-only, on a full disk, of another program or version, damaged."""

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import apsw
import pytest

from crdtsync import errors
from crdtsync.ids import Item, entry_record
from crdtsync.model.entry import read_entry
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.folder.replica import STORE, Replica
from crdtsync.runtime.register.register import Register
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.disk import SimulatedDisk
from tests.cli.conftest import Till

READING = [("status",), ("sales",), ("product", "list"), ("verify",), ("inspect",)]
WRITING = [
    ("sell", "CM-19", "--pay", "card"),
    ("open",),
    ("product", "set", "CM-19", "--price", "19"),
    ("stock", "add", "CM-19", "1"),
    ("cash", "in", "5", "--reason", "change"),
]


@pytest.fixture
def disk(till, monkeypatch) -> SimulatedDisk:
    """The disk under the till's store, to be broken."""
    disk = SimulatedDisk(till.folder, name=STORE)
    opened = partial(Replica, open_store=partial(SqliteStore, vfs=disk.vfs))
    monkeypatch.setattr("crdtsync.runtime.register.register.Replica", opened)
    return disk


def refused(till, arguments, error):
    """What a command says that ends with an error, in one line."""
    result = till.run(*arguments)
    assert (result.exit_code, result.stdout) == (error.exit_code, "")
    assert result.stderr.startswith("crdtsync: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def execute(till, sql: str) -> None:
    connection = apsw.Connection(str(till.folder / STORE))
    connection.execute(sql)
    connection.close()


# -- disks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_on_a_full_disk_nothing_is_recorded_and_everything_before_is_safe(till, disk, arguments):
    till.ok("sell", "TER-01", "--pay", "card")
    disk.free_bytes = 0
    told = refused(till, arguments, errors.DiskFull)
    assert re.search("the disk of .* is full", told)
    assert "Free some space; everything recorded so far is safe" in told
    disk.free_bytes = None
    assert len(till.json("sales")) == 1
    till.ok("verify")


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_on_a_disk_that_cannot_be_written_a_person_is_told_where(till, disk, arguments):
    disk.read_only = True
    told = refused(till, arguments, errors.ReadOnlyStore)
    assert str(till.folder / STORE) in told
    assert "the rights of the data folder" in told


@pytest.fixture
def sealed_off(till, monkeypatch):
    """A till whose store can be read and not be opened for writing, whoever runs the tests."""
    till.ok("sell", "CM-19", "--pay", "card")
    till.ok("sales")

    monkeypatch.setattr("crdtsync.runtime.register.register.Replica", refuse_to_write(till))
    return till


def refuse_to_write(till):
    """What stands in for a replica that is opened for writing."""

    def refuse(*_arguments, **_settings):
        raise errors.ReadOnlyStore(f"{till.folder / STORE} cannot be written")

    return refuse


@pytest.mark.parametrize(
    "arguments", [*READING, ("report",), ("product", "show", "CM-19"), ("stock", "list")]
)
def test_what_is_on_a_disk_that_cannot_be_written_is_shown_with_a_word_about_it(sealed_off, arguments):
    before = (sealed_off.folder / STORE).read_bytes()
    result = sealed_off.run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout
    assert result.stderr == (
        f"note: {sealed_off.folder / STORE} cannot be written; this is what is on the disk\n"
    )
    assert (sealed_off.folder / STORE).read_bytes() == before


def test_what_is_not_in_lists_yet_on_a_disk_that_cannot_be_written_is_looked_at_in_a_copy(
    till, tmp_path, monkeypatch
):
    till.ok("sell", "CM-19", "--pay", "card")  # Is filed when somebody asks for it.
    copy = Till(tmp_path / "copy")
    with monkeypatch.context() as sealed:
        sealed.setattr("crdtsync.runtime.register.register.Replica", refuse_to_write(till))
        for arguments in (("sales",), ("verify",), ("report",)):
            result = till.run(*arguments)
            assert result.exit_code == errors.ReadOnlyStore.exit_code
            assert "look at a copy of its folder on another disk" in result.stderr.lower()
        assert "1 ticket" in till.ok("status")
        shutil.copytree(till.folder, copy.folder)
    assert len(copy.json("sales")) == 1
    copy.ok("verify")


@pytest.mark.parametrize("arguments", [("status",), ("doctor",)])
def test_on_a_full_disk_that_nobody_uses_it_is_said_all_the_same_what_is_safe(till, arguments):
    till.ok("sell", "CM-19", "--pay", "card")
    # As on a full disk: no file of this process may grow, and so none by which processes share a store.
    full = (
        "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (100, 100)); from crdtsync.cli import main; main()"
    )
    # -B: what it compiled would be cut off there too, and stay so for whoever comes after.
    command = [sys.executable, "-B", "-c", full, *arguments, "--data", str(till.folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "is full; this is what is on the disk" in result.stderr
    assert "1 ticket" in result.stdout
    command = [sys.executable, "-B", "-c", full, "sell", "CM-19", "--pay", "card", "--data", str(till.folder)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, refused.stdout) == (errors.DiskFull.exit_code, "")
    assert len(till.json("sales")) == 1


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_nothing_is_recorded_on_a_disk_that_cannot_be_written(sealed_off, arguments):
    assert "the rights of the data folder" in refused(sealed_off, arguments, errors.ReadOnlyStore)


def test_what_cannot_even_be_read_is_refused_with_the_first_reason(sealed_off):
    (sealed_off.folder / STORE).write_text("a letter to my aunt\n" * 100)
    assert "cannot be written" in refused(sealed_off, ("status",), errors.ReadOnlyStore)


@pytest.mark.parametrize("arguments", [("init", "--name", "x"), ("status",)])
def test_a_file_is_no_data_folder(empty, arguments):
    empty.folder.write_text("")
    error = errors.ReadOnlyStore if arguments[0] == "init" else errors.NoRegister
    assert str(empty.folder) in refused(empty, arguments, error)


def test_a_folder_that_cannot_be_made_is_told(empty):
    empty.folder = Path("/proc/no/such/place")
    assert "/proc/no/such/place" in refused(empty, ("init", "--name", "x"), errors.ReadOnlyStore)


# -- stores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [*READING, *WRITING], ids=" ".join)
def test_a_store_of_a_newer_version_is_left_alone(till, arguments):
    execute(till, "PRAGMA user_version = 99")
    before = (till.folder / STORE).read_bytes()
    told = refused(till, arguments, errors.StoreTooNew)
    assert "was written by a newer version of crdtsync" in told
    assert "Update crdtsync on this machine" in told
    assert (till.folder / STORE).read_bytes() == before


@pytest.mark.parametrize("arguments", [*READING, *WRITING, ("init", "--name", "x")], ids=" ".join)
def test_a_file_of_something_else_is_no_store_and_left_alone(till, arguments):
    (till.folder / STORE).write_text("a letter to my aunt\n" * 100)
    refused(till, arguments, errors.NotAStore)
    assert (till.folder / STORE).read_text().startswith("a letter")


@pytest.mark.parametrize("arguments", [*READING, *WRITING], ids=" ".join)
def test_a_store_without_a_byte_is_called_empty_and_left_so(empty, arguments):
    empty.folder.mkdir()
    (empty.folder / STORE).touch()
    assert f"{empty.folder / STORE} is empty" in refused(empty, arguments, errors.NoRegister)
    assert (empty.folder / STORE).stat().st_size == 0


def test_a_store_that_is_cut_short_is_told_with_what_to_do(till):
    till.ok("sell", "CM-19", "--pay", "card")
    with (till.folder / STORE).open("r+b") as file:
        file.truncate(20_000)
    assert "keep a copy of the data folder" in refused(till, ("status",), errors.DamagedStore).lower()


# -- keys --------------------------------------------------------------------------------------------------


def test_a_register_does_not_sell_with_the_key_of_another(till, tmp_path):
    from tests.cli.conftest import Till

    other = Till(tmp_path / "till-2")
    other.ok("init", "--name", "Caisse 2")
    (till.folder / "device.key").write_bytes((other.folder / "device.key").read_bytes())
    told = refused(till, ("sell", "CM-19", "--pay", "card"), errors.DamagedStore)
    assert "the key of another device than 'Caisse 1'" in told
    assert till.json("sales") == []


@pytest.mark.parametrize(("contents", "error"), [(None, errors.NoRegister), (b"x", errors.DamagedStore)])
def test_a_key_that_is_missing_or_damaged_is_named(till, contents, error):
    key = till.folder / "device.key"
    key.unlink()
    if contents is not None:
        key.write_bytes(contents)
    assert str(key) in refused(till, ("sell", "CM-19", "--pay", "card"), error)


# -- records -----------------------------------------------------------------------------------------------


def test_an_entry_that_was_forged_with_care_is_named_by_verify(till):
    """Every checksum of the store holds; what it was signed with does not."""
    till.ok("sell", "CM-19", "--pay", "card")
    with Register.open(till.folder) as register, register.replica.store.transaction():
        log = register.replica.log
        [run] = [run for run in log.runs() if run.hi > 1 and run.chain == read_head(log).chain]
        [(_, sealed)] = log.chain_entries(run.chain, run.hi, run.hi)
        forged = sealed.replace(b'"seq":2', b'"seq":3').replace(b"-000001", b"-000002")
        entry = read_entry(forged)
        log.append(Item(entry_record(forged), entry.facts.document, entry.link, entry.facts))
    found = till.run("verify", "--json")
    assert found.exit_code == errors.IntegrityDefect.exit_code
    assert entry.link.hex() in {one["link"] for one in json.loads(found.stdout)["findings"]}


def test_a_record_that_was_changed_on_the_disk_is_named_by_verify_and_status(till):
    number = till.json("sell", "CM-19", "--pay", "card")["number"]
    till.ok("sell", "TER-01", "--pay", "card")
    execute(
        till,
        "UPDATE record SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"ttc\":1850', '\"ttc\":1800') AS BLOB)"
        f" WHERE CAST(bytes AS TEXT) LIKE '%{number}%'",
    )
    found = till.run("verify", "--json")
    assert found.exit_code == errors.IntegrityDefect.exit_code
    findings = json.loads(found.stdout)["findings"]
    assert ("damaged", "Caisse 1", number) in [(one["code"], one["place"], one["number"]) for one in findings]
    assert json.loads(found.stderr)["code"] == "IntegrityDefect"
    status = till.json("status")
    assert (status["state"], status["apart"]) == ("attention", 1)
    told = till.ok("status")
    assert "works alone" in told
    assert "quarantine list" in told
