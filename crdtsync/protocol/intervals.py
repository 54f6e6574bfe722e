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


def common(left: Sequence[Interval], right: Sequence[Interval]) -> list[Interval]:
    """What two ascending lists of disjoint intervals have in common. O(both)."""
    found, a, b = [], 0, 0
    while a < len(left) and b < len(right):
        lo, hi = max(left[a][0], right[b][0]), min(left[a][1], right[b][1])
        if lo <= hi:
            found.append((lo, hi))
        if left[a][1] < right[b][1]:
            a += 1
        else:
            b += 1
    return found


def difference(left: Sequence[Interval], right: Sequence[Interval]) -> list[Interval]:
    """What is in ``left`` and not in ``right``, both ascending and disjoint. O(both)."""
    left_over, b = [], 0
    for lo, hi in left:
        while b < len(right) and right[b][1] < lo:
            b += 1
        start, place = lo, b
        while place < len(right) and right[place][0] <= hi:
            if start < right[place][0]:
                left_over.append((start, right[place][0] - 1))
            start = right[place][1] + 1
            place += 1
        b = max(b, place - 1)
        if start <= hi:
            left_over.append((start, hi))
    return left_over


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
