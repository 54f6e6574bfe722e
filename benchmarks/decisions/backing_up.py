"""What a backup of a relay costs, the first time and repeated: figures of the decision on backups.

    python -m benchmarks.decisions.backing_up

A store of made-up sales, packed as a relay packs them, in a temporary folder. The bound is a plain copy of
the store with fsync in the same run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain
from crdtsync_server.backups.backup import back_up
from crdtsync_server.backups.restore import restore_from
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened

SALES = 200_000
A_DAY = 1000
LOOSE = 3000
"""Rows that are not packed yet."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        root, file = Path(folder) / "relay", Path(folder) / "relay.backup"
        chain, shop = MadeUpChain(1), make_shop(root)
        sell(root, shop, chain, SALES)
        size = (root / "relay.sqlite").stat().st_size
        print(f"{SALES} sales, {size / 1e6:.1f} MB on disk")
        print(f"plain copy with fsync: {copied(root / 'relay.sqlite', Path(folder) / 'copy'):.2f} s")
        tell("first backup", root, file)
        tell("again, nothing new", root, file)
        sell(root, shop, chain, A_DAY)
        tell(f"again, after a day of {A_DAY} sales, which were packed", root, file)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        restore_from(file, Path(folder) / "new", new_key=True)
        cpu_s = time.process_time() - began_cpu_s
        print(
            f"restore-from, every row checked: {time.perf_counter() - began_s:.2f} s,"
            f" {cpu_s:.2f} s of a processor"
        )


def make_shop(root: Path) -> bytes:
    """A relay with one shop."""
    with opened(root, create=True) as (access, store):
        return access.create_shop(store, "Cave").id


def sell(root: Path, shop: bytes, chain: MadeUpChain, count: int) -> None:
    """More sales, packed but for the newest."""
    store = SqliteStore(root / "relay.sqlite")
    log = store.shop(shop)
    for _ in range(count // 100):
        with store.transaction():
            for item in chain.entries(100):
                log.append(item)
    while True:
        with store.transaction():
            if not log.pack(1000, log.end.seq - LOOSE):
                break
    store.close()


def copied(path: Path, to: Path) -> float:
    """Seconds to copy a file and bring it to the disk."""
    began_s = time.perf_counter()
    shutil.copyfile(path, to)
    with to.open("rb") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - began_s


def tell(what: str, root: Path, file: Path) -> None:
    """Make a backup and print what it took."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    report = back_up(DataFolder(root), file)
    cpu_s = time.process_time() - began_cpu_s
    print(
        f"{what}: {time.perf_counter() - began_s:.2f} s, {cpu_s:.2f} s of a processor,"
        f" {report.written_bytes / 1e3:,.0f} kB written, {report.file_bytes / 1e6:.1f} MB in all"
    )


if __name__ == "__main__":
    main()
