"""The runs of a chain depend on what is held alone: every order of arrival gives those of a plain count."""

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.ids import EntryFacts
from crdtsync.storage.log import Run
from crdtsync.storage.runs import add_entry, by_place, continued

CHAIN = b"c" * 32


def link(number: int) -> bytes:
    return number.to_bytes(32, "big")


@st.composite
def forests(draw) -> list[EntryFacts]:
    """The entries of a chain with forks, in any order, some of them missing."""
    parents = draw(st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=24))
    numbers, entries = {0: 0}, []
    for node, choice in enumerate(parents, start=1):
        # Often the newest entry is followed, or else one of the first, so that some have many followers.
        parent = node - 1 if choice is None else min(choice, node - 1)
        numbers[node] = numbers[parent] + 1
        entries.append(EntryFacts(CHAIN, numbers[node], link(parent), link(node), "d", "sale"))
    kept = draw(st.lists(st.sampled_from(entries), unique_by=lambda entry: entry.link))
    return draw(st.permutations(kept))


def computed(entries: list[EntryFacts]) -> list[Run]:
    """The runs as the docstring of ``Run`` defines them."""
    held = {(entry.n, entry.link): entry for entry in entries}
    followers = defaultdict(list)
    for entry in entries:
        followers[entry.n - 1, entry.prev].append(entry)
    runs = []
    for entry in entries:
        before = (entry.n - 1, entry.prev)
        if before in held and len(followers[before]) == 1:
            continue
        tip = entry
        while len(followers[tip.n, tip.link]) == 1:
            [tip] = followers[tip.n, tip.link]
        runs.append(Run(CHAIN, entry.n, entry.prev, tip.n, tip.link))
    return sorted(runs, key=by_place)


def added(entries: list[EntryFacts]) -> list[Run]:
    runs: list[Run] = []
    held = defaultdict(list)
    for entry in entries:
        longer = continued(runs, entry)
        gone, new = add_entry(runs, entry, lambda n: held[n])
        if longer is not None:
            assert (gone, new) == (runs, [longer])
        runs = [run for run in runs if run not in gone] + new
        held[entry.n].append((entry.link, entry.prev))
    return sorted(runs, key=by_place)


@given(forests())
def test_any_order_of_arrival_gives_the_runs_of_the_set(entries):
    assert added(entries) == computed(entries)


def test_thousands_of_entries_in_any_order_give_one_run():
    entries = [EntryFacts(CHAIN, n, link(n - 1), link(n), "d", "sale") for n in range(1, 2001)]
    random.Random(5).shuffle(entries)
    assert added(entries) == [Run(CHAIN, 1, link(0), 2000, link(2000))]
