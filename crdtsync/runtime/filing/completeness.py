"""How far a replica has what each register recorded: without a gap from its first entry on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from crdtsync.model.entry import Entry, read_entry
from crdtsync.storage.log import ShopLog

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


def complete_to(log: ShopLog) -> dict[bytes, CompleteTo]:
    """By device, of its newest chain that begins here. O(chains). Of a chain that forked: up to the fork.

    Raises ``StorageError``.
    """
    found: dict[bytes, CompleteTo] = {}
    for run in log.runs():
        first = _entry(log, run.chain, 1) if run.lo == 1 else None
        last = _entry(log, run.chain, run.hi) if first is not None else None
        if first is None or last is None or first.kind == "owner":
            continue
        known = found.get(first.author)
        if known is None or known.at_ms < last.body["ts"]:
            found[first.author] = CompleteTo(run.hi, last.body["ts"], last_number(log, run.chain, run.hi))
    return found


def last_number(log: ShopLog, chain: bytes, n: int) -> str | None:
    """The last ticket number of a chain up to entry ``n``; None if none is near."""
    for _, sealed in reversed(list(log.chain_entries(chain, max(1, n - LOOKED_BACK_MAX), n))):
        entry = read_entry(sealed)
        if entry.kind in ("sale", "refund") and entry.body["mode"] == "live":
            number: str = entry.body["num"]
            return number
    return None


def _entry(log: ShopLog, chain: bytes, n: int) -> Entry | None:
    found = log.entry(chain, n)
    return read_entry(found[0]) if found else None
