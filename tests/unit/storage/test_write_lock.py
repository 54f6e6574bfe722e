"""Who keeps a store from being written, as the system tells it."""

import os
from contextlib import closing

import apsw
import pytest

from crdtsync.storage import write_lock
from crdtsync.storage.write_lock import Patience, is_kept_locked, who_keeps


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "register.sqlite"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA journal_mode=WAL; CREATE TABLE sale (number)").fetchall()
        yield path, connection


def test_a_store_that_nobody_writes_is_free_and_nothing_is_written(store):
    path, connection = store
    before = connection.pragma("data_version")
    assert not is_kept_locked(path, 0.0)
    assert connection.pragma("data_version") == before


def test_a_reader_keeps_nobody_from_writing(store):
    path, connection = store
    connection.execute("BEGIN; SELECT * FROM sale").fetchall()
    assert not is_kept_locked(path, 0.0)


def test_who_writes_and_does_not_end_keeps_it_locked(store):
    path, connection = store
    connection.execute("BEGIN IMMEDIATE")
    assert is_kept_locked(path, 0.0)
    connection.execute("COMMIT")
    assert not is_kept_locked(path, 0.0)


@pytest.mark.parametrize("text", ["", "a letter to my aunt\n" * 100], ids=["empty", "no store"])
def test_what_cannot_be_opened_is_told_by_who_opens_it(tmp_path, text):
    path = tmp_path / "register.sqlite"
    assert not is_kept_locked(path, 0.0)
    path.write_text(text)
    assert not is_kept_locked(path, 0.0)


@pytest.mark.parametrize(
    ("line", "process"),
    [
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 120 120", 4711),
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 0 EOF", 4711),
        ("1: OFDLCK ADVISORY  WRITE -1 fe:00:{inode} 120 120", None),
        ("1: POSIX  ADVISORY  READ 4711 fe:00:{inode} 120 120", None),
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 124 124", None),
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 0 119", None),
        ("1: POSIX  ADVISORY  WRITE 4711 fe:00:{inode}0 120 120", None),
        ("1: -> POSIX  ADVISORY  WRITE 4711 fe:00:{inode} 120 120", None),
        ("1: LEASE", None),
    ],
)
def test_the_process_is_the_one_that_has_the_lock_of_writers(store, tmp_path, line, process):
    path, _ = store
    inode = os.stat(f"{path}-shm").st_ino
    locks = tmp_path / "locks"
    locks.write_text(f"{line.format(inode=inode)}\n")
    assert who_keeps(path, locks) == process


def test_where_the_system_does_not_say_nobody_is_named(store, tmp_path):
    path, _ = store
    assert who_keeps(path, tmp_path / "nothing here") is None
    assert who_keeps(tmp_path / "no store", tmp_path / "nothing here") is None


class Times:
    """A clock that goes on by what is slept."""

    def __init__(self):
        self.now_s, self.slept = 100.0, []

    def monotonic(self):
        return self.now_s

    def sleep(self, pause_s):
        self.slept.append(pause_s)
        self.now_s += pause_s


def test_a_sale_looks_for_its_turn_often_as_long_as_it_waits(monkeypatch):
    times = Times()
    monkeypatch.setattr(write_lock, "time", times)
    patience = Patience(5.0)
    for _ in range(2):  # Each lock has its own time.
        times.slept.clear()
        looks = 0
        while patience(looks):
            looks += 1
        assert sum(times.slept) == pytest.approx(5.0)
        assert max(times.slept) <= 0.005
        assert times.slept[0] <= 0.001
