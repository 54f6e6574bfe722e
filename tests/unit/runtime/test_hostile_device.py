"""A device with a valid certificate that speaks the protocol as it should, and says what it should not.

Every case is brought to a relay and to a register, each with a store of its own on disk and the committer
that the product uses. Both must come to the same judgement, for the same reason, and what they held before
(of this device and of its neighbour) must be what it was.

=========================  ===============================================================================
what the device brings     what must become of it
=========================  ===============================================================================
bytes that are no entry    refused, and kept apart: ``malformed``, ``too-big``, ``bad-signature``
                           (``REFUSED``, ``FORMS``)
what it may not say        held, and kept apart: ``unknown-device``, ``unknown-key``, ``other-shop``,
                           ``role``, ``revoked`` (``HELD``)
what cannot be so          stored, and named by whoever verifies: a lie in a field, a gap, a fork, another's
                           chain, an old key (``FLAGGED_BY_KIT``, ``FLAGGED``)
every field of every kind  not signed anew: refused. Signed anew, in the middle of the chain: refused, held,
altered                    or named
one thing here, another    both versions are kept by both, and named
there
=========================  ===============================================================================

A replayed or stolen hello never comes so far: ``tests/integration/test_relay_hostile.py`` and
``tests/unit/protocol/test_session_attacked.py``.
"""

import asyncio
from contextlib import closing
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import find, settings

from crdtsync.ids import ENTRY, START, Position
from crdtsync.model import sealed
from crdtsync.model.admission import judge_run
from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.model.chain import next_body, start
from crdtsync.model.closing import build_close
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.model.verify import verify_chain
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.bounds import Bounds
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.quota import Quota
from crdtsync.runtime.committing.work import Work
from crdtsync.runtime.register.status import links_fingerprint
from crdtsync.runtime.register.verify import verify_log
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.strange_entries import everything_once, places, signed_as_it_is, with_value
from crdtsync.testing.strategies.entries import WRONGS, hostile_entries
from crdtsync.testing.till import MemoryOwner, bytes_of

# It prints what it finds, and an entry may be long.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")

SIDES = ("relay", "register")


@cache
def shop():
    """Owner, the hostile device and its neighbour, who have recorded everything that there is, once."""
    owner = MemoryOwner()
    device, neighbour = owner.enrol("Caisse 1"), owner.enrol("Caisse 2", series="02")
    everything_once(device)
    everything_once(neighbour)
    return owner, device, neighbour


class Quiet:
    """Told of commits, and says nothing."""

    def committed(self, growths, seconds, error):
        assert error is None


class Side:
    """A relay or a register that is brought something. ``path``: its store."""

    def __init__(self, kind, folder, owner=None):
        self.kind, self.path = kind, folder / f"{kind}.sqlite"
        self.shop = (owner or shop()[0]).author
        with closing(SqliteStore(self.path)) as store, store.transaction():
            store.create_shop(self.shop, b"l" * 16)
        self.seq = 0

    def bring(self, *entries):
        """Sealed bytes, one after the other, as the log of the device holds them; the codes of those that
        were not admitted.
        """
        return asyncio.run(self._bring([ENTRY + data for data in entries]))

    async def _bring(self, records):
        is_relay = self.kind == "relay"
        admission = Admission(self.shop, Bounds(Quota()) if is_relay else None)
        committer = Committer(
            lambda: SqliteStore(self.path), lambda _: admission, Quiet(), lambda: 0, lambda: 0.0
        )
        committer.start()
        begin = Position(self.seq, bytes(32) if not self.seq else bytes([self.seq % 256]) * 32)
        self.seq += len(records)
        end = Position(self.seq, bytes([self.seq % 256]) * 32)
        rows = tuple(enumerate(records, start=begin.seq + 1))
        done = asyncio.get_running_loop().create_future()
        role = "register" if is_relay else "relay"
        delivery = Delivery(1, begin if begin.seq else START, end, rows)
        committer.submit(Work(self.shop, b"p" * 16, role, done.set_result, [delivery]))
        outcome = await done
        await committer.stop()
        assert outcome.error is None
        return [one.code for _, refused in outcome.stored for one in refused]

    def look(self, of=None):
        """The root digest and, by ledger, the fingerprint of what is held; ``of`` one device alone."""
        with closing(SqliteStore(self.path)) as store:
            log = store.shop(self.shop)
            ledgers = {
                row.name: links_fingerprint({sealed.link(r[1:]) for _, r in log.document_records(row.name)})
                for row in log.documents()
                if of is None or of.hex() in row.name
            }
            return (root_digest(log.runs()) if of is None else b""), ledgers

    def apart(self):
        """What lies apart: its bytes and why."""
        with closing(SqliteStore(self.path)) as store:
            return {one.record[1:]: one.code for one in store.shop(self.shop).apart()}

    def flags(self):
        """The codes of what whoever verifies all of it finds."""
        with closing(SqliteStore(self.path)) as store:
            return {one.code for one in verify_log(store.shop(self.shop), lambda chain: "").findings}


@pytest.fixture
def sides(tmp_path):
    """A relay and a register that hold the owner's chain and all of the neighbour's."""
    owner, _, neighbour = shop()
    found = [Side(kind, tmp_path) for kind in SIDES]
    for side in found:
        assert side.bring(*owner.sealed, *neighbour.sealed) == []
    return found


def both(sides, *entries):
    """What both say to the same entries: one judgement."""
    told = [side.bring(*entries) for side in sides]
    assert told[0] == told[1], "relay and register judge alike"
    return told[0]


def resealed(entry, **fields):
    """An entry that says something else, signed by its author."""
    return seal({**entry.body, **fields}, shop()[1].key)


def one_of(wrong):
    """The simplest entry with that one thing wrong."""
    return find(
        hostile_entries(shop()[1], only=[wrong]),
        lambda _: True,
        settings=settings(database=None, max_examples=1),
    )


# -- refused, whatever else is known ------------------------------------------------------------------------

REFUSED = {
    "a float": "malformed",
    "a number with an exponent": "malformed",
    "an integer of 2^53": "malformed",
    "an integer of 2^64": "malformed",
    "a key twice": "malformed",
    "null": "malformed",
    "nine levels": "malformed",
    "a string that is not in NFC": "malformed",
    "a key outside ASCII": "malformed",
    "a space": "malformed",
    "a letter spelled as an escape": "malformed",
    "keys in another order": "malformed",
    "a byte order mark": "malformed",
    "more bytes than an entry may have": "too-big",
    "a signature with a high s": "bad-signature",
    "a second spelling of its signature": "malformed",
    "a signature with padding": "malformed",
    "a signature in hexadecimal": "malformed",
    "a signature in the other alphabet": "malformed",
    "no signature": "malformed",
    "the signature of another key": "bad-signature",
    "a body that was changed after it was signed": "bad-signature",
    "its end cut off": "malformed",
    "a byte too many": "malformed",
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_is_no_entry_is_refused_by_both_and_kept_apart(sides, wrong):
    _, device, _ = shop()
    hostile = one_of(wrong)
    for side in sides:
        assert side.bring(*device.sealed[: hostile.n - 1]) == []
    before = [side.look() for side in sides]
    assert both(sides, hostile.sealed) == [REFUSED[wrong]]
    assert [side.look() for side in sides] == before
    for side in sides:
        assert side.apart() == {hostile.sealed: REFUSED[wrong]}
        # What is as it should be goes on: the one that stands in its place is taken, and those after it.
        assert side.bring(*device.sealed[hostile.n - 1 :]) == []
        assert side.flags() == set()


def test_every_wrong_of_the_kit_is_in_one_of_the_tables():
    assert {*REFUSED, *FLAGGED_BY_KIT, "the chain of a register that nobody enrolled"} == set(WRONGS)


def of_version(n):
    return lambda device: resealed(device.entries[2], v=n)


FORMS = {
    "version 2": of_version(2),
    "version 0": of_version(0),
    "a version that is a text": of_version("1"),
    "a first entry in the middle": lambda device: resealed(device.entries[2], kind="register"),
    "an owner's kind in a register's chain": lambda device: resealed(device.entries[2], kind="certify"),
    "more of a kind than entries": lambda device: resealed(device.entries[2], n=99),
    "a day that there never was": lambda device: resealed(device.entries[2], bd="2026-02-30"),
    "number 0": lambda device: signed_as_it_is(
        sealed.split(device.entries[2].sealed)[0].replace(b'"seq":3', b'"seq":0'), device.key
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_has_not_the_form_of_an_entry_is_refused_by_both_although_it_is_signed(sides, form):
    _, device, _ = shop()
    before = [side.look() for side in sides]
    (code,) = both(sides, FORMS[form](device))
    assert code == ("other-shop" if "owner" in form else "malformed")
    assert [side.look() for side in sides] == before


# -- held, until somebody who may says otherwise ------------------------------------------------------------


def of_a_stranger():
    """A register of another shop, certified there."""
    other = MemoryOwner("bistro")
    return other.enrol("Caisse 9"), other


def a_new_key(device, **fields):
    """A first entry of the device with a key that nobody certified."""
    key = PrivateKey.from_seed(b"a key of its own")
    body = start(
        device.author, key.public, shop()[0].shop, series="01", nonce=bytes(16), moment=device.moment
    )
    return seal(body | fields, key)


def in_anothers_shop(device):
    """A first entry with the certified key, made for another shop."""
    other = replace(shop()[0].shop, id=bytes_of("shop", "bistro"))
    body = start(device.author, device.key.public, other, series="01", nonce=bytes(16), moment=device.moment)
    return seal(body, device.key)


HELD = {
    "the chain of a register of another shop": (lambda _: of_a_stranger()[0].sealed[0], "unknown-device"),
    "a certificate by another shop's owner": (lambda _: of_a_stranger()[1].sealed[1], "other-shop"),
    "another shop's owner": (lambda _: of_a_stranger()[1].sealed[0], "other-shop"),
    "a chain with a key that nobody certified": (a_new_key, "unknown-key"),
    "a chain that was begun for another shop": (in_anothers_shop, "other-shop"),
}


@pytest.mark.parametrize("what", HELD)
def test_what_it_may_not_say_is_held_by_both_and_kept_apart(sides, what):
    make, code = HELD[what]
    data = make(shop()[1])
    before = [side.look() for side in sides]
    assert both(sides, data) == [code]
    assert [side.look() for side in sides] == before
    assert [side.apart() for side in sides] == [{data: code}] * 2


def test_what_a_display_or_a_revoked_device_records_is_held_by_both(tmp_path):
    owner = MemoryOwner("with others")
    display, stolen = owner.enrol("Vitrine", role="display"), owner.enrol("Caisse 3", series="03")
    stolen.sell()
    owner.revoke(stolen, [stolen.end.known])
    stolen.sell()
    for kind in SIDES:
        side = Side(kind, tmp_path, owner)
        assert side.bring(*owner.sealed, *display.sealed, *stolen.sealed) == ["role", "revoked"]


def test_a_certificate_for_another_shop_by_our_owner_is_refused_by_both(sides):
    owner, device, _ = shop()
    certificate = Certificate(device.author, "x", "register", device.key.public, bytes_of("shop", "bistro"))
    body = next_body(owner.end, "certify", build_certify(certificate), owner.moment)
    before = [side.look() for side in sides]
    assert both(sides, seal(body, owner.key)) == ["malformed"]
    assert both(sides, seal(body, device.key)) == ["bad-signature"], "nor does it certify itself"
    assert [side.look() for side in sides] == before


# -- stored, and named by whoever verifies ------------------------------------------------------------------

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


# -- every field of every kind ------------------------------------------------------------------------------


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


# -- one thing here, another there --------------------------------------------------------------------------


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
