"""Opening a store: what is none, what is newer, what may only be read, and who else is there."""

import os
import subprocess
import sys
from contextlib import closing, suppress

import apsw
import pytest

from crdtsync.errors import DamagedStore, NotAStore, ReadOnlyStore, StorageError, StoreBusy, StoreTooNew
from crdtsync.storage import database, schema
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain

SHOP, LOG = b"s" * 16, b"l" * 16


@pytest.fixture
def path(tmp_path):
    """A store with two sales."""
    path = tmp_path / "shop.db"
    store = SqliteStore(path)
    with store.transaction():
        log = store.create_shop(SHOP, LOG)
        for sale in MadeUpChain(1).entries(2):
            log.append(sale)
    store.close()
    return path


def write_pragma(path, name, value):
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA {name}={value}")
    connection.close()


def test_a_store_can_be_opened_for_reading_only(path):
    store = SqliteStore(path, read_only=True)
    assert store.shop(SHOP).end.seq == 2
    with pytest.raises(ReadOnlyStore), store.transaction():
        pass
    store.close()


def test_a_reader_sees_what_is_written_meanwhile(path):
    reader, writer = SqliteStore(path, read_only=True), SqliteStore(path)
    with writer.transaction():
        writer.shop(SHOP).append(MadeUpChain(2).entry())
    assert reader.shop(SHOP).end == writer.shop(SHOP).end
    for store in (reader, writer):
        store.close()


def test_in_a_folder_that_cannot_be_written_the_newest_sales_are_read_too(path, monkeypatch):
    """They are in the WAL, as another process still has the file open."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with closing(SqliteStore(path)) as writer:
        with writer.transaction():
            writer.shop(SHOP).append(MadeUpChain(2).entry())
        with closing(SqliteStore(path, read_only=True)) as reader:
            assert reader.shop(SHOP).end == writer.shop(SHOP).end


def test_in_a_folder_that_cannot_be_written_nothing_is_made_beside_the_file(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with closing(SqliteStore(path, read_only=True)) as reader:
        assert reader.shop(SHOP).end.seq == 2
        assert list(path.parent.iterdir()) == [path]


def test_where_no_file_is_there_is_no_store(tmp_path):
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(NotAStore):
            SqliteStore(tmp_path / "none.db", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_store_unless_one_is_made(tmp_path):
    path = tmp_path / "shop.db"
    path.touch()
    with pytest.raises(NotAStore):
        SqliteStore(path, create=False)
    SqliteStore(path).close()
    SqliteStore(path, create=False).close()


@pytest.mark.parametrize("content", [b"ticket 1: 4.50\n" * 100, b"x", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_of_another_kind_is_no_store(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises((NotAStore, DamagedStore)):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_no_store(tmp_path):
    path = tmp_path / "other.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotAStore):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(ReadOnlyStore):
        SqliteStore(tmp_path / "nowhere" / "shop.db")


def test_a_store_of_a_newer_version_is_left_alone(path):
    write_pragma(path, "user_version", len(schema.MIGRATIONS) + 1)
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreTooNew):
            SqliteStore(path, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("what", ["", "-wal"])
@pytest.mark.parametrize("is_replaced", [False, True])
def test_once_its_file_is_removed_or_replaced_nothing_more_is_recorded(path, tmp_path, what, is_replaced):
    """SQLite goes on and says that it committed, into a file that nobody finds again."""
    store = SqliteStore(path)
    with store.transaction():
        store.shop(SHOP).append(MadeUpChain(2).entry())
    file = path.with_name(path.name + what)
    content = file.read_bytes()
    file.unlink()
    if is_replaced:
        (tmp_path / "copy").write_bytes(content)
        (tmp_path / "copy").rename(file)
    with pytest.raises(StorageError, match="removed or replaced") as told, store.transaction():
        store.shop(SHOP).append(MadeUpChain(3).entry())
    assert "put back" in told.value.hint
    assert store.shop(SHOP).end.seq == 3
    store.close()


def test_whoever_goes_to_another_folder_keeps_the_store(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    store = SqliteStore(path.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with store.transaction():
        store.shop(SHOP).append(MadeUpChain(2).entry())
    assert store.shop(SHOP).end.seq == 3
    store.close()


def open_with(path, *migrations, read_only=False):
    return database.Database(
        str(path),
        read_only=read_only,
        create=True,
        busy_timeout_s=0.05,
        migrations=(*schema.MIGRATIONS, *migrations),
    )


def test_migrations_are_run_in_order_and_once(path):
    later = ("CREATE TABLE extra (a)", "ALTER TABLE extra ADD COLUMN b")
    open_with(path, *later).close()
    found = open_with(path, *later)
    assert found.rows("SELECT a, b FROM extra") == []
    assert found.connection.pragma("user_version") == len(schema.MIGRATIONS) + 2
    found.close()
    with pytest.raises(StoreTooNew):
        SqliteStore(path)


def test_a_migration_that_fails_changes_nothing(path):
    with pytest.raises(DamagedStore):
        open_with(path, "CREATE TABLE extra (a)", "CREATE TABLE extra (a)")
    store = SqliteStore(path)
    assert store.shop(SHOP).end.seq == 2
    assert store.connection.pragma("user_version") == len(schema.MIGRATIONS)
    store.close()


def test_an_older_store_cannot_be_migrated_by_a_reader(path):
    with pytest.raises(ReadOnlyStore):
        open_with(path, "CREATE TABLE extra (a)", read_only=True)


def test_a_writer_waits_for_its_turn_no_longer_than_it_was_told(path):
    first, second = SqliteStore(path), SqliteStore(path, busy_timeout_s=0.01)
    with first.transaction(), pytest.raises(StoreBusy), second.transaction():
        pass
    for store in (first, second):
        store.close()


APPEND_TEN = """
import sys
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain
store = SqliteStore(sys.argv[1])
for sale in MadeUpChain(int(sys.argv[2])).entries(10):
    with store.transaction():
        store.shop(b"s" * 16).append(sale)
store.close()
"""


def test_two_processes_share_one_sequence_without_gaps(path):
    writers = [subprocess.Popen([sys.executable, "-c", APPEND_TEN, path, str(seed)]) for seed in (2, 3)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = SqliteStore(path)
    log = store.shop(SHOP)
    assert [seq for seq, _ in log.read(0, bytes_max=1 << 30).records] == list(range(1, 23))
    assert sorted(run.hi for run in log.runs()) == [2, 10, 10]
    assert sum(row.records for row in log.documents()) == 22
    store.close()


SELL_UNTIL_KILLED = """
import sys
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain
store = SqliteStore(sys.argv[1])
till = MadeUpChain(7)
while True:
    with store.transaction():
        seq = store.shop(b"s" * 16).append(till.entry())
    print(seq, flush=True)
"""


def test_what_a_killed_process_had_told_is_there(path):
    writer = subprocess.Popen(
        [sys.executable, "-c", SELL_UNTIL_KILLED, path], stdout=subprocess.PIPE, text=True
    )
    told = [int(writer.stdout.readline()) for _ in range(30)][-1]
    writer.kill()
    told = max([told, *map(int, writer.stdout.read().split())])
    writer.stdout.close()
    writer.wait()
    store = SqliteStore(path)
    assert store.shop(SHOP).end.seq in (told, told + 1)
    store.close()


def test_closing_twice_is_harmless_and_undoes_what_was_not_committed(path):
    store = SqliteStore(path)
    store.transaction().__enter__()
    store.shop(SHOP).append(MadeUpChain(2).entry())
    store.close()
    store.close()
    again = SqliteStore(path)
    assert again.shop(SHOP).end.seq == 2
    again.close()


def test_the_log_of_a_shop_that_was_never_created_stays_dead(tmp_path):
    store = SqliteStore(tmp_path / "shop.db")
    with pytest.raises(ZeroDivisionError), store.transaction():
        dead = store.create_shop(b"a" * 16, LOG)
        raise ZeroDivisionError
    with store.transaction():
        store.create_shop(b"b" * 16, LOG)
    with pytest.raises(KeyError):
        _ = dead.end
    store.close()


def test_an_error_of_a_table_beside_the_log_is_told_in_our_words(path):
    store = SqliteStore(path)
    with pytest.raises(DamagedStore), store.transaction():
        store.shop(SHOP).append(MadeUpChain(2).entry())
        store.connection.execute("INSERT INTO no_such_view VALUES (1)")
    assert store.shop(SHOP).end.seq == 2
    store.close()


def test_who_passes_over_the_error_of_a_deferred_row_commits_nothing_without_it(tmp_path):
    with closing(SqliteStore(tmp_path / "shop.sqlite")) as store:
        file, row = store.database, (1, 1, None, None, 1)
        with pytest.raises(StorageError), store.transaction():
            file.defer("INSERT INTO stretch", row)
            file.defer("INSERT INTO stretch", row)
            with suppress(StorageError):
                file.row("SELECT 1")
        with store.transaction():
            file.defer("INSERT INTO stretch", row)
        assert file.row("SELECT count(*) FROM stretch") == (1,)


@pytest.mark.parametrize("comes", ["before", "after"])
def test_a_store_that_another_process_makes_at_that_moment_is_one(tmp_path, monkeypatch, comes):
    """Two that made a relay at once: one found a file that had tables and, a moment before, no owner."""
    genuine, made = database.Database._header, []

    def header(self):
        seen = genuine(self) if comes == "after" else None
        if not made:
            made.append(True)
            SqliteStore(tmp_path / "shop.db").close()
        return seen or genuine(self)

    monkeypatch.setattr(database.Database, "_header", header)
    with closing(SqliteStore(tmp_path / "shop.db")) as store:
        assert store.shops() == []


def test_a_statement_is_not_compiled_anew_for_other_values(tmp_path):
    """Compiling takes a question of two tables four times as long as its answer."""
    question = (
        "SELECT d.name, s.n FROM document d LEFT JOIN stretch s ON s.document = d.no AND s.pos ="
        " (SELECT max(pos) FROM stretch WHERE document = d.no AND pos <= :pos)"
        " WHERE d.shop = (SELECT no FROM shop WHERE id = :shop) AND d.name = :name"
    )
    compiled = []
    with closing(SqliteStore(tmp_path / "shop.sqlite")) as store:

        def ask(name):
            store.connection.execute(question, {"shop": SHOP, "name": name, "pos": len(name)}).fetchall()

        store.connection.authorizer = lambda *what: compiled.append(what) or apsw.SQLITE_OK
        ask("catalogue")
        assert compiled, "the first time"
        compiled.clear()
        ask("owner")
        ask("x/notes")
        store.connection.authorizer = None
    assert compiled == []
