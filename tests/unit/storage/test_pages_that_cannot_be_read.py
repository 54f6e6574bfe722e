"""Whichever pages of a store cannot be read, every row of the others is read, once and in order."""

import random
from contextlib import closing

import apsw
import pytest

from crdtsync.storage.damaged_tables import DamagedTables

LOW, PAGE = 1 << 40, 4096


def made(path, chance, rows, shops=1):
    """A table like that of a store, and the pages of its rows."""
    with closing(apsw.Connection(str(path))) as store:
        store.pragma("page_size", PAGE)
        store.execute("CREATE TABLE record (pos INTEGER PRIMARY KEY, bytes BLOB); BEGIN")
        for n in range(rows * shops):
            size, pos = chance.choice((40, 400, 900, 9000)), LOW * (1 + n // rows) + 1 + n % rows
            store.execute("INSERT INTO record VALUES (?, ?)", (pos, chance.randbytes(size)))
        store.execute("COMMIT")
        sql = "SELECT pageno FROM dbstat WHERE name = 'record' AND pagetype = 'leaf' ORDER BY path"
        return [page for (page,) in store.execute(sql)]


def break_pages(path, pages):
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(b"\xa5" * PAGE)


def read_singly(path, rows):
    """The rows that can be read, asked for one by one."""
    found = []
    with closing(apsw.Connection(str(path))) as store:
        for pos in range(LOW + 1, LOW + 1 + rows):
            try:
                found += store.execute("SELECT pos, bytes FROM record WHERE pos = ?", (pos,)).fetchall()
            except apsw.Error:
                continue
    return found


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 12))]
)
def test_every_row_of_the_other_pages_is_read(tmp_path, seed):
    chance, path = random.Random(seed), tmp_path / "store"
    rows = chance.choice((60, 500, 1500))
    leaves = made(path, chance, rows)
    broken = chance.sample(leaves[:-1], min(len(leaves) - 1, chance.choice((1, 2, 3, 8))))
    break_pages(path, broken + leaves[-1:] * (seed % 3 == 0))
    left = read_singly(path, rows)
    with closing(apsw.Connection(str(path))) as store:
        tables = DamagedTables(store)
        assert list(tables.rows("record", "pos, bytes", LOW, 2 * LOW)) == left != []
        assert tables.lost
        assert tables.without_end == ({"record"} if seed % 3 == 0 else set())


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(2))
def test_a_page_that_holds_the_leap_to_the_next_shop_ends_no_reading(tmp_path, seed):
    chance, path, rows = random.Random(seed), tmp_path / "store", 30
    leaves = made(path, chance, rows, shops=2)
    for broken in leaves:
        copy = tmp_path / f"without-{broken}"
        copy.write_bytes(path.read_bytes())
        break_pages(copy, [broken])
        with closing(apsw.Connection(str(copy))) as store:
            read = [pos for pos, _bytes in DamagedTables(store).rows("record", "pos, bytes", 0, 1 << 62)]
            whole = [LOW * shop + n for shop in (1, 2) for n in range(1, rows + 1)]
            assert read == sorted(set(read))
            assert set(read) == {pos for pos in whole if can_be_read(store, pos)}


def can_be_read(store, pos):
    try:
        return bool(store.execute("SELECT bytes FROM record WHERE pos = ?", (pos,)).fetchall())
    except apsw.Error:
        return False
