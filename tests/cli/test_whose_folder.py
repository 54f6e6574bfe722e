"""The folder of a register and that of a relay: whoever names the wrong one is told so; nothing changes."""

import json
from contextlib import closing

import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.runtime.register.register import Register
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.cli import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till

pytestmark = pytest.mark.usefixtures("on_a_disk_of_this_machine")


@pytest.fixture
def relay(tmp_path):
    """A relay that runs, and a register of its shop that has sold."""
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        with Register.join(tmp_path / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
            till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
            till.sell(["CM-19"], ["card"])
            till.sync()
        yield relay


def at_relay(folder, *arguments):
    return CliRunner().invoke(relay_main, [*arguments, "--data", str(folder)])


def files_of(folder):
    """What lies in a folder, but for what a relay that runs does with its own files."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}


def commands(relay):
    """Every command of a register that makes a folder, or opens one."""
    return {
        "init": ("init", "--name", "Caisse 2"),
        "join": ("join", relay.url, relay.pairing_code(), "--name", "Caisse 2"),
        "move": ("move", relay.url),
        "run": ("run",),
        "till": ("till", "--no-browser"),
        "rescue": ("rescue", "nowhere.rescue"),
    } | {name: (name,) for name in ("status", "doctor", "sales", "sync", "verify", "salvage", "leave")}


def test_no_command_of_a_register_takes_a_relays_folder(relay, tmp_path):
    before = files_of(tmp_path / "relay")
    for name, arguments in commands(relay).items():
        result = Till(tmp_path / "relay").run(*arguments)
        assert result.exit_code == errors.NotAStore.exit_code, (name, result.output)
        assert "belongs to a relay" in result.output, name
        assert "a folder of its own with --data" in result.output, name
        assert files_of(tmp_path / "relay") == before, name


def test_a_used_code_and_the_wrong_folder_do_not_stop_a_relay(relay, tmp_path):
    """What a newcomer typed: the shell's history has a code that was used, and --data of the relay."""
    code = relay.pairing_code()
    Till(tmp_path / "other").ok("join", relay.url, code, "--name", "Caisse 2")
    result = Till(tmp_path / "relay").run("join", relay.url, code, "--name", "Till 1")
    assert result.exit_code == errors.NotAStore.exit_code, result.output
    assert at_relay(tmp_path / "relay", "status").exit_code == 0
    relay.stop()
    with LocalRelay(tmp_path / "relay") as again:
        assert again.url


# -- folders in which both lie already --------------------------------------------------------------------


def test_what_a_failed_join_left_beside_a_relay_is_in_nobodys_way(relay, tmp_path):
    folder = tmp_path / "relay"
    with closing(SqliteStore(folder / "register.sqlite")):
        pass
    (folder / "device.key").write_bytes((tmp_path / "till" / "device.key").read_bytes())
    for arguments in (("status",), ("pair", "Cave du Port"), ("shop", "create", "Epicerie")):
        result = at_relay(folder, *arguments)
        assert result.exit_code == 0, result.output
    assert (folder / "device.key").exists()
    assert (folder / "register.sqlite").exists()


def test_a_register_that_was_made_beside_a_relay_goes_on_where_the_relay_says(relay, tmp_path):
    folder = tmp_path / "relay"
    relay.stop()
    elsewhere = Till(tmp_path / "made")
    elsewhere.ok("init", "--name", "Caisse 9")
    elsewhere.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    for path in elsewhere.folder.iterdir():
        path.rename(folder / path.name)
    beside = Till(folder)
    number = beside.json("sell", "CM-19", "--pay", "card")["number"]
    for arguments in (("status",), ("pair", "Cave du Port"), ("doctor",)):
        result = at_relay(folder, *arguments)
        assert "a register was made in it" in result.output, result.output
        assert "move its files together into a folder of its own" in result.output
        assert result.exit_code in (errors.NotAStore.exit_code, errors.RoleTaken.exit_code)
    # Nothing more is made there, and what the message names is all of the register.
    assert beside.run("init", "--name", "x").exit_code == errors.NotAStore.exit_code
    named = ("register.sqlite", "register.sqlite-wal", "register.sqlite-shm", "device.key", "owner.key")
    for name in (*named, "sync.lock"):
        if (folder / name).exists():
            (folder / name).rename(elsewhere.folder / name)
    assert [row["number"] for row in elsewhere.json("sales")] == [number]
    with LocalRelay(folder) as again:
        assert again.url
    assert json.loads(at_relay(folder, "status", "--json").stdout)["shops"]


def test_a_relay_is_not_made_in_a_registers_folder(till):
    before = {path.name for path in till.folder.iterdir()}
    for arguments in (("shop", "create", "Cave"), ("serve",)):
        result = at_relay(till.folder, *arguments)
        assert result.exit_code == errors.NotAStore.exit_code, result.output
        assert "belongs to a register" in result.output
    assert {path.name for path in till.folder.iterdir()} == before
