from dataclasses import dataclass

import pytest

from crdtsync.protocol.heads import covered, describe, root_digest
from crdtsync.protocol.limits import MARKS_MAX
from crdtsync.protocol.messages import HeldRun

CHAIN, OTHER = b"c" * 32, b"o" * 32


@dataclass(frozen=True)
class Run:
    chain: bytes
    lo: int
    hi: int
    hi_link: bytes


def link(n, branch="a"):
    return f"{branch}{n}".encode().ljust(32, b".")


def run(lo, hi, branch="a", chain=CHAIN):
    return Run(chain, lo, hi, link(hi, branch))


def links(branches="a"):
    return lambda chain, n: [link(n, branch) for branch in branches]


def told(runs, links_at=None):
    return list(describe(runs, links_at or links()))


def test_a_run_is_told_by_its_end_and_by_marks_at_growing_distances():
    [described] = told([run(1, 100)])
    assert (described.chain, described.lo, described.hi) == (CHAIN, 1, 100)
    assert described.marks == tuple((n, link(n)) for n in (100, 99, 97, 93, 85, 69, 37))


def test_a_run_of_one_entry_has_one_mark():
    assert told([run(5, 5)]) == [HeldRun(CHAIN, 5, 5, ((5, link(5)),))]


def test_the_marks_of_the_longest_run_are_bounded():
    [described] = told([run(1, 2**40)])
    assert len(described.marks) == MARKS_MAX


def test_where_branches_lie_side_by_side_nothing_is_marked():
    beside = [run(1, 100), run(90, 95, "b")]
    described, _ = told(beside, lambda chain, n: [link(n)] + ([link(n, "b")] if 90 <= n <= 95 else []))
    assert [n for n, _ in described.marks] == [100, 99, 97, 85, 69, 37]


def test_a_branch_that_came_in_meanwhile_is_not_marked():
    described, *_ = told([run(1, 100)], lambda chain, n: [link(n), link(n, "b")] if n == 99 else [link(n)])
    assert [n for n, _ in described.marks] == [100, 97, 93, 85, 69, 37]


def test_replicas_that_hold_the_same_cover_everything():
    mine = [run(1, 100), run(1, 7, chain=OTHER)]
    assert covered(mine, told(mine), links()) == {CHAIN: [(1, 100)], OTHER: [(1, 7)]}


def test_what_the_peer_lacks_at_the_end_is_not_covered():
    assert covered([run(1, 100)], told([run(1, 60)]), links()) == {CHAIN: [(1, 60)]}


def test_what_the_peer_lacks_at_the_beginning_is_not_covered():
    assert covered([run(1, 100)], told([run(41, 100)]), links()) == {CHAIN: [(41, 100)]}


def test_what_we_lack_at_the_beginning_does_not_matter():
    assert covered([run(41, 100)], told([run(1, 100)]), links()) == {CHAIN: [(41, 100)]}


def test_a_peer_that_is_ahead_covers_up_to_its_newest_mark_that_we_hold():
    assert covered([run(1, 90)], told([run(1, 100)]), links()) == {CHAIN: [(1, 85)]}


def test_a_chain_that_the_peer_does_not_know_is_not_covered():
    assert covered([run(1, 9)], told([run(1, 9, chain=OTHER)]), links()) == {}


def test_a_chain_that_we_do_not_know_is_no_news():
    assert covered([], told([run(1, 9)]), links()) == {}


def test_a_number_alone_covers_nothing():
    assert covered([run(1, 100)], told([run(1, 100, "b")], links("b")), links()) == {}


def test_what_branched_off_later_covers_what_came_before():
    theirs = told([Run(CHAIN, 1, 100, link(100, "b"))], lambda chain, n: [link(n, "b" if n > 50 else "a")])
    assert covered([run(1, 100)], theirs, links()) == {CHAIN: [(1, 37)]}


def test_numbers_that_several_runs_of_ours_share_are_not_covered():
    mine = [run(1, 100), run(90, 95, "b")]
    both = lambda chain, n: [link(n)] + ([link(n, "b")] if 90 <= n <= 95 else [])  # noqa: E731
    assert covered(mine, told([run(1, 100)]), both) == {CHAIN: [(1, 89), (96, 100)]}


def test_a_branch_that_came_in_meanwhile_is_not_taken_for_the_one_we_know():
    """Read after the runs, the log has a second entry of that number: the peer holds that one, not ours."""
    theirs = [HeldRun(CHAIN, 100, 100, ((100, link(100, "b")),))]
    assert covered([run(1, 100)], theirs, links("ab")) == {}


def test_a_mark_outside_its_own_run_covers_nothing():
    assert covered([run(1, 100)], [HeldRun(CHAIN, 60, 70, ((50, link(50)),))], links()) == {}


def test_the_digest_is_that_of_what_is_held_whatever_the_order():
    runs = [run(1, 100), run(1, 7, chain=OTHER), run(90, 95, "b")]
    assert root_digest(runs) == root_digest(reversed(runs))


def test_every_difference_shows_in_the_digest():
    digests = {
        root_digest(runs)
        for runs in (
            [],
            [run(1, 100)],
            [run(1, 99)],
            [run(2, 100)],
            [run(1, 100, "b")],
            [run(1, 100, chain=OTHER)],
            [run(1, 100), run(1, 100, chain=OTHER)],
        )
    }
    assert len(digests) == 7


@pytest.mark.parametrize("holes", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_chain_of_very_many_holes_holds_nobody_up(holes):
    """One bad device can make such a chain; quadratic work would stop the relay for everybody for hours."""
    runs = [run(n, n) for n in range(1, 2 * holes, 2)]
    described = told(runs)
    assert len(described) == holes
    assert covered(runs, described[:1000], links()) == {CHAIN: [(n, n) for n in range(1, 2000, 2)]}
