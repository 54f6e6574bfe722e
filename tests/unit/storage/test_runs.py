"""The parts of which the runs of a chain are made, one by one."""

import random

import pytest

from crdtsync.ids import EntryFacts
from crdtsync.storage.log import Run
from crdtsync.storage.runs import (
    add_entry,
    arrivals,
    by_place,
    continued,
    covers,
    inside,
    merged,
    runs_of,
    with_arrivals,
)

CHAIN, OTHER = b"c" * 32, b"d" * 32


def link(number):
    return number.to_bytes(32, "big")


def entry(n, *, at=None, after=None):
    """Entry ``n`` of a chain; a branch has another link, and may follow another."""
    return EntryFacts(CHAIN, n, link(n - 1 if after is None else after), link(at or n), "d", "sale")


LAST = Run(CHAIN, 2, link(1), 4, link(4))


def test_the_next_entry_makes_the_only_run_longer():
    assert continued([LAST], entry(5)) == Run(CHAIN, 2, link(1), 5, link(5))


@pytest.mark.parametrize(
    ("runs", "added"),
    [
        ([], entry(5)),
        ([LAST, Run(CHAIN, 9, link(8), 9, link(9))], entry(5)),
        ([LAST], entry(6)),
        ([LAST], entry(4, at=40)),
        ([LAST], entry(5, after=40)),
        ([LAST], entry(6, after=4)),
    ],
    ids=["no run", "two runs", "a gap", "another branch", "another's follower", "a number too far"],
)
def test_any_other_entry_does_not(runs, added):
    assert continued(runs, added) is None


def test_the_runs_of_a_chain_follow_from_its_entries_in_any_order():
    fork = entry(3, at=30)
    entries = [entry(4), entry(1), fork, entry(2), entry(3), entry(7)]
    assert sorted(runs_of(entries), key=by_place) == [
        Run(CHAIN, 1, link(0), 2, link(2)),
        Run(CHAIN, 3, link(2), 4, link(4)),
        Run(CHAIN, 3, link(2), 3, link(30)),
        Run(CHAIN, 7, link(6), 7, link(7)),
    ]


def test_a_fork_behind_a_fork_is_found_from_the_entries_alone():
    entries = [
        *map(entry, range(1, 6)),
        entry(3, at=30),
        entry(4, at=40, after=30),
        entry(5, at=50, after=40),
    ]
    assert sorted(runs_of(entries), key=by_place) == [
        Run(CHAIN, 1, link(0), 2, link(2)),
        Run(CHAIN, 3, link(2), 5, link(5)),
        Run(CHAIN, 3, link(2), 5, link(50)),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_branches_off_branches_are_told_apart_in_whatever_order_they_come(seed):
    tree = [*map(entry, range(1, 6)), entry(4, at=41, after=3), entry(5, at=51, after=41)]
    tree += [entry(3, at=30), entry(4, at=40, after=30), entry(5, at=50, after=40), entry(5, at=52, after=40)]
    whole = [
        Run(CHAIN, 1, link(0), 2, link(2)),
        Run(CHAIN, 3, link(2), 3, link(3)),
        Run(CHAIN, 3, link(2), 4, link(40)),
        Run(CHAIN, 4, link(3), 5, link(5)),
        Run(CHAIN, 4, link(3), 5, link(51)),
        Run(CHAIN, 5, link(40), 5, link(50)),
        Run(CHAIN, 5, link(40), 5, link(52)),
    ]
    order = random.Random(seed)
    for _ in range(25):
        order.shuffle(tree)
        runs, held = [], []
        for one in tree:
            gone, new = add_entry(
                runs, one, lambda n, held=held: [(e.link, e.prev) for e in held if e.n == n]
            )
            runs = [run for run in runs if run not in gone] + new
            held.append(one)
        assert sorted(runs, key=by_place) == whole


@pytest.mark.parametrize("order", [1, -1])
def test_an_entry_whose_number_is_not_the_next_does_not_follow(order):
    runs = []
    for one in (entry(4), entry(9, after=4))[::order]:
        gone, new = add_entry(runs, one, lambda n: [])
        runs = [run for run in runs if run not in gone] + new
    assert sorted(runs, key=by_place) == [
        Run(CHAIN, 4, link(3), 4, link(4)),
        Run(CHAIN, 9, link(4), 9, link(9)),
    ]


def test_a_chain_of_which_nothing_is_held_has_no_runs():
    assert runs_of([]) == []


@pytest.mark.parametrize(("n", "held"), [(1, False), (2, True), (3, True), (4, True), (5, False)])
def test_a_number_is_covered_from_the_first_to_the_last_of_a_run(n, held):
    assert covers([Run(CHAIN, 9, link(8), 9, link(9)), LAST], n) is held


def test_runs_are_listed_by_chain_then_number_then_link():
    runs = [Run(CHAIN, 1, link(0), 1, link(9)), Run(CHAIN, 1, link(0), 5, link(3)), LAST]
    runs.append(Run(OTHER, 1, link(0), 1, link(1)))
    assert sorted(runs, key=by_place) == [runs[1], runs[0], *runs[2:]]


@pytest.mark.parametrize(
    ("intervals", "joined"),
    [
        ([], []),
        ([(3, 5)], [(3, 5)]),
        ([(6, 9), (1, 2)], [(1, 2), (6, 9)]),
        ([(1, 2), (3, 4)], [(1, 4)]),
        ([(1, 2), (4, 5)], [(1, 2), (4, 5)]),
        ([(1, 9), (3, 4)], [(1, 9)]),
        ([(1, 4), (3, 9), (9, 9), (11, 11)], [(1, 9), (11, 11)]),
    ],
)
def test_intervals_that_touch_or_overlap_are_one(intervals, joined):
    assert merged(intervals) == joined


@pytest.mark.parametrize(
    ("n", "lies"), [(1, False), (2, True), (4, True), (5, False), (7, False), (8, True), (9, False)]
)
def test_a_number_lies_in_an_interval_with_both_its_ends(n, lies):
    assert inside([(2, 4), (8, 8)], n) is lies


def test_no_number_lies_in_no_interval():
    assert inside([], 1) is False


@pytest.mark.parametrize("seed", range(40))
def test_runs_that_come_in_any_parts_make_what_their_entries_make(seed):
    rng = random.Random(seed)
    trunk = [entry(n) for n in range(1, 31)]
    parts = [trunk[at : at + 3] for at in range(0, 30, 3)]
    rng.shuffle(parts)
    held, runs = [], []
    for part in parts[:8]:
        held += part
        runs = with_arrivals(runs, arrivals(part)[CHAIN])
        assert sorted(runs, key=by_place) == sorted(runs_of(held), key=by_place)


def test_entries_of_several_chains_arrive_as_runs_of_each():
    other = EntryFacts(OTHER, 9, link(8), link(9), "d", "sale")
    assert arrivals([entry(2), other, entry(3), entry(5)]) == {
        CHAIN: [Run(CHAIN, 2, link(1), 3, link(3)), Run(CHAIN, 5, link(4), 5, link(5))],
        OTHER: [Run(OTHER, 9, link(8), 9, link(9))],
    }


def run(lo, hi, *, after=None, to=None):
    """Entries ``lo`` to ``hi``; a branch follows another link than usual, or ends with another."""
    return Run(CHAIN, lo, link(lo - 1 if after is None else after), hi, link(to or hi))


@pytest.mark.parametrize(
    ("held", "come", "then"),
    [
        ([], [run(3, 5)], [run(3, 5)]),
        ([run(1, 2)], [run(3, 5)], [run(1, 5)]),
        ([run(6, 9)], [run(3, 5)], [run(3, 9)]),
        ([run(6, 9), run(1, 2)], [run(3, 5)], [run(1, 9)]),
        ([run(8, 9)], [run(4, 5), run(6, 7), run(1, 3)], [run(1, 9)]),
        ([run(1, 1)], [run(3, 5)], [run(1, 1), run(3, 5)]),
        ([run(7, 9)], [run(3, 5)], [run(7, 9), run(3, 5)]),
        ([run(1, 2, to=20)], [run(3, 5)], [run(1, 2, to=20), run(3, 5)]),
        ([run(1, 1, to=2)], [run(3, 5)], [run(1, 1, to=2), run(3, 5)]),
        ([run(6, 9, after=50)], [run(3, 5)], [run(6, 9, after=50), run(3, 5)]),
        ([run(7, 9, after=5)], [run(3, 5)], [run(7, 9, after=5), run(3, 5)]),
        (
            [run(6, 9), run(6, 7, after=5, to=70)],
            [run(3, 5)],
            [run(6, 9), run(6, 7, after=5, to=70), run(3, 5)],
        ),
        (
            [run(6, 9), run(6, 7, after=5, to=70), run(1, 2)],
            [run(3, 5)],
            [run(6, 9), run(6, 7, after=5, to=70), run(1, 5)],
        ),
    ],
)
def test_runs_that_come_are_joined_with_what_they_continue_and_what_continues_them(held, come, then):
    before = list(held)
    assert with_arrivals(held, come) == then
    assert held == before


@pytest.mark.parametrize(
    ("held", "come"),
    [
        ([run(1, 3)], [run(3, 5, after=2, to=50)]),
        ([run(5, 9)], [run(3, 5, to=50)]),
        ([run(4, 4)], [run(3, 5, to=50)]),
        ([run(1, 9)], [run(3, 5, to=50)]),
        ([], [run(1, 2), run(2, 3, after=1, to=30)]),
        ([run(8, 9)], [run(1, 2), run(8, 8, to=80)]),
    ],
)
def test_runs_that_come_with_a_number_that_is_there_are_left_to_be_looked_at(held, come):
    assert with_arrivals(held, come) is None


@pytest.mark.parametrize(
    "second", [entry(3, after=20), entry(4, after=2), entry(4, at=40, after=2), entry(2, at=20)]
)
def test_only_the_next_number_that_follows_goes_on_an_arriving_run(second):
    first = entry(2)
    assert arrivals([first, second]) == {
        CHAIN: [Run(CHAIN, 2, link(1), 2, link(2)), Run(CHAIN, second.n, second.prev, second.n, second.link)]
    }
