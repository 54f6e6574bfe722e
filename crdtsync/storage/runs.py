"""The runs of one chain, kept up to date entry by entry.

The held entries of a chain form a forest: each names the one before it by its link. A *run* is a maximal
path of that forest without a branch. So a run ends where nothing that follows is held, and also at an
entry which two or more held entries follow (a fork): each of those starts a run of its own with the same
``lo_prev``. The runs therefore depend on what is held, never on the order in which it arrived.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from crdtsync.ids import EntryFacts
from crdtsync.storage.log import Interval, Run

EntriesAt = Callable[[int], Sequence[tuple[bytes, bytes]]]
"""(link, prev) of the entries held under one number of the chain."""


def add_entry(runs: Sequence[Run], entry: EntryFacts, entries_at: EntriesAt) -> tuple[list[Run], list[Run]]:
    """What changes in the ``runs`` of a chain when ``entry``, which is not held yet, is added.

    Returns the runs that go and the runs that come. ``entries_at`` is asked only where the entry may branch
    off inside a run.
    """
    chain, n = entry.chain, entry.n
    before = _run_with(runs, n - 1, entry.prev, entries_at)
    gone: list[Run] = []
    new: list[Run] = []
    lo, lo_prev = n, entry.prev
    if before is not None and before.hi > n - 1:
        gone.append(before)
        new.append(Run(chain, before.lo, before.lo_prev, n - 1, entry.prev))
        new.append(Run(chain, n, entry.prev, before.hi, before.hi_link))
    elif before is not None and not _followers(runs, n, entry.prev):
        gone.append(before)
        lo, lo_prev = before.lo, before.lo_prev
    after = _followers(runs, n + 1, entry.link)
    if len(after) == 1:
        gone.append(after[0])
        new.append(Run(chain, lo, lo_prev, after[0].hi, after[0].hi_link))
    else:
        new.append(Run(chain, lo, lo_prev, n, entry.link))
    return gone, new


def continued(runs: Sequence[Run], entry: EntryFacts) -> Run | None:
    """The common case: the one run of a chain, longer by the entry that follows it. None in any other."""
    if len(runs) != 1:
        return None
    run = runs[0]
    if run.hi != entry.n - 1 or run.hi_link != entry.prev:
        return None
    return Run(run.chain, run.lo, run.lo_prev, entry.n, entry.link)


def runs_of(entries: Iterable[EntryFacts]) -> list[Run]:
    """The runs of a whole chain's held entries."""
    runs: list[Run] = []
    held: dict[int, list[tuple[bytes, bytes]]] = {}
    for entry in sorted(entries, key=lambda entry: entry.n):
        longer = continued(runs, entry)
        if longer is not None:
            runs[0] = longer
        else:
            gone, new = add_entry(runs, entry, lambda n: held.get(n, []))
            runs = [run for run in runs if run not in gone] + new
        held.setdefault(entry.n, []).append((entry.link, entry.prev))
    return runs


def arrivals(entries: Iterable[EntryFacts]) -> dict[bytes, list[Run]]:
    """Per chain the entries as unbroken runs, in the order in which they come."""
    arrived: dict[bytes, list[Run]] = {}
    open_runs: dict[bytes, tuple[int, bytes, int, bytes]] = {}
    for entry in entries:
        chain, n = entry.chain, entry.n
        run = open_runs.get(chain)
        if run is not None and run[2] == n - 1 and run[3] == entry.prev:
            open_runs[chain] = (run[0], run[1], n, entry.link)
            continue
        if run is not None:
            arrived.setdefault(chain, []).append(Run(chain, *run))
        open_runs[chain] = (n, entry.prev, n, entry.link)
    for chain, run in open_runs.items():
        arrived.setdefault(chain, []).append(Run(chain, *run))
    return arrived


def with_arrivals(runs: Sequence[Run], arrived: Iterable[Run]) -> list[Run] | None:
    """The runs of a chain once these come to it; None where they have a number that is held, or that two of
    them have: then it takes looking at each entry (``add_entry``).
    """
    found = list(runs)
    for run in arrived:
        if any(run.lo <= other.hi and other.lo <= run.hi for other in found):
            return None
        before = [other for other in found if other.hi == run.lo - 1 and other.hi_link == run.lo_prev]
        after = _followers(found, run.hi + 1, run.hi_link)
        lo, lo_prev, hi, hi_link = run.lo, run.lo_prev, run.hi, run.hi_link
        for other in before:
            found.remove(other)
            lo, lo_prev = other.lo, other.lo_prev
        if len(after) == 1:
            found.remove(after[0])
            hi, hi_link = after[0].hi, after[0].hi_link
        found.append(Run(run.chain, lo, lo_prev, hi, hi_link))
    return found


def covers(runs: Sequence[Run], n: int) -> bool:
    """Whether an entry with number ``n`` is held."""
    return any(run.lo <= n <= run.hi for run in runs)


def by_place(run: Run) -> tuple[bytes, int, bytes]:
    """The order in which runs are listed."""
    return (run.chain, run.lo, run.hi_link)


def merged(intervals: Sequence[Interval]) -> list[Interval]:
    """The same numbers as disjoint ascending intervals."""
    joined: list[Interval] = []
    for lo, hi in sorted(intervals):
        if joined and lo <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(hi, joined[-1][1]))
        else:
            joined.append((lo, hi))
    return joined


def inside(intervals: Sequence[Interval], n: int) -> bool:
    """Whether ``n`` lies in one of the intervals, which are ``merged``."""
    place = bisect_right(intervals, n, key=lambda interval: interval[0])
    return place > 0 and n <= intervals[place - 1][1]


def _followers(runs: Sequence[Run], n: int, prev: bytes) -> list[Run]:
    return [run for run in runs if run.lo == n and run.lo_prev == prev]


def _run_with(runs: Sequence[Run], n: int, link: bytes, entries_at: EntriesAt) -> Run | None:
    """The run that holds the entry ``link`` as its number ``n``, if there is one."""
    inside: list[Run] = []
    tips = 0
    for run in runs:
        if run.hi == n:
            if run.hi_link == link:
                return run
            tips += 1
        elif run.lo <= n < run.hi:
            inside.append(run)
    if not inside or all(held != link for held, _ in entries_at(n)):
        return None
    if len(inside) == 1 and not tips:
        return inside[0]
    return _follow_to_tip(inside, n, link, entries_at)


def _follow_to_tip(inside: Sequence[Run], n: int, link: bytes, entries_at: EntriesAt) -> Run | None:
    """Follow an entry upwards until it turns out which of several runs it belongs to."""
    while True:
        for run in inside:
            if run.hi == n and run.hi_link == link:
                return run
        n += 1
        nexts = [held for held, prev in entries_at(n) if prev == link]
        if len(nexts) != 1:
            return None
        link = nexts[0]
