"""Sets of whole numbers as lists of intervals, both ends included. Order is kept: it is the order of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

Interval = tuple[int, int]


def subtract(intervals: Iterable[Interval], gone: Interval) -> list[Interval]:
    """What is left of ``intervals`` without ``gone``."""
    left = []
    for lo, hi in intervals:
        if gone[1] < lo or hi < gone[0]:
            left.append((lo, hi))
            continue
        if lo < gone[0]:
            left.append((lo, gone[0] - 1))
        if gone[1] < hi:
            left.append((gone[1] + 1, hi))
    return left


def intersect(intervals: Iterable[Interval], part: Interval) -> list[Interval]:
    """What ``intervals`` and ``part`` have in common."""
    common = ((max(lo, part[0]), min(hi, part[1])) for lo, hi in intervals)
    return [(lo, hi) for lo, hi in common if lo <= hi]


def overlaps(intervals: Sequence[Interval], part: Interval) -> bool:
    """Whether ``part`` has a number in common with any of ``intervals``."""
    return any(lo <= part[1] and part[0] <= hi for lo, hi in intervals)


def count(intervals: Iterable[Interval]) -> int:
    """How many numbers there are in disjoint ``intervals``."""
    return sum(hi - lo + 1 for lo, hi in intervals)


def joined(intervals: Iterable[Interval], count_max: int) -> list[Interval]:
    """The same numbers in order and in at most ``count_max`` intervals: the smallest gaps are included."""
    runs: list[Interval] = []
    for lo, hi in sorted(intervals):
        if runs and lo <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(hi, runs[-1][1]))
        else:
            runs.append((lo, hi))
    gaps = [after[0] - before[1] for before, after in pairwise(runs)]
    kept = sorted(sorted(range(len(gaps)), key=gaps.__getitem__, reverse=True)[: count_max - 1])
    starts = [0, *(place + 1 for place in kept)]
    ends = [*kept, len(runs) - 1]
    return [(runs[a][0], runs[b][1]) for a, b in zip(starts, ends, strict=True)] if runs else []
