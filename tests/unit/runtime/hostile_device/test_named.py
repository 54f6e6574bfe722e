"""What cannot be so is stored by both sides, and named by whoever verifies."""

import pytest

from crdtsync.model import sealed
from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.model.chain import next_body, start
from crdtsync.model.closing import build_close
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.testing.till import MemoryOwner
from tests.unit.runtime.hostile_device.conftest import SIDES, Side, both, one_of, resealed, shop

# It prints what it finds, and an entry may be long.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


FLAGGED_BY_KIT = {
    "a wrong link to the one before": {"link"},
    "a number that was skipped": {"gap", "fork"},
    "a count of its kind that does not follow": {"count"},
    "a clock that went back a year": {"clock"},
    "the day before": {"day"},
    "a total that its lines do not come to": {"totals"},
    "a ticket number that was skipped": {"number"},
    "a grand total that does not follow": {"grand-total"},
    "payments that are not what was to be paid": {"payment"},
}


@pytest.mark.parametrize("wrong", FLAGGED_BY_KIT)
def test_a_lie_in_a_field_is_stored_and_named_by_both(sides, wrong):
    _, device, neighbour = shop()
    hostile = one_of(wrong)
    before = [side.look(neighbour.author) for side in sides]
    entries = (*device.sealed[: hostile.n - 1], hostile.sealed, *device.sealed[hostile.n :])
    assert both(sides, *entries) == []
    assert [side.look(neighbour.author) for side in sides] == before
    for side in sides:
        assert side.flags() & (FLAGGED_BY_KIT[wrong] | {"link"})


def one_left_out(device):
    return [*device.sealed[:4], *device.sealed[5:]], {"gap"}


def two_that_changed_places(device):
    """Number, link and all say that the later one came first."""
    third, fourth = device.entries[3], device.entries[4]
    swapped = [
        resealed(fourth, seq=third.facts.n, prev=third.body["prev"], n=fourth.body["n"]),
        resealed(third, seq=fourth.facts.n, prev=fourth.body["prev"], n=third.body["n"]),
    ]
    return [*device.sealed[:3], *swapped, *device.sealed[5:]], {"link"}


def a_second_version(device):
    return [*device.sealed, resealed(device.entries[4], op="somebody else")], {"fork"}


def an_entry_in_the_neighbours_chain(device):
    neighbour = shop()[2]
    body = {**next_body(neighbour.end, "jet", {"code": 170}, neighbour.moment), "till": device.author.hex()}
    return [*device.sealed, seal(body, device.key)], {"chain"}


def a_bad_signature_that_a_good_one_covers(device):
    """In an unbroken run the last signature vouches for the others; each is looked at later."""
    body, _ = sealed.split(device.sealed[4])
    other = sealed.join(body, sealed.split(device.sealed[5])[1])
    after = resealed(device.entries[5], prev=sealed.link(other).hex())
    return [*device.sealed[:4], other, after], {"signature"}


FLAGGED = (
    one_left_out,
    two_that_changed_places,
    a_second_version,
    an_entry_in_the_neighbours_chain,
    a_bad_signature_that_a_good_one_covers,
)


@pytest.mark.parametrize("make", FLAGGED, ids=lambda make: make.__name__)
def test_what_cannot_be_so_is_stored_and_named_by_both(sides, make):
    _, device, neighbour = shop()
    before = [side.look(neighbour.author) for side in sides]
    entries, flags = make(device)
    assert both(sides, *entries) == []
    assert [side.look(neighbour.author) for side in sides] == before
    for side in sides:
        assert side.flags() >= flags


def test_an_entry_in_a_neighbours_name_is_refused_by_both(sides):
    _, device, neighbour = shop()
    body = next_body(neighbour.end, "jet", {"code": 170}, neighbour.moment)
    before = [side.look() for side in sides]
    assert both(sides, seal(body, device.key)) == ["bad-signature"]
    assert [side.look() for side in sides] == before


def test_a_key_that_was_changed_for_another_signs_nothing_in_the_new_chain(tmp_path):
    """What the old key signed in its time stays good; in the chain of the new one it is named."""
    owner = MemoryOwner("with new keys")
    old = owner.enrol("Caisse 1")
    old.sell()
    key = PrivateKey.from_seed(b"the new key")
    owner.append(
        "certify",
        build_certify(Certificate(old.author, "Caisse 1", "register", key.public, owner.author, series="04")),
    )
    first = seal(
        start(old.author, key.public, owner.shop, series="04", nonce=b"n" * 16, moment=old.moment), key
    )
    entry = read_entry(first)
    body = {
        **next_body(old.end, "jet", {"code": 170}, old.moment),
        "chain": entry.link.hex(),
        "seq": 2,
        "n": 1,
        "prev": entry.link.hex(),
    }
    for kind in SIDES:
        side = Side(kind, tmp_path, owner)
        assert side.bring(*owner.sealed, *old.sealed, first) == []
        assert side.flags() == set()
        assert side.bring(seal(body, old.key)) == []
        assert side.flags() == {"signature"}


def test_a_tail_that_was_cut_off_is_missed_by_whoever_knew_it(tmp_path):
    """The neighbour's closing names the last entry that it knew to be there."""
    owner = MemoryOwner("with a witness")
    device, other = owner.enrol("Caisse 1"), owner.enrol("Caisse 2", series="02")
    device.sell()
    device.sell()
    other.append("close", build_close(other.end, witness=device.end.known))
    for kind in SIDES:
        side = Side(kind, tmp_path, owner)
        assert side.bring(*owner.sealed, *device.sealed[:-1], *other.sealed) == []
        assert side.flags() == {"tail"}
        assert side.bring(device.sealed[-1]) == []
        assert side.flags() == set()
