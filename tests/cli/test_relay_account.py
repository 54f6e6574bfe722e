"""`crdtsync-relay account`: who may come into the back office."""

import json
from contextlib import closing

import pytest
from click.testing import CliRunner

from crdtsync.errors import InvalidName, UnknownShop, UsageError
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync_server.cli import main
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.folder import DataFolder


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(main, [*arguments, "--data", str(tmp_path / "relay")])

    assert run("shop", "create", "Cave du Port").exit_code == 0
    return run


def test_an_account_begins_with_a_link_that_works_once(run, tmp_path):
    told = run("account", "create", "cave du port", "--owner", "Marie", "--web", "https://relay.example/")
    assert "Marie (owner)" in told.stdout
    link = told.stdout.split()[-1]
    assert link.startswith("https://relay.example/welcome/")
    with closing(Books(DataFolder(tmp_path / "relay"), SystemClock(), system_random)) as books:
        assert books.accounts.use_link(link.rpartition("/")[2], "a hash").name == "Marie"
    [person] = json.loads(run("account", "list", "Cave du Port", "--json").stdout)["accounts"]
    assert person == {"name": "Marie", "role": "owner", "has_password": True, "sessions": 0}


def test_a_forgotten_password_is_another_link(run):
    first = run("account", "create", "Cave du Port", "--staff", "Paul").stdout.split()[-1]
    second = run("account", "link", "Cave du Port", "PAUL").stdout.split()[-1]
    assert first != second


def test_whoever_is_ended_is_not_listed(run):
    run("account", "create", "Cave du Port", "--staff", "Paul")
    assert "no more" in run("account", "end", "Cave du Port", "Paul").stdout
    assert "Paul" not in run("account", "list", "Cave du Port").stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("create", "Cave du Port"), UsageError),
        (("create", "Cave du Port", "--owner", "A", "--staff", "B"), UsageError),
        (("create", "Nowhere", "--owner", "A"), UnknownShop),
        (("link", "Cave du Port", "Nobody"), InvalidName),
        (("end", "Cave du Port", "Nobody"), InvalidName),
    ],
)
def test_what_cannot_be_is_refused_with_its_exit_code(run, arguments, error):
    assert run("account", *arguments).exit_code == error.exit_code
