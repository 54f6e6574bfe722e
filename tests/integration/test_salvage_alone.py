"""`crdtsync salvage` beside others who want the same register: nobody sells into a store that is put aside,
and no store takes the place of another before all of it is in its file.
"""

import errno
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import apsw
import pytest

from crdtsync.errors import StorageError, StoreBusy
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.damage import salvage as salvaging
from crdtsync.runtime.folder import replica
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.folder.whose import SALVAGED, SALVAGING
from crdtsync.runtime.register.register import Register
from crdtsync.storage.database import Database
from crdtsync.storage.sqlite import SqliteStore

WAIT_S = 30


@pytest.fixture
def sold(tmp_path):
    """The folder of a register that has sold three tickets, the last of which rotted, and their numbers."""
    folder = tmp_path / "till"
    with Register.init(folder, name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        numbers = [till.sell(["CM-19"], ["card"]).number for _ in range(3)]
    with closing(apsw.Connection(str(folder / STORE))) as file:
        last = "(SELECT max(pos) FROM record)"
        file.execute(f"UPDATE record SET bytes = zeroblob(length(bytes)) WHERE pos = {last}")
    return folder, numbers


def salvaged(folder):
    return salvaging.salvage(folder, SystemClock(), system_random)


def sells(folder):
    with Register.open(folder) as till:
        return till.sell(["CM-19"], ["card"]).number


def tickets(folder):
    with closing(SqliteStore(folder / STORE, read_only=True, create=False)) as store:
        assert list(store.check()) == []
    with Register.open(folder) as till:
        return {row.number for row in till.sales()}


def test_who_opens_the_register_as_the_stores_change_places_sells_nothing_into_the_one_put_aside(
    sold, monkeypatch
):
    """SQLite opens a file at once and waits for its lock: when it has that, another one bears the name."""
    folder, numbers = sold
    exchange, recognise = salvaging._exchange, Database._recognise
    has_opened, selling = threading.Event(), []
    others = ThreadPoolExecutor(1, initializer=lambda: selling.append(threading.get_ident()))

    def recognised(database):
        if threading.get_ident() in selling:
            has_opened.set()
        recognise(database)

    def exchanged(*arguments):
        sale.append(others.submit(sells, folder))
        assert has_opened.wait(WAIT_S)
        return exchange(*arguments)

    sale = []
    monkeypatch.setattr(Database, "_recognise", recognised)
    monkeypatch.setattr(salvaging, "_exchange", exchanged)
    with others:
        salvaged(folder)
        with pytest.raises(StoreBusy, match="replaced as it was opened"):
            sale[0].result(WAIT_S)
    again = sells(folder)
    assert again not in numbers
    assert tickets(folder) == {*numbers[:2], again}


def test_who_opens_the_register_while_there_is_no_store_makes_none(sold, monkeypatch):
    """Its journal would be taken for that of the store which takes the place."""
    folder, _ = sold
    store_of_register = replica.store_of_register

    def gone_a_moment_later(at):
        path = store_of_register(at)
        path.rename(folder / SALVAGING)
        return path

    monkeypatch.setattr(replica, "store_of_register", gone_a_moment_later)
    with pytest.raises(StoreBusy, match="replaced as it was opened"):
        Register.open(folder)
    assert not list(folder.glob(f"{STORE}*-wal"))
    assert not (folder / STORE).exists()


def test_where_a_file_has_one_name_alone_salvage_says_what_to_do_and_changes_nothing(
    sold, monkeypatch, tmp_path
):
    """As on a stick: FAT and exFAT know no hard links."""
    folder, numbers = sold
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def refused(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as stick:
        stick.setattr(salvaging.os, "link", refused)
        with pytest.raises(StorageError, match="cannot have two names") as told:
            salvaged(folder)
    assert "copy the whole folder" in told.value.hint
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: after[name] for name in before if not name.endswith("-shm")} == {
        name: data for name, data in before.items() if not name.endswith("-shm")
    }
    elsewhere = shutil.copytree(folder, tmp_path / "disk")
    salvaged(elsewhere)
    assert tickets(elsewhere) == {*numbers[:2]}


def test_a_new_store_of_which_a_part_is_in_its_journal_takes_no_place(sold, monkeypatch):
    """As on a disk that is full when SQLite closes it; here somebody looks at it."""
    folder, numbers = sold
    note, looking = salvaging._note, []
    before = (folder / STORE).read_bytes()

    def noted(*arguments, **more):
        looking.append(apsw.Connection(str(folder / SALVAGED)))
        looking[0].execute("BEGIN; SELECT * FROM sqlite_schema").fetchall()
        note(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(salvaging, "_note", noted)
        with pytest.raises(StorageError, match="could not be written whole"):
            salvaged(folder)
    assert (folder / STORE).read_bytes() == before
    looking[0].close()
    assert salvaged(folder).lost == 1
    assert numbers[2] not in tickets(folder)
    assert sells(folder) not in numbers
