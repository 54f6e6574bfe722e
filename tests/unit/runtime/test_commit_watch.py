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
    words = [{store_file.name + "-wal"}]
    monkeypatch.setattr(commit_watch, "_names", lambda descriptor: words.pop() if words else set())
    watch._told()
    await asyncio.wait_for(is_seen.wait(), 10)
    assert watch._quick_looks == 0
    watch.stop()


async def test_who_commits_is_interrupted_by_one_word_not_by_one_for_each_page(
    store_file, writer, reader, monkeypatch
):
    monkeypatch.setattr(commit_watch, "CHASE_S", 3600.0)
    monkeypatch.setattr(commit_watch, "LOOK_EVERY_S", 3600.0)
    told = 0
    names = commit_watch._names

    def count(descriptor):
        nonlocal told
        told += 1
        return names(descriptor)

    monkeypatch.setattr(commit_watch, "_names", count)
    watch = CommitWatch(store_file, reader.look)
    watch.start()
    for number in range(5):
        sell(writer, number)
        for _ in range(3):
            await asyncio.sleep(0)
    watch.stop()
    assert (told, reader.looks) == (1, 0)


async def test_a_commit_behind_the_one_that_was_found_is_looked_for_too(store_file, monkeypatch):
    """Its word may have come before the look that found the first one, its end comes after."""
    finds, is_over = [False, True, True], asyncio.Event()

    def look():
        found = finds.pop(0) if finds else False
        if not finds:
            is_over.set()
        return found

    monkeypatch.setattr(commit_watch, "LOOK_EVERY_S", 3600.0)
    words = [{store_file.name + "-wal"}] * 3  # Of the first commit, more of it, and of the one behind it.
    monkeypatch.setattr(commit_watch, "_names", lambda descriptor: words.pop() if words else set())
    watch = CommitWatch(store_file, look)
    watch.start()
    watch._told()
    await asyncio.wait_for(is_over.wait(), 10)
    watch.stop()


async def test_who_was_told_of_a_commit_does_not_look_for_it_any_longer(store_file, monkeypatch):
    monkeypatch.setattr(commit_watch, "LOOK_EVERY_S", 3600.0)
    watch = CommitWatch(store_file, lambda: True)
    watch.start()
    words = [{store_file.name + "-wal"}]
    monkeypatch.setattr(commit_watch, "_names", lambda descriptor: words.pop() if words else set())
    watch._told()
    assert not watch._listens
    watch.look_now()  # As a sale of the same process has it done.
    assert watch._listens
    assert watch._timer.when() - asyncio.get_running_loop().time() > 1000
    watch.stop()


async def test_a_look_that_fails_is_not_the_last_one(store_file, monkeypatch):
    words = [{store_file.name + "-wal"}]
    monkeypatch.setattr(commit_watch, "_names", lambda descriptor: words.pop() if words else set())

    monkeypatch.setattr(commit_watch, "LOOK_EVERY_S", 3600.0)

    def look():
        raise OSError("the disk does not answer")

    watch = CommitWatch(store_file, look)
    watch.start()
    watch._told()
    with pytest.raises(OSError, match="does not answer"):
        watch.look_now()
    assert watch._listens
    assert not watch._timer.cancelled()
    assert watch._timer.when() > asyncio.get_running_loop().time()
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
