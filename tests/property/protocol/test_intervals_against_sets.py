from hypothesis import given
from hypothesis import strategies as st

from crdtsync.protocol.intervals import count, intersect, joined, overlaps, subtract

interval = st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))
intervals = st.lists(interval, max_size=8)


def numbers(found):
    return {n for lo, hi in found for n in range(lo, hi + 1)}


@given(intervals, interval)
def test_subtracting_is_the_difference_of_sets(work, gone):
    assert numbers(subtract(work, gone)) == numbers(work) - numbers([gone])


@given(intervals, interval)
def test_what_is_left_keeps_its_order(work, gone):
    flat = [n for lo, hi in work for n in range(lo, hi + 1) if n not in numbers([gone])]
    assert [n for lo, hi in subtract(work, gone) for n in range(lo, hi + 1)] == flat


@given(intervals, interval)
def test_intersecting_is_the_intersection_of_sets(work, part):
    assert numbers(intersect(work, part)) == numbers(work) & numbers([part])


@given(intervals, interval)
def test_to_overlap_is_to_have_a_number_in_common(work, part):
    assert overlaps(work, part) == bool(numbers(work) & numbers([part]))


@given(intervals, st.integers(1, 9))
def test_joining_loses_no_number_and_keeps_the_bound(work, count_max):
    found = joined(work, count_max)
    assert numbers(found) >= numbers(work)
    assert len(found) <= count_max
    assert found == sorted(found)


@given(intervals)
def test_joining_adds_nothing_where_there_is_room(work):
    found = joined(work, len(work) + 1)
    assert numbers(found) == numbers(work)
    assert count(found) == len(numbers(work))
