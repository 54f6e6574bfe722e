"""Who tells the relay another story than a register is named by both."""

import pytest

from tests.unit.runtime.hostile_device.conftest import resealed, shop

# It prints what it finds, and an entry may be long.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


def test_who_tells_the_relay_another_story_than_a_register_is_named_by_both(sides):
    _, device, neighbour = shop()
    relay, register = sides
    common = device.sealed[:5]
    other = resealed(device.entries[5], op="somebody else")
    before = [side.look(neighbour.author) for side in sides]
    assert relay.bring(*common, device.sealed[5]) == []
    assert register.bring(*common, other) == []
    assert [side.flags() for side in sides] == [set(), set()], "each story is a good one"
    assert relay.look() != register.look(), "but their digests differ, and they compare them"
    assert relay.bring(other) == register.bring(device.sealed[5]) == []
    assert relay.look() == register.look()
    assert [side.flags() for side in sides] == [{"fork"}, {"fork"}]
    assert [side.look(neighbour.author) for side in sides] == before
