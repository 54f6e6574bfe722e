"""A seed is played again to the letter, a failing history is made smaller, and what is kept can be played."""

import os
import subprocess
import sys

import pytest

from crdtsync.model.ticket import Line
from crdtsync.runtime.register.home import RegisterHome
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.simulation.plan import SHORT, Plan, Size, draw_plan
from crdtsync.testing.simulation.run import play
from crdtsync.testing.simulation.shop import Shop
from crdtsync.testing.simulation.shrink import same_failure, shrink

WINE = Line("cm-2019", "Crozes-Hermitage", 1850, 2000, "N")


@pytest.mark.parametrize(
    ("seed", "sqlite_share"), [(7, 0), (9, 0), pytest.param(9, 1, marks=pytest.mark.slow)]
)
def test_the_same_seed_is_the_same_history_to_the_letter(seed, sqlite_share):
    first, again = (play(draw_plan(seed, SHORT, sqlite_share=sqlite_share)) for _ in range(2))
    assert (first.digest, first.story) == (again.digest, again.story)


@pytest.mark.slow
def test_another_process_plays_the_same_history():
    here = play(draw_plan(7, SHORT, sqlite_share=0))
    program = (
        "from crdtsync.testing.simulation.plan import SHORT, draw_plan\n"
        "from crdtsync.testing.simulation.run import play\n"
        "print(play(draw_plan(7, SHORT, sqlite_share=0)).digest)"
    )
    there = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert there.stdout.strip() == here.digest


@pytest.mark.slow
def test_another_seed_is_another_history():
    assert play(draw_plan(7, SHORT)).digest != play(draw_plan(8, SHORT)).digest


def test_a_plan_that_was_kept_is_the_plan():
    plan = draw_plan(11, SHORT)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.slow
def test_a_story_that_fails_is_made_smaller(monkeypatch):
    """Here a relay that acknowledges nothing: nothing ever comes to rest once something was sold."""
    monkeypatch.setattr(RegisterHome, "acknowledged", lambda *_: None)

    def check(plan):
        return play(plan, checks_each_event=False).check

    plan = draw_plan(5, Size(registers=2, tickets=6, minutes=3), sqlite_share=0)
    found = check(plan)
    smaller = shrink(plan, same_failure(found, check), plays_max=60)
    assert found
    assert check(smaller) == found
    assert len(smaller.actions) < len(plan.actions) / 2


def test_a_shop_that_nothing_happens_to_is_at_rest_at_once():
    with fast_signatures(), Shop(registers=2) as shop:
        shop.run(5)
        assert shop.settle() < 5
        shop.check_at_rest()


def test_what_is_sold_here_is_seen_there_and_then():
    with fast_signatures(), Shop(registers=2) as shop:
        shop.run(5)
        ticket = shop.registers[0].register.sell([WINE], ["cash"])
        shop.run(1)
        assert [row.link for row in shop.registers[1].register.sales()] == [ticket.link]


def test_a_register_that_is_cut_off_shows_what_is_pending():
    with fast_signatures(), Shop(registers=2) as shop:
        shop.run(5)
        register = shop.registers[0]
        shop.network.partition({register.name: 1})
        register.register.sell([WINE], ["cash"])
        shop.run(30)
        pending = register.register.status().pending
        assert (pending.sales, pending.amount_minor) == (1, 1850)
        shop.settle()
        assert register.register.status().state == "synced"
