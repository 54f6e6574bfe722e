"""`crdtsync salvage` is killed at each of its steps: nothing is lost, no number is given twice, and repeating
it ends well.
"""

import json
import shutil
import signal
from contextlib import closing

import apsw
import pytest

from crdtsync import Register
from crdtsync.errors import NoRegister, UsageError
from crdtsync.storage.sqlite import SqliteStore
from tests import forked
from tests.integration import killed
from tests.integration.killed import KILLED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

WINE = "CM-19"

SELLS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from crdtsync import Register
till = Register.open(Path(sys.argv[1]))
for _ in range(3):
    print(till.sell(["CM-19"], ["card"]).number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run(at, *arguments):
    return killed.run(at, "crdtsync", *arguments)


def spoil(folder, tables):
    """The pages at which these tables begin say nothing any more; journals stay as they are."""
    with closing(
        apsw.Connection(f"file:{folder}/register.sqlite?immutable=1", apsw.SQLITE_OPEN_URI | 1)
    ) as file:
        size = file.pragma("page_size")
        names = ", ".join(f"'{name}'" for name in tables)
        found = file.execute(f"SELECT rootpage FROM sqlite_schema WHERE name IN ({names})")
        roots = [page for (page,) in found]
    assert len(roots) == len(tables)
    with (folder / "register.sqlite").open("r+b") as file:
        for page in roots:
            file.seek((page - 1) * size)
            file.write(bytes(size))


@pytest.fixture
def sold(tmp_path):
    """A register that has sold six tickets, the last three of which lie in the journal alone: the machine
    lost its power. Their numbers.
    """
    folder = tmp_path / "till"
    with Register.init(folder, name="Caisse 1") as till:
        till.products.add(WINE, name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
        numbers = [till.sell([WINE], ["card"]).number for _ in range(3)]
    done = forked.run(["-c", SELLS_AND_DIES, folder])
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (folder / "register.sqlite-wal").stat().st_size > 0
    return folder, numbers + done.stdout.split()


def tickets(folder):
    done = run(0, "sales", "--json", "--data", folder)
    assert done.returncode == 0, done.stderr
    return [row["number"] for row in json.loads(done.stdout)]


@pytest.mark.parametrize(
    "tables",
    [("stretch",), ("stretch", "state")],
    ids=["what is held of a chain", "what it was, and the last number"],
)
def test_whenever_it_was_killed_all_tickets_are_there_and_none_twice(sold, tmp_path, tables):
    whole, numbers = sold
    spoil(whole, tables)
    at, in_between = 1, 0
    while True:
        folder = tmp_path / f"killed-at-{at}"
        shutil.copytree(whole, folder)
        done = run(at, "salvage", "--data", folder)
        if done.returncode != KILLED:
            assert done.returncode == 0, done.stderr
            break
        # What a person, or a service that is started by itself, may do before it is repeated.
        sale = run(0, "sell", WINE, "--pay", "card", "--data", folder, "--json")
        if sale.returncode == 0:
            numbers_now = [*numbers, json.loads(sale.stdout)["number"]]
        else:
            numbers_now = numbers
        if not (folder / "register.sqlite").exists():
            in_between += 1
            assert "`crdtsync salvage`" in sale.stderr
            for command in (("init", "--name", "Caisse 2"), ("status",), ("rescue", tmp_path / "no.rescue")):
                told = run(0, *command, "--data", folder)
                assert told.returncode == NoRegister.exit_code
                assert "`crdtsync salvage`" in told.stderr
        again = run(0, "salvage", "--data", folder)
        assert again.returncode in (0, UsageError.exit_code), again.stderr  # It was done already.
        assert "Traceback" not in again.stderr
        run(0, "sell", WINE, "--pay", "card", "--data", folder)
        found = tickets(folder)
        assert set(numbers_now) <= set(found)
        assert len(set(found)) == len(found) == len(numbers_now) + 1
        with closing(SqliteStore(folder / "register.sqlite", read_only=True, create=False)) as store:
            assert list(store.check()) == []
        kept = [path for path in folder.glob("register.sqlite.damaged-*") if path.suffix != "-wal"]
        assert kept, "the damaged store is kept"
        assert not list(folder.glob("register.sqlite.salvag*"))
        at += 1
    assert in_between > 0, "there is a moment in which there is no store"
    assert at > 8
