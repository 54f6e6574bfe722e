"""Short histories of a shop, by their seeds: each a quarter of an hour with what the seed lets go wrong."""

import pytest

from crdtsync.testing.simulation.campaign import played_again_by
from crdtsync.testing.simulation.plan import SHORT, draw_plan
from crdtsync.testing.simulation.run import play

SEEDS_PER_TEST = 10
IN_MEMORY = range(0, 250, SEEDS_PER_TEST)
IN_EVERY_RUN = 130
"""The rest is played by `make deep` only, which plays thousands more."""

ON_REAL_STORES = range(10_000, 10_014, 2)


def play_well(seed, *, sqlite_share, **how):
    result = play(draw_plan(seed, SHORT, sqlite_share=sqlite_share), **how)
    assert not result.failure, "\n".join((*result.story[-40:], result.failure, played_again_by(result.plan)))
    return result


@pytest.mark.parametrize("seed", range(4))
def test_what_is_promised_holds(seed):
    play_well(seed, sqlite_share=0)


def in_memory(first):
    return pytest.param(
        first, marks=[] if first < IN_EVERY_RUN else [pytest.mark.deep, pytest.mark.timeout(0)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", [in_memory(first) for first in IN_MEMORY])
def test_what_is_promised_holds_in_many_histories(first):
    for seed in range(first, first + SEEDS_PER_TEST):
        play_well(seed, sqlite_share=0)


@pytest.mark.slow
@pytest.mark.parametrize("first", ON_REAL_STORES)
def test_what_is_promised_holds_on_real_stores(first):
    for seed in (first, first + 1):
        play_well(seed, sqlite_share=1)


def test_what_is_promised_holds_with_genuine_signatures():
    play_well(20_000, sqlite_share=0, genuine_signatures=True)
