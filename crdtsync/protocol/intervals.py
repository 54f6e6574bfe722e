"""Sets of whole numbers as lists of intervals, both ends included. Order is kept: it is the order of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
