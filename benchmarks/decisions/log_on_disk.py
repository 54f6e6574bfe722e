"""What a log costs on disk: the figures of ``docs/decisions/log-on-disk.md``.

    python -m benchmarks.decisions.log_on_disk [--sales 2000] [--folder DIR]

Sales are made up (their size and variety are real, signatures random) and the same each time. Figures that
are compared are taken in turns, in one run, on one disk; medians over sales. On a disk whose fsync takes
milliseconds everything else disappears behind it: ``--folder /dev/shm`` shows what is left without any.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from crdtsync.ids import Item, next_hash
from crdtsync.storage.checksums import row_crc
from crdtsync.storage.pack import LEVEL, decode_pack, encode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain

SHOP, LOG = b"s" * 16, b"l" * 16
PAGE_BYTES = 4096
WAL_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
PACK_ROWS = 4096
LEVELS = (3, LEVEL, 12, 19)

_ROW = (
    "CREATE TABLE record (pos INTEGER PRIMARY KEY, document INTEGER NOT NULL, chain INTEGER, n INTEGER,"
    " origin INTEGER NOT NULL, origin_seq INTEGER NOT NULL, crc INTEGER NOT NULL, digest BLOB NOT NULL,"
    " prev BLOB, h BLOB NOT NULL, bytes BLOB) STRICT"
)
_INDEXES = (
    "CREATE UNIQUE INDEX by_digest ON record (digest)",
    "CREATE INDEX by_number ON record (chain, n)",
    "CREATE INDEX by_document ON record (document, pos)",
    "CREATE INDEX by_origin ON record (origin, origin_seq)",
)
_HEAD = "CREATE TABLE head (no INTEGER PRIMARY KEY, seq INTEGER, h BLOB) STRICT"


class Plain:
    """The same rows in a table of their own, written by plain SQL: nothing but the row, or an index for each
    question and a head that is written with every row.
    """

    def __init__(self, path: Path, *, indexed: bool) -> None:
        self.path = path
        self._connection = apsw.Connection(str(path))
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(_ROW)
        self._indexed = indexed
        for sql in (*_INDEXES, _HEAD, "INSERT INTO head VALUES (1, 0, NULL)") if indexed else ():
            self._connection.execute(sql)
        self._connection.execute("PRAGMA wal_autocheckpoint=0")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._seq = 0
        self._h = bytes(32)

    def commit(self, items: list[Item]) -> None:
        """Append in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        for item in items:
            self._insert(item)
        if self._indexed:
            self._connection.execute("UPDATE head SET seq = ?, h = ?", (self._seq, self._h))
        self._connection.execute("COMMIT")

    def _insert(self, item: Item) -> None:
        entry = item.entry
        assert entry is not None
        self._seq += 1
        self._h = next_hash(self._h, item.record)
        place = (self._seq, 1, 1, entry.n, 1, 0)
        crc = row_crc(*place, item.digest, entry.prev, self._h, item.record)
        row = (*place, crc, item.digest, entry.prev, self._h, item.record)
        self._connection.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        self._connection.close()


class Ours:
    """A store of crdtsync."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore(path)
        with self.store.transaction():
            self.log = self.store.create_shop(SHOP, LOG)
        self.store.connection.execute("PRAGMA wal_autocheckpoint=0")
        self.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def commit(self, items: list[Item]) -> None:
        """Append in one transaction."""
        with self.store.transaction():
            for item in items:
                self.log.append(item)

    def close(self) -> None:
        self.store.close()


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--sales", type=int, default=2000, help="committed one by one in each file")
    arguments.add_argument("--folder", type=Path, help="on which disk; by default the temporary folder")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        place = Path(folder)
        for lines in (
            sales_alone(place, given.sales),
            sales_together(place, given.sales),
            opening(place),
            packs(),
            packing(place),
        ):
            for line in lines:
                print(line, flush=True)


def sales_alone(place: Path, sales: int) -> Iterator[str]:
    """One sale per commit: pages of the file that change, and time against a bare insert."""
    files: dict[str, Plain | Ours] = {
        "bare insert": Plain(place / "bare", indexed=False),
        "an index per question": Plain(place / "indexed", indexed=True),
        "ours": Ours(place / "ours"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in files}
    used: dict[str, list[float]] = {name: [] for name in files}
    items = MadeUpChain(1).entries(sales)
    for item in items:
        for name, file in files.items():
            began = time.process_time()
            seconds[name].append(timed(file.commit, [item]))
            used[name].append(time.process_time() - began)
    bare, bare_used = (statistics.median(figures["bare insert"]) for figures in (seconds, used))
    yield f"{sales} sales of {mean_bytes(items):.0f} bytes, committed one by one with fsync"
    for name, file in files.items():
        median, cpu = statistics.median(seconds[name]), statistics.median(used[name])
        pages = wal_pages(file.path) / sales
        yield (
            f"  {name:<22} {pages:5.2f} pages, {median * 1000:6.3f} ms ({median / bare:4.2f} times bare),"
            f" {cpu * 1e6:4.0f} µs of processor time ({cpu / bare_used:4.2f} times bare)"
        )
        file.close()


def sales_together(place: Path, sales: int) -> Iterator[str]:
    """A hundred sales per commit: processor time of one."""
    for name, tills in (("one till", 1), ("50 tills in turn", 50)):
        file = Ours(place / f"together-{tills}")
        chains = [MadeUpChain(1 + number) for number in range(tills)]
        batches = [[chains[n % tills].entry() for n in range(100)] for _ in range(max(sales // 100, 10))]
        used = [timed(file.commit, batch, clock=time.process_time) / len(batch) for batch in batches]
        cpu = statistics.median(used)
        yield f"  {name:<22} 100 per commit: {cpu * 1e6:5.1f} µs of processor time per sale"
        file.close()


def opening(place: Path) -> Iterator[str]:
    """Opening a store and reading where its log ends."""
    for rows in (1_000, 100_000):
        path = place / f"opening-{rows}"
        file = Ours(path)
        chain = MadeUpChain(1)
        for _ in range(rows // 1000):
            file.commit([chain.entry() for _ in range(1000)])
        file.close()

        def reopen(path: Path = path) -> None:
            store = SqliteStore(path)
            assert store.shop(SHOP).end.seq > 0
            store.close()

        median = statistics.median(timed(reopen) for _ in range(20))
        yield f"  opening with {rows:>7} rows: {median * 1000:5.2f} ms"


def packs() -> Iterator[str]:
    """A pack of 4,096 sales, at several levels."""
    items = MadeUpChain(1).entries(PACK_ROWS)
    rows = [(seq, item.record) for seq, item in enumerate(items, 1)]
    yield f"a pack of {PACK_ROWS} sales of {mean_bytes(items):.0f} bytes"
    for level in LEVELS:
        began = time.process_time()
        blob = encode_pack(rows, level=level)
        packed = time.process_time()
        assert decode_pack(blob, bytes_max=1 << 30) == rows
        ms_pack, ms_unpack = (packed - began) * 1000, (time.process_time() - packed) * 1000
        yield (
            f"  zstd level {level:>2}: {len(blob) / PACK_ROWS:6.1f} bytes a sale,"
            f" {ms_pack:6.0f} ms to pack, {ms_unpack:4.0f} ms to unpack"
        )


def packing(place: Path) -> Iterator[str]:
    """Moving loose rows into a pack: how long the write lock is held."""
    file = Ours(place / "packing")
    for batch in range(PACK_ROWS // 512):
        file.commit(MadeUpChain(1 + batch).entries(512))
    prepared = file.log.prepare_pack(PACK_ROWS, PACK_ROWS)
    assert prepared is not None

    def store_pack() -> None:
        with file.store.transaction():
            assert file.log.store_pack(prepared)

    yield f"  storing it: {timed(store_pack) * 1000:.0f} ms in one transaction"
    file.close()


def timed(
    act: Callable[..., object], *given: object, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds that a call takes."""
    began = clock()
    act(*given)
    return clock() - began


def wal_pages(path: Path) -> int:
    """How many pages were written into the journal since it was last emptied."""
    size = path.with_name(path.name + "-wal").stat().st_size
    return (size - WAL_HEADER_BYTES) // (FRAME_HEADER_BYTES + PAGE_BYTES)


def mean_bytes(items: list[Item]) -> float:
    """Bytes of a record."""
    return statistics.mean(len(item.record) for item in items)


if __name__ == "__main__":
    main()
