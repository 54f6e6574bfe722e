"""Every field of every kind that is altered is found by both sides."""

import pytest

from crdtsync.model import sealed
from crdtsync.model.admission import judge_run
from crdtsync.model.sealed import seal
from crdtsync.model.verify import verify_chain
from crdtsync.testing.strange_entries import places, with_value
from tests.unit.runtime.hostile_device.conftest import both, shop

# It prints what it finds, and an entry may be long.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


def another(value):
    """A value of the same type that is another one."""
    if type(value) is bool:
        return not value
    if type(value) is int:
        return value + 1
    if type(value) is str:
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    return [*value, 1] if type(value) is list else {**value, "zz": 1}


def alterations(entry):
    """(path, body) with one field, however deep, that is another one."""
    for path in places(entry.body):
        value = entry.body
        for name in path:
            value = value[name]
        yield path, with_value(entry.body, path, another(value))


KINDS = [entry.kind for entry in shop()[1].entries]


@pytest.mark.parametrize("n", range(1, len(KINDS) + 1), ids=lambda n: f"{n}-{KINDS[n - 1]}")
def test_every_field_that_is_altered_is_found_by_both(sides, n):
    _, device, _ = shop()
    entry, after = device.entries[n - 1], device.entries[n:]
    altered = list(alterations(entry))
    assert len(altered) >= len(entry.body)
    for side in sides:
        assert side.bring(*device.sealed[: n - 1]) == []
    before = [side.look() for side in sides]
    # Not signed anew: the signature is of something else.
    text = sealed.split(entry.sealed)[1]
    bodies = [data for _, body in altered if (data := sealed_or_none(body, device.key)) is not None]
    forged = [sealed.join(sealed.split(data)[0], text) for data in bodies]
    codes = both(sides, *forged)
    assert len(codes) == len(forged), "none of them was stored"
    assert set(codes) <= {"bad-signature", "malformed", "unknown-device", "other-shop", "unknown-key"}
    assert [side.look() for side in sides] == before
    # Signed anew: what of it would be stored is named, it or the one that comes after it.
    directory = shop()[0].directory
    for path, body in altered if after else ():
        data = sealed_or_none(body, device.key)
        if data is None or not judge_run([data], directory)[0].admitted:
            continue
        chain = [*device.sealed[: n - 1], data, *device.sealed[n:]]
        assert list(verify_chain(device.end.chain, chain, directory=directory)), path


def sealed_or_none(body, key):
    """None for a body that nobody can seal."""
    try:
        return seal(body, key)
    except ValueError:
        return None
