"""Other processes' commits are noticed, with the system's help or without."""

import asyncio

import pytest

from crdtsync.ids import Item, record_digest, update_record
from crdtsync.runtime.committing import watch as commit_watch
from crdtsync.runtime.committing.watch import CommitWatch
from crdtsync.storage.sqlite import SqliteStore

SHOP = bytes(16)


@pytest.fixture
def store_file(tmp_path):
    file = tmp_path / "register.sqlite"
    store = SqliteStore(file)
    with store.transaction():
        store.create_shop(SHOP, bytes(16))
    yield file
    store.close()


@pytest.fixture
def writer(store_file):
    store = SqliteStore(store_file)
    yield store
    store.close()


def sell(store, number):
    record = update_record("x/sales", b"%d" % number)
    with store.transaction():
        store.shop(SHOP).append(Item(record, "x/sales", record_digest(record)))


class Reader:
    """Looks as a syncer does, and remembers how often it found something."""

    def __init__(self, store_file):
        self.store = SqliteStore(store_file)
        self.version = self.store.data_version()
        self.found = asyncio.Event()
        self.looks = 0

    def look(self):
        self.looks += 1
        version = self.store.data_version()
        if version == self.version:
            return False
        self.version = version
        self.found.set()
        return True


@pytest.fixture
async def reader(store_file):
    reader = Reader(store_file)
    yield reader
    reader.store.close()


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_commit_of_another_process_is_noticed(store_file, writer, reader, is_told, monkeypatch):
    if is_told:
        monkeypatch.setattr(commit_watch, "LOOK_EVERY_S", 3600.0)
    else:
        monkeypatch.setattr(commit_watch, "_watch_folder", lambda folder: None)
    watch = CommitWatch(store_file, reader.look)
    watch.start()
    for number in range(3):
        reader.found.clear()
        sell(writer, number)
        await asyncio.wait_for(reader.found.wait(), 10)
    watch.stop()


async def test_who_is_told_by_the_system_looks_seldom_while_nothing_happens(store_file, reader):
    watch = CommitWatch(store_file, reader.look)
    watch.start()
    assert watch.is_told
    assert watch._timer.when() - asyncio.get_running_loop().time() > 0.9
    watch.stop()


async def test_a_word_of_a_write_is_followed_up_until_the_commit_is_seen(store_file, monkeypatch):
    looks, is_seen = [], asyncio.Event()

    def look():
        looks.append(1)
        if len(looks) == 5:
            is_seen.set()
        return is_seen.is_set()

    watch = CommitWatch(store_file, look)
    watch.start()
    monkeypatch.setattr(commit_watch, "_names", lambda descriptor: {store_file.name + "-wal"})
    watch._told()
    await asyncio.wait_for(is_seen.wait(), 10)
    assert watch._quick_looks == 0
    watch.stop()


async def test_a_write_to_another_file_is_none_of_ours(store_file, monkeypatch):
    looks = []
    watch = CommitWatch(store_file, lambda: looks.append(1) or False)
    watch.start()
    monkeypatch.setattr(commit_watch, "_names", lambda descriptor: {"sync.lock"})
    watch._told()
    assert looks == []
    watch.stop()


async def test_a_store_without_a_file_is_looked_at(reader):
    watch = CommitWatch(None, reader.look)
    watch.start()
    assert not watch.is_told
    watch.stop()
    watch.stop()


async def test_nothing_is_looked_at_after_the_end(store_file, reader):
    watch = CommitWatch(store_file, reader.look)
    watch.start()
    watch.stop()
    watch._told()
    assert (reader.looks, watch._timer.cancelled()) == (0, True)
