"""A long history put into a relay's log in bulk: in packs, as a register takes the past that comes to it.

To append a million entries row by row, and then to pack the rows, takes more than ten minutes. Here a process
beside the one that writes packs the entries, and the log appends each pack as it came
(``ShopLog.append_pack``). That gives the same log: the same numbers, hashes, runs and totals.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.driver.chains import read_days
from crdtsync.ids import Item
from crdtsync.storage.log import LOOSE_BEFORE_PACK_MAX, ShopLog, Store
from crdtsync.storage.pack import encode_pack

PACK_ROWS: Final = 4096
LOOSE_ROWS: Final = 4096
"""As the relay packs by itself while it is served; a history that was just written has not been served."""

PACKS_AHEAD: Final = 8
"""How many packs wait to be appended, so that neither process waits for the other."""


def append_history(
    store: Store, log: ShopLog, paths: Sequence[Path], *, pack_rows: int = PACK_ROWS
) -> Iterator[list[Item]]:
    """Append the entries of these chains: packs of so many, each with at least so many others behind it that
    stay loose. The entries of each transaction are given back while it is still open.
    """
    pack_what_is_loose(store, log)
    packs: Any = multiprocessing.get_context("spawn").Queue(PACKS_AHEAD)
    packing = multiprocessing.get_context("spawn").Process(
        target=_pack, args=(list(paths), pack_rows, packs), daemon=True
    )
    packing.start()
    items = _in_turn(paths)
    while (blob := packs.get()) is not None:
        chunk = list(islice(items, pack_rows))
        with store.transaction():
            if log.append_pack(blob, chunk) is None:
                raise AssertionError("a pack of new entries was not appended")
            yield chunk
    packing.join()
    while chunk := list(islice(items, pack_rows)):
        with store.transaction():
            for item in chunk:
                log.append(item)
            yield chunk


def pack_what_is_loose(store: Store, log: ShopLog) -> None:
    """Packs are the beginning of a log: what is loose before them is packed first, but for the few rows with
    which ``append_pack`` deals itself.
    """
    rows = PACK_ROWS
    while rows >= LOOSE_BEFORE_PACK_MAX:
        with store.transaction():
            was_packed = log.pack(rows, log.end.seq)
        rows = rows if was_packed else rows // 2


def _pack(paths: Sequence[Path], rows: int, packs: Any) -> None:
    """Hand over a pack for each ``rows`` entries that have as many others behind them, then None."""
    items = _in_turn(paths)
    chunk = list(islice(items, rows))
    while len(following := list(islice(items, rows))) == rows:
        packs.put(encode_pack([(seq, item.record) for seq, item in enumerate(chunk, 1)]))
        chunk = following
    packs.put(None)


def _in_turn(paths: Sequence[Path]) -> Iterator[Item]:
    """Entries in the order in which they would have come in."""
    for of_day in zip(*map(read_days, paths), strict=True):
        for turn in range(max(map(len, of_day))):
            yield from (entries[turn] for entries in of_day if turn < len(entries))
