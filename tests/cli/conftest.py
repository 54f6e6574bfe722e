"""The register's command line, as a script and as a person see it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crdtsync.cli import main


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


@pytest.fixture
def empty(tmp_path: Path) -> Till:
    return Till(tmp_path / "till-1")


@pytest.fixture
def till(empty: Till) -> Till:
    """A register with two products."""
    empty.ok("init", "--name", "Caisse 1", "--shop", "Cave du Port")
    empty.ok("product", "add", "CM-19", "--name", "Crozes-Hermitage 2019", "--price", "18.50", "--vat", "20")
    empty.ok("product", "add", "TER-01", "--name", "Terrine", "--price", "6,95", "--vat", "5.5")
    return empty
