"""What is left out because the peer's heads cover it, is held by the peer: over any holes and forks."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.protocol.heads import covered, describe, root_digest

CHAINS = (b"a" * 32, b"b" * 32)


@dataclass(frozen=True)
class Entry:
    chain: bytes
    n: int
    link: bytes
    prev: bytes


@dataclass(frozen=True)
class Run:
    chain: bytes
    lo: int
    hi: int
    hi_link: bytes


@st.composite
def forests(draw):
    """Entries of two chains: each follows the last one, or now and then another (a fork)."""
    entries = []
    for chain in CHAINS:
        last = [Entry(chain, 1, chain[:1] * 31 + b"0", bytes(32))]
        for number in range(1, draw(st.integers(1, 40))):
            before = last[-1]
            if draw(st.integers(0, 9)) == 0:
                before = draw(st.sampled_from(last))
            last.append(Entry(chain, before.n + 1, chain[:1] + number.to_bytes(31, "big"), before.link))
        entries += last
    return entries


@st.composite
def shares(draw, forest):
    """What one replica holds of them: all but a few stretches."""
    held = list(forest)
    for _ in range(draw(st.integers(0, 3))):
        lo = draw(st.integers(0, len(forest)))
        gone = set(forest[lo : lo + draw(st.integers(0, 15))])
        held = [entry for entry in held if entry not in gone]
    return frozenset(held)


def runs_of(held):
    """The maximal paths without a branch, found the slow way."""
    by_prev = defaultdict(list)
    for entry in held:
        by_prev[entry.prev].append(entry)
    children = {entry: by_prev[entry.link] for entry in held}
    parents = {child: entry for entry, found in children.items() for child in found}
    runs = []
    for entry in held:
        if entry in parents and len(children[parents[entry]]) == 1:
            continue
        last = entry
        while len(children[last]) == 1:
            last = children[last][0]
        runs.append(Run(entry.chain, entry.n, last.n, last.link))
    return runs


def links_of(held):
    by_number = defaultdict(list)
    for entry in held:
        by_number[entry.chain, entry.n].append(entry.link)
    return lambda chain, n: by_number[chain, n]


@given(st.data())
def test_what_is_covered_is_held_by_the_peer(data):
    forest = data.draw(forests())
    mine, theirs = data.draw(shares(forest)), data.draw(shares(forest))
    found = covered(runs_of(mine), describe(runs_of(theirs), links_of(theirs)), links_of(mine))
    left_out = {e for e in mine if any(lo <= e.n <= hi for lo, hi in found.get(e.chain, ()))}
    assert left_out <= theirs


@given(st.data())
def test_replicas_that_hold_the_same_send_nothing_of_a_chain_without_forks(data):
    held = data.draw(forests().flatmap(shares))
    numbers = Counter((entry.chain, entry.n) for entry in held)
    forked = {chain for (chain, _), count in numbers.items() if count > 1}
    found = covered(runs_of(held), describe(runs_of(held), links_of(held)), links_of(held))
    sent = {e for e in held if not any(lo <= e.n <= hi for lo, hi in found.get(e.chain, ()))}
    assert {entry.chain for entry in sent} <= forked


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_chain_without_forks_is_covered_but_for_what_is_new_once_more(mine, theirs):
    links_at = lambda chain, n: [n.to_bytes(32, "big")]  # noqa: E731
    run = lambda hi: [Run(CHAINS[0], 1, hi, hi.to_bytes(32, "big"))]  # noqa: E731
    found = covered(run(mine), describe(run(theirs), links_at), links_at)
    reach = max((hi for _, hi in found.get(CHAINS[0], ())), default=0)
    assert min(mine, theirs) - max(0, theirs - mine) - 1 <= reach <= min(mine, theirs)


@given(st.data())
def test_digests_are_equal_exactly_if_the_same_is_held(data):
    forest = data.draw(forests())
    mine, theirs = data.draw(shares(forest)), data.draw(shares(forest))
    assert (root_digest(runs_of(mine)) == root_digest(runs_of(theirs))) == (mine == theirs)
