"""The register's command line, as a script and as a person see it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crdtsync.cli import main
from crdtsync.runtime.doctor import disk


class Till:
    """Runs commands on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str) -> Result:
        return CliRunner(env={"CRDTSYNC_DATA": str(self.folder)}).invoke(main, arguments)

    def ok(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture(scope="module", autouse=True)
def cost_of_guessing(guessing_costs_little: None) -> None:
    """Little."""


@pytest.fixture
def empty(tmp_path: Path) -> Till:
    return Till(tmp_path / "till-1")


@pytest.fixture(scope="session")
def new_register(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a register with two products that nobody has opened since. To be copied, never used."""
    till = Till(tmp_path_factory.mktemp("new-register") / "till-1")
    till.ok("init", "--name", "Caisse 1", "--shop", "Cave du Port")
    till.ok("product", "add", "CM-19", "--name", "Crozes-Hermitage 2019", "--price", "18.50", "--vat", "20")
    till.ok("product", "add", "TER-01", "--name", "Terrine", "--price", "6,95", "--vat", "5.5")
    return till.folder


@pytest.fixture
def till(empty: Till, new_register: Path) -> Till:
    """A register with two products."""
    shutil.copytree(new_register, empty.folder)
    return empty


@pytest.fixture
def on_a_disk_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the doctor sees, wherever tests keep their folders."""
    mounts = tmp_path_factory.mktemp("mounts") / "mountinfo"
    mounts.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    monkeypatch.setattr(disk, "MOUNTS", mounts)
