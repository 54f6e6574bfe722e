"""What two replicas hold of the chains, told in a few bytes each, and what follows from it.

*Covered* has one meaning: the peer holds this exact link, or it is an ancestor, over an unbroken run, of a
link that both hold. A number never covers anything: after a restored disk two entries can have the same.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from crdtsync.protocol.intervals import Interval
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


def describe(runs: Sequence[Run], links_at: LinksAt) -> Iterator[HeldRun]:
    """What to tell a peer of the runs held here. Links are looked up as it goes."""
    clear = {chain: _clear_intervals(of_chain) for chain, of_chain in _by_chain(runs).items()}
    for run in runs:
        marks = [(run.hi, run.hi_link)]
        distance = 1
        while run.hi - distance >= run.lo and len(marks) < MARKS_MAX:
            n = run.hi - distance
            links = links_at(run.chain, n) if _place(clear[run.chain], n) is not None else ()
            if len(links) == 1:
                marks.append((n, links[0]))
            distance = 2 * distance + 1
        yield HeldRun(run.chain, run.lo, run.hi, tuple(marks))


def covered(runs: Sequence[Run], peer: Iterable[HeldRun], links_at: LinksAt) -> dict[bytes, list[Interval]]:
    """Per chain the numbers of entries held here that the peer holds too.

    Numbers that several runs of ours share (a fork) are left out, so that they are sent: the receiver drops
    by link what it has. O(both), whatever holes and forks there are.
    """
    clear = {chain: _clear_intervals(of_chain) for chain, of_chain in _by_chain(runs).items()}
    found: dict[bytes, list[Interval]] = defaultdict(list)
    for theirs in peer:
        stretches = clear.get(theirs.chain, [])
        for n, link in sorted(theirs.marks, reverse=True):
            place = _place(stretches, n)
            if place is None or not theirs.lo <= n <= theirs.hi:
                continue
            # Two links where the runs knew of one: a branch has come in since they were read.
            if list(links_at(theirs.chain, n)) == [link]:
                found[theirs.chain] += _backwards(stretches, place, n, theirs.lo)
                break
    return dict(found)


def _backwards(stretches: Sequence[_Stretch], place: int, n: int, peer_lo: int) -> list[Interval]:
    """The clear numbers from ``n`` back to where its run, or the peer's, begins."""
    lo = max(stretches[place].run.lo, peer_lo)
    found = []
    while place >= 0 and stretches[place].hi >= lo:
        found.append((max(lo, stretches[place].lo), min(n, stretches[place].hi)))
        place -= 1
    return found[::-1]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Numbers that ``run`` alone holds."""

    lo: int
    hi: int
    run: Run


def _by_chain(runs: Sequence[Run]) -> dict[bytes, list[Run]]:
    by_chain: dict[bytes, list[Run]] = defaultdict(list)
    for run in runs:
        by_chain[run.chain].append(run)
    return by_chain


def _clear_intervals(runs: Sequence[Run]) -> list[_Stretch]:
    """The numbers that exactly one of the runs of a chain holds, ascending. O(n log n): whoever makes holes
    or forks by the thousand must not be able to stop everybody.
    """
    turns = sorted({run.lo for run in runs} | {run.hi + 1 for run in runs})
    begin, end = defaultdict(list), defaultdict(list)
    for place, run in enumerate(runs):
        begin[run.lo].append(place)
        end[run.hi + 1].append(place)
    open_runs: set[int] = set()
    clear = []
    for lo, after in pairwise(turns):
        open_runs.difference_update(end[lo])
        open_runs.update(begin[lo])
        if len(open_runs) == 1:
            clear.append(_Stretch(lo, after - 1, runs[next(iter(open_runs))]))
    return clear


def _place(stretches: Sequence[_Stretch], n: int) -> int | None:
    """The stretch that has the number ``n``."""
    place = bisect_right(stretches, n, key=lambda stretch: stretch.lo) - 1
    return place if place >= 0 and n <= stretches[place].hi else None
