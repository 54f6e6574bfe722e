"""What two replicas hold of the chains, told in a few bytes each, and what follows from it.

*Covered* has one meaning: the peer holds this exact link, or it is an ancestor, over an unbroken run, of a
link that both hold. A number never covers anything: after a restored disk two entries can have the same.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from crdtsync.protocol.intervals import Interval, subtract
from crdtsync.protocol.limits import MARKS_MAX
from crdtsync.protocol.messages import HeldRun


class Run(Protocol):
    """An unbroken run of held entries of one chain, as the log knows it."""

    @property
    def chain(self) -> bytes: ...
    @property
    def lo(self) -> int: ...
    @property
    def hi(self) -> int: ...
    @property
    def hi_link(self) -> bytes: ...


LinksAt = Callable[[bytes, int], Sequence[bytes]]
"""The links held here as number n of a chain: normally one, several after a fork."""


def root_digest(runs: Iterable[Run]) -> bytes:
    """One hash of everything that is held of all chains; equal on replicas that hold the same entries."""
    digest = hashlib.sha256()
    for chain, lo, hi, link in sorted((run.chain, run.lo, run.hi, run.hi_link) for run in runs):
        digest.update(chain + lo.to_bytes(8, "big") + hi.to_bytes(8, "big") + link)
    return digest.digest()


def describe(runs: Sequence[Run], links_at: LinksAt) -> list[HeldRun]:
    """What to tell a peer of the runs held here."""
    clear = _clear_intervals(runs)
    described = []
    for run in runs:
        marks = [(run.hi, run.hi_link)]
        distance = 1
        while run.hi - distance >= run.lo and len(marks) < MARKS_MAX:
            n = run.hi - distance
            links = links_at(run.chain, n) if _within(clear[run.chain], n) else ()
            if len(links) == 1:
                marks.append((n, links[0]))
            distance = 2 * distance + 1
        described.append(HeldRun(run.chain, run.lo, run.hi, tuple(marks)))
    return described


def covered(runs: Sequence[Run], peer: Iterable[HeldRun], links_at: LinksAt) -> dict[bytes, list[Interval]]:
    """Per chain the numbers of entries held here that the peer holds too.

    Numbers that several runs of ours share (a fork) are left out, so that they are sent: the receiver drops
    by link what it has.
    """
    mine: dict[bytes, list[Run]] = defaultdict(list)
    for run in runs:
        mine[run.chain].append(run)
    clear = _clear_intervals(runs)
    found: dict[bytes, list[Interval]] = defaultdict(list)
    for theirs in peer:
        for n, link in sorted(theirs.marks, reverse=True):
            holding = next((r for r in mine[theirs.chain] if r.lo <= n <= r.hi), None)
            if holding is None or not theirs.lo <= n <= theirs.hi or not _within(clear[theirs.chain], n):
                continue
            # Two links where the runs knew of one: a branch has come in since they were read.
            if list(links_at(theirs.chain, n)) == [link]:
                lo = max(holding.lo, theirs.lo)
                found[theirs.chain] += [
                    (max(lo, a), min(n, b)) for a, b in clear[theirs.chain] if a <= n and b >= lo
                ]
                break
    return dict(found)


def _within(intervals: Sequence[Interval], n: int) -> bool:
    return any(lo <= n <= hi for lo, hi in intervals)


def _clear_intervals(runs: Sequence[Run]) -> dict[bytes, list[Interval]]:
    """Per chain the numbers that exactly one run holds."""
    by_chain: dict[bytes, list[Run]] = defaultdict(list)
    for run in runs:
        by_chain[run.chain].append(run)
    clear: dict[bytes, list[Interval]] = defaultdict(list)
    for chain, chain_runs in by_chain.items():
        for run in chain_runs:
            alone: list[Interval] = [(run.lo, run.hi)]
            for other in chain_runs:
                if other is not run:
                    alone = subtract(alone, (other.lo, other.hi))
            clear[chain] += alone
    return clear
