"""What can be read of a damaged store comes into the rescue file, wherever the damage says that it ends."""

import contextlib
import random
import re
from contextlib import closing

import apsw
import pytest

from crdtsync import Register
from crdtsync.errors import CrdtsyncError
from crdtsync.ids import record_digest
from crdtsync.runtime.clock import SystemClock
from crdtsync.runtime.damage.rescue import body_of, rescue
from crdtsync.runtime.folder.replica import STORE
from crdtsync.storage.remains import Remains
from crdtsync.storage.rescue_file import read_rescue, rescued_records

SALES = 60
PAGE = 4096


@pytest.fixture
def folder(tmp_path):
    """A register that never met a relay, so that it is rescued whole."""
    folder = tmp_path / "till"
    with Register.init(folder, name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        for _ in range(SALES):
            till.sell(["CM-19"], ["card"])
    with closing(apsw.Connection(str(folder / STORE))) as connection:
        connection.pragma("wal_checkpoint(TRUNCATE)")
    return folder


def execute(folder, sql):
    with closing(apsw.Connection(str(folder / STORE))) as connection:
        connection.execute(sql)
        connection.pragma("wal_checkpoint(TRUNCATE)")


def pages(folder, table, kind):
    with closing(apsw.Connection(str(folder / STORE))) as connection:
        found = connection.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY path", (table, kind)
        )
        return [page for (page,) in found], connection.pragma("page_size")


def spoil(folder, table, place, kind="leaf"):
    found, size = pages(folder, table, kind)
    with (folder / STORE).open("r+b") as file:
        file.seek((found[place] - 1) * size)
        file.write(b"\xa5" * size)


def rescued(folder):
    """(Numbers of the tickets in the file, what it says could not be read); no record is in it twice."""
    made = rescue(folder, folder.parent / "till.rescue", SystemClock().now_ms())
    records = [record for _, rows in rescued_records(read_rescue(made.file)) for _, record in rows]
    assert len(records) == len({record_digest(record) for record in records})
    bodies = [body_of(record) or {} for record in records]
    numbers = [int(body["num"].rpartition("-")[2]) for body in bodies if body.get("kind") == "sale"]
    assert len(numbers) == len(set(numbers)) == made.pending.sales
    return sorted(numbers), made.unreadable


ALL = list(range(1, SALES + 1))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE shop SET seq = 3, h = zeroblob(32)",
        "DELETE FROM shop",
        "DELETE FROM shop; DELETE FROM state",
        "UPDATE shop SET id = x'00'",
    ],
)
def test_a_damaged_head_hides_no_record(folder, damage):
    execute(folder, damage)
    assert rescued(folder)[0] == ALL


def test_records_before_and_beyond_a_page_that_cannot_be_read_are_rescued_and_the_others_named(folder):
    spoil(folder, "record", 4)
    numbers, unreadable = rescued(folder)
    assert ALL[-1] in numbers
    assert 40 < len(numbers) < SALES
    assert any(one.startswith("records ") for one in unreadable)


def test_where_the_last_page_cannot_be_read_either_it_says_that_there_may_have_been_more(folder):
    execute(folder, "UPDATE shop SET seq = 3, h = zeroblob(32); DELETE FROM state WHERE key = 'head'")
    spoil(folder, "record", 2)
    spoil(folder, "record", -1)
    numbers, unreadable = rescued(folder)
    assert 40 < len(numbers) < SALES
    assert any("if there were more" in one for one in unreadable), "the head of the log does not know"


@pytest.mark.parametrize("table", ["shop", "state"])
def test_pages_of_other_tables_hide_no_record(folder, table):
    spoil(folder, table, 0)
    numbers, unreadable = rescued(folder)
    assert (numbers, bool(unreadable)) == (ALL, True)


def test_where_the_root_of_the_records_is_gone_its_leaves_are_read(folder):
    """What was recorded lies on pages that are whole; only nothing leads to them any more."""
    spoil(folder, "record", 0, "internal")
    numbers, unreadable = rescued(folder)
    assert numbers == ALL
    assert any("if there were more" in one for one in unreadable), "nothing tells that these are all"


def test_where_the_root_and_a_leaf_are_gone_the_others_are_rescued_and_those_are_named(folder):
    spoil(folder, "record", 5)
    spoil(folder, "record", 0, "internal")
    numbers, unreadable = rescued(folder)
    assert 40 < len(numbers) < SALES
    assert {1, SALES} <= set(numbers)
    (named,) = [one for one in unreadable if one.startswith("records ")]
    first, last = map(int, re.findall("[0-9]+", named))
    assert last - first + 1 == SALES - len(numbers)


def test_a_record_of_before_whose_checksum_does_not_hold_is_not_taken_from_a_leaf(folder):
    execute(folder, "UPDATE record SET crc = crc + 1 WHERE pos = (SELECT max(pos) FROM record)")
    spoil(folder, "record", 0, "internal")
    assert rescued(folder)[0] == ALL[:-1]


def test_packs_under_a_page_that_cannot_be_read_are_rescued(tmp_path):
    """Packs are larger than a page: they lie on pages of their own, which only their row leads to."""
    folder = tmp_path / "till"
    with Register.init(folder, name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        for _ in range(SALES):
            till.sell(["CM-19"], ["card"])
        log = till.replica.log
        with till.replica.store.transaction():
            while log.pack(4, log.end.seq):
                pass
    with closing(apsw.Connection(str(folder / STORE))) as connection:
        connection.pragma("wal_checkpoint(TRUNCATE)")
        assert connection.execute("SELECT count(*) FROM pack").fetchone()[0] > 10
    spoil(folder, "pack", 0, "internal")
    assert rescued(folder)[0] == ALL


def test_what_is_read_is_one_moment_of_a_till_that_sells_on(folder):
    with closing(Remains(folder / STORE)) as remains, Register.open(folder) as till:
        ((no, _),) = remains.shops()
        till.sell(["CM-19"], ["card"])
        seqs = [seq for seq, _, _ in remains.records(no)]
    assert seqs == sorted(set(seqs))
    assert remains.unreadable == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_bytes_that_changed_anywhere_never_keep_what_is_readable_from_being_rescued(folder, seed):
    """Tables that contradict one another in ways that no checksum covers: the records are there."""
    store, file = folder / STORE, folder.parent / "till.rescue"
    whole, chance = store.read_bytes(), random.Random(seed)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            page = chance.randrange(len(whole) // PAGE)
            damaged[page * PAGE + chance.choice((chance.randrange(120), chance.randrange(PAGE)))] = (
                chance.randrange(256)
            )
        store.write_bytes(damaged)
        for path in (store.with_name(f"{STORE}-wal"), store.with_name(f"{STORE}-shm"), file):
            path.unlink(missing_ok=True)
        with contextlib.suppress(CrdtsyncError):
            rescue(folder, file, 0)
