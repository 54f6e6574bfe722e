"""Files and folders that this user may not use: what the commands say, for real, in a process of their own.

Whoever runs the tests as root may read everything; the process gives that up before the command begins.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdtsync import Register, errors
from crdtsync.cli import main
from crdtsync_server.cli import main as relay_main

pytestmark = [pytest.mark.timeout(60), pytest.mark.slow]

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def _as_anybody() -> None:
    """Rights count from the next program on, for root too."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        preexec_fn=_as_anybody,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def locked(tmp_path):
    """A folder that nobody may look into."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o000)
    yield folder
    folder.chmod(0o700)


def refused(result, error, *named: Path | str) -> None:
    assert result.returncode == error.exit_code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    for one in named:
        assert str(one) in result.stderr


def test_these_tests_are_not_let_in(locked):
    told = subprocess.run(["/bin/ls", str(locked)], preexec_fn=_as_anybody, check=False, capture_output=True)
    assert told.returncode


@pytest.mark.parametrize(
    "arguments",
    [("shop", "create", "x"), ("serve",), ("status",), ("verify",), ("pair", "x"), ("backup", "b")],
    ids=" ".join,
)
def test_a_relay_says_that_it_may_not_use_its_folder(locked, arguments):
    result = run("crdtsync_server", *arguments, "--data", str(locked / "relay"))
    refused(result, errors.ReadOnlyStore, locked / "relay", "rights")


def test_a_relay_is_not_put_back_where_it_may_not_be(locked, tmp_path):
    relay = str(tmp_path / "relay")
    assert run("crdtsync_server", "shop", "create", "x", "--data", relay).returncode == 0
    backup = str(tmp_path / "backup")
    assert run("crdtsync_server", "backup", backup, "--data", relay).returncode == 0
    result = run("crdtsync_server", "restore-from", backup, "--new-key", "--data", str(locked / "relay"))
    refused(result, errors.ReadOnlyStore, locked / "relay")
    result = run("crdtsync_server", "backup", str(locked / "backup"), "--data", relay)
    assert result.returncode in (errors.StorageError.exit_code, errors.ReadOnlyStore.exit_code), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("init", "--name", "x"),
        ("status",),
        ("sell", "x", "--pay", "card"),
        ("verify",),
        ("salvage",),
        ("till",),
    ],
    ids=" ".join,
)
def test_a_register_says_that_it_may_not_use_its_folder(locked, arguments):
    result = run("crdtsync", *arguments, "--data", str(locked / "till"))
    refused(result, errors.ReadOnlyStore, locked / "till", "rights")


@pytest.mark.parametrize("module", ["crdtsync", "crdtsync_server"])
def test_the_doctor_says_so_too(locked, module):
    result = run(module, "doctor", "--data", str(locked / "folder"))
    assert result.returncode == errors.ReadOnlyStore.exit_code, result.stdout + result.stderr
    assert "Permission denied" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_folder_that_may_not_be_read_is_the_disks_trouble(till):
    till.folder.chmod(0o000)
    try:
        for arguments in (("status",), ("sell", "CM-19", "--pay", "card")):
            refused(
                run("crdtsync", *arguments, "--data", str(till.folder)), errors.ReadOnlyStore, till.folder
            )
    finally:
        till.folder.chmod(0o700)


@pytest.mark.parametrize(
    "arguments", [("status",), ("sell", "CM-19", "--pay", "card"), ("rescue", "r")], ids=" ".join
)
def test_a_store_that_may_not_be_read_is_named_as_what_it_is(till, arguments):
    (till.folder / "register.sqlite").chmod(0o000)
    result = run("crdtsync", *arguments, "--data", str(till.folder))
    refused(result, errors.ReadOnlyStore, "register.sqlite", "may not be read or written by this user")
    assert "its folder" not in result.stderr


def test_a_rescue_file_is_not_written_where_it_may_not_be(till, locked):
    till.ok("sell", "CM-19", "--pay", "card")
    result = run("crdtsync", "rescue", str(locked / "x.rescue"), "--data", str(till.folder))
    assert result.returncode in (errors.StorageError.exit_code, errors.ReadOnlyStore.exit_code), result.stderr
    assert str(locked / "x.rescue") in result.stderr
    assert "Traceback" not in result.stderr


def test_in_a_folder_that_others_may_enter_nobody_else_reads_what_is_made_there(tmp_path):
    """Whoever made the folder beforehand, with `mkdir`, has let everybody look into it."""
    before = os.umask(0o022)
    try:
        for name in ("till", "relay", "put back"):
            (tmp_path / name).mkdir(mode=0o755)
        till, relay = str(tmp_path / "till"), str(tmp_path / "relay")
        runner = CliRunner()
        assert runner.invoke(main, ["init", "--name", "Caisse 1", "--data", till]).exit_code == 0
        with Register.open(till):
            at_work = modes(tmp_path / "till")
        assert runner.invoke(relay_main, ["shop", "create", "Cave", "--data", relay]).exit_code == 0
        (tmp_path / "passphrase").write_text("correct horse battery staple")
        file, keys = str(tmp_path / "relay.backup"), ("--with-keys", str(tmp_path / "passphrase"))
        assert runner.invoke(relay_main, ["backup", file, *keys, "--data", relay]).exit_code == 0
        put_back = str(tmp_path / "put back")
        assert runner.invoke(relay_main, ["restore-from", file, *keys, "--data", put_back]).exit_code == 0
    finally:
        os.umask(before)
    assert "register.sqlite-wal" in at_work
    for made in (at_work, modes(tmp_path / "till"), modes(tmp_path / "relay"), modes(tmp_path / "put back")):
        assert {name: oct(mode) for name, mode in made.items() if mode & 0o077} == {}
    assert modes(tmp_path / "put back").keys() >= {"relay.sqlite", "access.sqlite"}


def modes(folder):
    """The rights of each file in a folder, but of what says nothing of any sale."""
    found = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    return {name: mode for name, mode in found.items() if not name.endswith(".lock")}
