"""Rows are read from leaf pages alone, as SQLite itself reads them, whatever is wrong with the others."""

import random
from contextlib import closing

import apsw
import pytest

from crdtsync.storage.leaf_pages import Leaves

COLUMNS = 6


def made(chance, rows, page):
    """A table with values of all kinds, some longer than a page; its image, rows and inner pages."""
    with closing(apsw.Connection(":memory:")) as store:
        store.pragma("page_size", page)
        store.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER, b BLOB, s TEXT, o BLOB, z INTEGER)")
        store.execute(
            "CREATE TABLE other (k INTEGER PRIMARY KEY, b BLOB); INSERT INTO other VALUES (1, x'00')"
        )
        kept = []
        for key in sorted(chance.sample(range(-(1 << 40), 1 << 62), rows)):
            n = chance.choice((0, 1, -1, 127, -129, 1 << 22, -(1 << 30), 1 << 46, -(1 << 62), None))
            size = chance.choice((0, 1, 60, page - 40, page - 35, page, 3 * page, 20 * page))
            kept.append((key, n, chance.randbytes(size), "é" * chance.randrange(90), None, 1))
        store.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", kept)
        store.execute("CREATE VIRTUAL TABLE temp.pages USING dbstat(main)")
        sql = "SELECT pageno FROM pages WHERE name = 't' AND pagetype = 'internal'"
        return store.serialize("main"), kept, [number for (number,) in store.execute(sql)]


def spoiled(image, page, numbers):
    broken = bytearray(image)
    for number in numbers:
        broken[(number - 1) * page : number * page] = b"\xa5" * page
    return bytes(broken)


@pytest.mark.parametrize("seed", range(12))
def test_every_row_is_read_as_it_was_written_though_no_inner_page_is_left(seed):
    chance = random.Random(seed)
    page = chance.choice((512, 1024, 4096, 65536))
    image, kept, inner = made(chance, chance.choice((3, 40, 200)), page)
    for one in (image, spoiled(image, page, inner)):
        assert sorted(Leaves(one).rows(COLUMNS)) == kept
    assert [row for row in Leaves(image).rows(2) if row[1] == b"\0"] == [(1, b"\0")]


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_makes_it_fail_or_run_on(seed):
    chance = random.Random(seed)
    image, kept, _ = made(random.Random(1), 40, 512)
    broken = bytearray(image)
    for _ in range(chance.choice((1, 5, 200))):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    broken = broken[: chance.choice((0, 1, 90, 600, len(broken)))]
    assert len(list(Leaves(bytes(broken)).rows(COLUMNS))) <= 40 * len(kept)


def test_a_chain_of_pages_that_leads_back_to_itself_ends():
    image, kept, _ = made(random.Random(1), 40, 512)
    broken = bytearray(image)
    for number in range(2, len(image) // 512 + 1):
        start = (number - 1) * 512
        if broken[start] not in (0x02, 0x05, 0x0A, 0x0D):
            broken[start : start + 4] = number.to_bytes(4, "big")
    assert len(list(Leaves(bytes(broken)).rows(COLUMNS))) <= len(kept)
