"""Wires without TLS: whoever is in between is found out at the next frame, nothing is lost or called safe."""

from random import Random

import pytest

from crdtsync.model.ticket import Line
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.simulation.between import TRICKS, Between
from crdtsync.testing.simulation.broken import Broken
from crdtsync.testing.simulation.plan import IN_BETWEEN, SHORT, draw_plan
from crdtsync.testing.simulation.relay import RelayMachine
from crdtsync.testing.simulation.run import play
from crdtsync.testing.simulation.shop import Shop

WINE = Line("cm-2019", "Crozes-Hermitage", 1850, 2000, "N")


@pytest.fixture
def shop():
    with fast_signatures(), Shop(registers=2, seed=5, is_open_line=True) as shop:
        shop.run(30, each=shop.check)
        yield shop


def sell(register, many=1):
    return [register.register.sell([WINE], ["cash"]) for _ in range(many)]


def wire_of(shop, register):
    [wire] = shop.network.wires_of(register)
    return wire


def somebody(end, trick, number):
    """He sits down on the way to an end; what he has done comes into the list."""
    acted = []
    end.between = Between(end, trick, Random(number), lambda: acted.append(trick))
    return acted


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("to_relay", [True, False], ids=["to the relay", "to the register"])
@pytest.mark.parametrize("trick", TRICKS)
def test_he_is_found_out_and_nothing_is_lost(shop, trick, to_relay, number):
    first, second = shop.registers
    wire = wire_of(shop, first)
    assert wire.is_bound
    acted = somebody(wire.far if to_relay else wire.near, trick, number)
    for register in (first, second, first, second):
        sell(register)
        shop.run(2, each=shop.check)
    shop.run(90, each=shop.check)
    assert acted == [trick]
    assert wire not in shop.network.wires, "the connection ended"
    assert any("in between" in str(error) for _, error in shop.errors)
    shop.settle(each=shop.check)
    shop.check_at_rest()
    assert len(second.register.sales()) == 4


def test_where_the_relay_does_not_bind_frames_what_he_acknowledges_is_believed(monkeypatch):
    """What the checks would see if the binding did nothing."""
    monkeypatch.setattr(RelayMachine, "exchange_seed", lambda relay: b"")
    with fast_signatures(), Shop(registers=2, seed=5, is_open_line=True) as shop:
        shop.run(30)
        first = shop.registers[0]
        wire = wire_of(shop, first)
        assert not wire.is_bound
        somebody(wire.far, "acknowledges in the place of the relay", 1)
        sell(first)
        with pytest.raises(Broken, match="acknowledged means on the relay's disk"):
            shop.run(5, each=shop.check)


DRAWN = [seed for seed in range(200) if IN_BETWEEN in draw_plan(seed, SHORT, sqlite_share=0).faults][:6]


@pytest.mark.slow
@pytest.mark.parametrize("seed", DRAWN)
def test_drawn_histories_with_somebody_in_between(seed):
    result = play(draw_plan(seed, SHORT, sqlite_share=0))
    assert not result.failure, "\n".join((*result.story[-40:], result.failure))


@pytest.mark.slow
def test_he_does_something_in_them():
    assert sum(play(draw_plan(seed, SHORT, sqlite_share=0)).faults[IN_BETWEEN] for seed in DRAWN[:3])


def test_on_such_wires_too_the_same_seed_is_the_same_history_to_the_letter():
    first, again = (play(draw_plan(DRAWN[0], SHORT, sqlite_share=0)) for _ in range(2))
    assert (first.digest, first.story) == (again.digest, again.story)


def test_a_seed_is_the_history_that_it_was_where_its_wires_have_tls():
    """The kind of line is drawn beside everything else."""
    plans = [draw_plan(seed, SHORT) for seed in range(60)]
    assert 8 <= sum(plan.is_open_line for plan in plans) <= 24
    assert not any(IN_BETWEEN in plan.faults for plan in plans if not plan.is_open_line)
