from hypothesis import given
from hypothesis import strategies as st

from crdtsync.protocol.intervals import common, count, difference, joined, overlaps, subtract

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


def sorted_apart(found):
    return joined(found, len(found) + 1)


@given(intervals, intervals)
def test_what_is_common_and_what_is_not_are_those_of_the_sets(left, right):
    left, right = sorted_apart(left), sorted_apart(right)
    assert numbers(common(left, right)) == numbers(left) & numbers(right)
    assert numbers(difference(left, right)) == numbers(left) - numbers(right)


@given(intervals, intervals)
def test_what_is_left_of_ascending_intervals_ascends_and_is_apart(left, right):
    found = difference(sorted_apart(left), sorted_apart(right))
    assert len(numbers(found)) == count(found)
    assert found == sorted(found)


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
