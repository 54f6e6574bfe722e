"""How far a replica has what each register recorded: without a gap from its first entry on."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final

from crdtsync.model.entry import Entry, read_entry
from crdtsync.storage.log import Run, ShopLog

LOOKED_BACK_MAX: Final = 256
"""Entries without a ticket number that are looked through for the last one before them."""


@dataclass(frozen=True, slots=True)
class CompleteTo:
    """The last entry of a register up to which nothing is missing: its number along the chain, when its
    register made it (Unix ms, by its own clock), and the last ticket number up to there, None if none is
    near.
    """

    n: int
    at_ms: int
    number: str | None


Known = MutableMapping[tuple[bytes, bytes], tuple[bytes, CompleteTo] | None]
"""What an earlier look found, by chain and the link that its run ends with: those say it all."""


def complete_to(log: ShopLog, known: Known | None = None) -> dict[bytes, CompleteTo]:
    """By device, of its newest chain that begins here. O(chains), and with ``known``, which is kept up here,
    O(chains that grew). Of a chain that forked: up to the fork.

    Raises ``StorageError``.
    """
    found: dict[bytes, CompleteTo] = {}
    looked: dict[tuple[bytes, bytes], tuple[bytes, CompleteTo] | None] = {}
    for run in log.runs():
        if run.lo != 1:
            continue
        key = run.chain, run.hi_link
        looked[key] = known[key] if known is not None and key in known else _of_run(log, run)
        if (told := looked[key]) is None:
            continue
        device, complete = told
        if device not in found or found[device].at_ms < complete.at_ms:
            found[device] = complete
    if known is not None:
        known.clear()
        known.update(looked)
    return found


def _of_run(log: ShopLog, run: Run) -> tuple[bytes, CompleteTo] | None:
    """The device of a run that begins its chain, and up to where; None of an owner's."""
    first, last = _entry(log, run.chain, 1), _entry(log, run.chain, run.hi)
    if first is None or last is None or first.kind == "owner":
        return None
    return first.author, CompleteTo(run.hi, last.body["ts"], last_number(log, run.chain, run.hi))


def last_number(log: ShopLog, chain: bytes, n: int) -> str | None:
    """The last ticket number of a chain up to entry ``n``; None if none is near."""
    lowest, end, size = max(1, n - LOOKED_BACK_MAX), n, 1
    while end >= lowest:
        start = max(lowest, end - size + 1)
        for _, sealed in reversed(list(log.chain_entries(chain, start, end))):
            entry = read_entry(sealed)
            if entry.kind in ("sale", "refund") and entry.body["mode"] == "live":
                number: str = entry.body["num"]
                return number
        end, size = start - 1, 4 * size
    return None


def _entry(log: ShopLog, chain: bytes, n: int) -> Entry | None:
    found = log.entry(chain, n)
    return read_entry(found[0]) if found else None
