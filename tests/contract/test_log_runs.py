"""The log's contract: the runs that a chain's held entries make."""

import pytest

from crdtsync.storage.log import Run
from crdtsync.testing.records import MadeUpChain, made_up_update


def spans(world, chain):
    return [(run.lo, run.hi) for run in world.log.runs(chain)]


def test_a_chain_without_holes_is_one_run(world):
    sales = MadeUpChain(1).entries(3)
    world.append(*sales)
    assert world.log.runs() == [Run(sales[0].digest, 1, sales[0].entry.prev, 3, sales[2].digest)]


def test_after_a_gap_a_new_run_begins(world):
    till = MadeUpChain(1)
    sales = till.entries(5)
    world.append(sales[0], sales[1], sales[3])
    assert world.log.runs(till.chain) == [
        Run(till.chain, 1, sales[0].entry.prev, 2, sales[1].digest),
        Run(till.chain, 4, sales[2].digest, 4, sales[3].digest),
    ]


def test_runs_join_when_the_gap_is_filled(world):
    till = MadeUpChain(1)
    sales = till.entries(5)
    world.append(sales[4], sales[0], sales[1], sales[3])
    world.append(sales[2])
    assert world.log.runs(till.chain) == [Run(till.chain, 1, sales[0].entry.prev, 5, sales[4].digest)]


def test_at_a_fork_the_run_ends_and_each_branch_has_its_own(world):
    till = MadeUpChain(1)
    sales = till.entries(4)
    fork = till.after(sales[1].digest, n=3)
    world.append(*sales, fork)
    shared = Run(till.chain, 1, sales[0].entry.prev, 2, sales[1].digest)
    branches = [
        Run(till.chain, 3, sales[1].digest, 4, sales[3].digest),
        Run(till.chain, 3, sales[1].digest, 3, fork.digest),
    ]
    assert world.log.runs(till.chain) == [shared, *sorted(branches, key=lambda run: run.hi_link)]


def test_a_third_branch_has_a_run_of_its_own_too(world):
    till = MadeUpChain(1)
    sales = till.entries(2)
    forks = [till.after(sales[0].digest, n=2) for _ in range(2)]
    for item in (*sales, *forks):
        world.append(item)
    assert spans(world, till.chain) == [(1, 1), (2, 2), (2, 2), (2, 2)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_branch_of_a_branch_leaves_the_other_one_as_it_was(world, packed):
    till = MadeUpChain(1)
    sales = till.entries(4)
    third = till.after(sales[1].digest, n=3)
    fourth = till.entry()
    world.append(*sales, third, fourth)
    if packed:
        with world.transaction() as log:
            assert log.pack(6, 99)
    branch = till.after(sales[2].digest, n=4)
    world.append(branch)
    runs = [
        Run(till.chain, 1, sales[0].entry.prev, 2, sales[1].digest),
        Run(till.chain, 3, sales[1].digest, 3, sales[2].digest),
        Run(till.chain, 3, sales[1].digest, 4, fourth.digest),
        Run(till.chain, 4, sales[2].digest, 4, sales[3].digest),
        Run(till.chain, 4, sales[2].digest, 4, branch.digest),
    ]
    assert world.log.runs(till.chain) == sorted(runs, key=lambda run: (run.lo, run.hi_link))


def test_an_entry_that_names_another_predecessor_does_not_join(world):
    till = MadeUpChain(1)
    sales = till.entries(2)
    stranger = till.after(b"?" * 32)
    world.append(*sales, stranger)
    assert spans(world, till.chain) == [(1, 2), (3, 3)]


def test_runs_go_on_after_many_small_transactions(world):
    till = MadeUpChain(1)
    for _ in range(150):
        world.append(till.entry())
    assert spans(world, till.chain) == [(1, 150)]
    assert world.log.documents()[0].records == 150


def test_a_fork_is_found_where_another_branch_goes_on_as_if_nothing_were_between(world):
    till = MadeUpChain(1)
    sales = till.entries(4)
    second = till.after(sales[0].digest, n=2)
    fourth = till.after(b"a third that is not held here..."[:32], n=4)
    world.append(*sales, second, made_up_update("x/a", b"between"), fourth)
    assert set(world.log.links_at(till.chain, 4)) == {sales[3].digest, fourth.digest}
