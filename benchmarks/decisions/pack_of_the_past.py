"""What a pack of the past costs a new register, row by row and as it came: figures of
``docs/decisions/packs-stored-as-they-came.md``.

    python -m benchmarks.decisions.pack_of_the_past [--sales 4096] [--repeats 5]

Sales are made up (their size and variety are real, signatures random), of one till. Microseconds of processor
time of the thread per sale; the least of several repeats, taken in turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from crdtsync.ids import Item, Origin
from crdtsync.storage.log import ShopLog
from crdtsync.storage.pack import decode_pack, encode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain

SHOP, LOG, PEER = b"s" * 16, b"l" * 16, b"p" * 16
ROWS_PER_TRANSACTION = 512


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.pack_of_the_past")
    parser.add_argument("--sales", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    made = MadeUpChain(1).entries(options.sales)
    items = [replace(item, origin=Origin(PEER, seq)) for seq, item in enumerate(made, start=1)]
    blob = encode_pack([(seq, item.record) for seq, item in enumerate(items, start=1)])
    ways: dict[str, Callable[[Past], None]] = {
        "unpack": lambda past: past.unpack(blob),
        "append singly, 512 in a transaction": lambda past: past.append_singly(items),
        "and pack them afterwards": lambda past: past.pack(items),
        "append the pack as it came": lambda past: past.append_pack(blob, items),
        "look for what a peer lacks, in rows that came from it": lambda past: past.look(),
    }
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="crdtsync-past-") as folder:
        for repeat in range(options.repeats):
            past = Past(Path(folder) / str(repeat))
            for name, do in ways.items():
                began_s = time.thread_time()
                do(past)
                taken.setdefault(name, []).append(time.thread_time() - began_s)
            past.close()
    size = sum(len(item.record) for item in items) / len(items)
    print(f"{len(items)} sales of {size:.0f} bytes, a pack of {len(blob):,} bytes; µs per sale")
    for name, seconds in taken.items():
        print(f"  {name:<56} {min(seconds) / len(items) * 1e6:6.1f}")


class Past:
    """Two stores that are given the same past, one singly and one as a pack."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._singly, self._packed = SqliteStore(folder / "singly.db"), SqliteStore(folder / "packed.db")
        for store in (self._singly, self._packed):
            with store.transaction():
                store.create_shop(SHOP, LOG)

    def unpack(self, blob: bytes) -> None:
        """What both ways begin with."""
        decode_pack(blob, bytes_max=64 << 20)

    def append_singly(self, items: list[Item]) -> None:
        """A row of the disk for each."""
        for first in range(0, len(items), ROWS_PER_TRANSACTION):
            with self._singly.transaction():
                for item in items[first : first + ROWS_PER_TRANSACTION]:
                    self._log(self._singly).append(item)

    def pack(self, items: list[Item]) -> None:
        """As upkeep does it, sooner or later."""
        log = self._log(self._singly)
        prepared = log.prepare_pack(len(items), log.end.seq, rows_min=1)
        if prepared is None:
            raise AssertionError("there are rows to pack")
        with self._singly.transaction():
            log.store_pack(prepared)

    def append_pack(self, blob: bytes, items: list[Item]) -> None:
        """One row of the disk for all."""
        with self._packed.transaction():
            if self._log(self._packed).append_pack(blob, items) is None:
                raise AssertionError("nothing of it is held")

    def look(self) -> None:
        """What a session does after each commit, to send on what is news to its peer."""
        log = self._log(self._packed)
        log.read(0, bytes_max=128 << 10, skip_origin=Origin(PEER, 1 << 40))

    def close(self) -> None:
        """Close both."""
        self._singly.close()
        self._packed.close()

    def _log(self, store: SqliteStore) -> ShopLog:
        return store.shop(SHOP)


if __name__ == "__main__":
    main()
