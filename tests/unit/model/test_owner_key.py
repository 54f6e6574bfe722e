"""The owner's key hands over: what it signed in its time stays good, and nothing that it signs later."""

import itertools

import pytest

from crdtsync.errors import BadSignature, InvalidName, MalformedRecord, NotPermitted
from crdtsync.model.admission import Held, judge_entry, judge_run
from crdtsync.model.certificate import Directory
from crdtsync.model.chain import advance
from crdtsync.model.entry import Head, read_entry
from crdtsync.model.owner_key import FIRST, KIND, build_owner_key, read_owner_key, signed_by
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.model.verify import verify_chain
from crdtsync.testing.till import MemoryOwner


@pytest.fixture
def owner():
    """An owner who let a till in, handed over, and let another one in."""
    owner = MemoryOwner()
    owner.enrol("till 1", series="01")
    owner.first_key = owner.key
    owner.rotate()
    owner.enrol("till 2", series="02")
    return owner


def names(directory):
    return sorted(certificate.name for certificate in directory.certificates())


def directory_of(entries, shop):
    directory = Directory(shop)
    for entry in entries:
        directory = directory.with_entry(entry, admitted=True)
    return directory


def forged_by(owner, key, number, name="thief", by=None):
    """A certificate that continues the chain after entry ``number``, signed with ``key``."""
    fork = branch_of(owner, number)
    fork.key, fork.by = key, by or {}
    fork.enrol(name, series="66")
    return fork.entries[-1]


def branch_of(owner, number):
    """The owner as after that entry."""
    fork = MemoryOwner()
    fork.entries.clear()
    fork.head, fork.moment = None, owner.moment
    for entry in owner.entries[:number]:
        fork.head = advance(fork.head, entry)
        fork.entries.append(entry)
    return fork


def judged(entry, directory):
    found = judge_entry(entry.sealed, directory)
    return found.code if isinstance(found, Held) else "admitted"


def test_before_and_after_a_rotation_certificates_count(owner):
    assert names(owner.directory) == ["till 1", "till 2"]
    assert owner.directory.owner_public == owner.key.public != owner.first_key.public
    assert list(verify_chain(owner.entries[0].link, owner.sealed, directory=owner.directory)) == []


def test_what_a_set_of_entries_says_does_not_depend_on_their_order(owner):
    owner.rotate("third")
    owner.enrol("till 3", series="03")
    first, *others = owner.entries
    for order in itertools.permutations(others):
        directory = directory_of([first, *order], owner.author)
        assert names(directory) == ["till 1", "till 2", "till 3"]
        assert directory.keys == owner.directory.keys


def test_a_chain_that_arrives_in_order_is_admitted(owner):
    assert all(verdict.admitted for verdict in judge_run(owner.sealed, Directory(owner.author)))


def test_an_entry_by_a_key_that_nobody_has_handed_over_to_is_held_until_then(owner):
    *others, rotation, late = owner.entries
    directory = directory_of(others, owner.author)
    assert judged(late, directory) == "unknown-key"
    with pytest.raises(NotPermitted):
        directory.with_entry(late)
    assert judged(late, directory.with_entry(rotation)) == "admitted"


def test_the_old_key_signs_nothing_more(owner):
    for number in (1, 2, 4):
        forged = forged_by(owner, owner.first_key, number)
        assert judged(forged, owner.directory) == "retired-key"
        assert "thief" not in names(owner.directory.with_entry(forged))


def test_who_believed_the_old_key_before_he_knew_of_the_rotation_does_so_no_more(owner):
    """Whichever came first, the same certificates count."""
    forged = forged_by(owner, owner.first_key, 2)
    before = directory_of(owner.entries[:2], owner.author)
    assert judged(forged, before) == "admitted"
    assert "thief" in names(before.with_entry(forged))
    learned = directory_of(owner.entries[2:], owner.author)
    for entry in [*owner.entries[:2], forged]:
        learned = learned.with_entry(entry, admitted=True)
    late = directory_of([*owner.entries[:2], forged, *owner.entries[2:]], owner.author)
    assert names(learned) == names(late) == ["till 1", "till 2"]


def test_the_branches_that_a_rotation_names_stay_good():
    """As after a restore: the relay signed on two branches with one key, and then handed over."""
    owner = MemoryOwner()
    owner.enrol("till 1")
    other = forged_by(owner, owner.key, 2, name="on the other branch")
    owner.rotate(heads=[Head(other.facts.chain, other.link, other.facts.n)])
    directory = owner.directory
    assert judged(other, directory) == "admitted"
    assert names(directory.with_entry(other)) == ["on the other branch", "till 1"]


def test_a_second_rotation_of_one_key_is_held(owner):
    other = branch_of(owner, 2)
    other.rotate("the thief's")
    assert judged(other.entries[-1], owner.directory) == "retired-key"
    assert owner.directory.with_entry(other.entries[-1]).owner_public == owner.key.public


def test_a_certificate_of_the_new_key_must_be_signed_by_it(owner):
    forged = forged_by(owner, PrivateKey.from_seed(b"thief"), 4, by={"by": owner.key.public.hex()})
    with pytest.raises(BadSignature):
        judge_entry(forged.sealed, owner.directory)
    with pytest.raises(BadSignature):
        owner.directory.with_entry(forged)


def test_handing_over_to_a_key_that_signed_before_ends_there(owner):
    back = build_owner_key(owner.first_key, owner.author, reason="") | owner.by
    owner.append(KIND, back)
    assert owner.directory.owner_public == owner.key.public


@pytest.mark.parametrize(
    "change",
    [
        {"key": 5},
        {"key": {"alg": "RS256", "pub": "02" * 33}},
        {"key": {"alg": "ES256", "pub": "02" * 32}},
        {"proof": "00" * 64},
        {"proof": 5},
        {"proof": "zz"},
        {"heads": 5},
        {"heads": [{}]},
    ],
)
def test_a_rotation_of_another_form_is_refused_for_good(owner, change):
    payload = build_owner_key(PrivateKey.from_seed(b"another"), owner.author, reason="") | owner.by | change
    body = dict(owner.append(KIND, payload).body)
    with pytest.raises(MalformedRecord):
        read_owner_key(body, owner.author)
    before = directory_of(owner.entries[:-1], owner.author)
    with pytest.raises(MalformedRecord):
        judge_entry(owner.entries[-1].sealed, before)
    assert "form" in [
        defect.code for defect in verify_chain(owner.entries[0].link, owner.sealed, directory=before)
    ]


def test_a_proof_is_for_one_shop(owner):
    payload = build_owner_key(PrivateKey.from_seed(b"another"), owner.author, reason="")
    read_owner_key(payload, owner.author)
    with pytest.raises(MalformedRecord):
        read_owner_key(payload, b"another shop's id"[:16])
    read_owner_key(payload, b"another shop's id"[:16], admitted=True)


def test_a_reason_has_a_bound(owner):
    with pytest.raises(InvalidName):
        build_owner_key(owner.key, owner.author, reason="x" * 501)


@pytest.mark.parametrize("by", [5, "", "02" * 32, "02" * 32 + "0Z", ("02" * 33).upper().replace("2", "A")])
def test_a_field_by_is_a_key(by):
    with pytest.raises(MalformedRecord):
        signed_by({"by": by})
    assert signed_by({}) == FIRST


def test_without_the_owners_entry_no_first_key_is_known(owner):
    with pytest.raises(NotPermitted):
        Directory(owner.author).public_of(FIRST)


def test_the_same_entry_twice_changes_nothing(owner):
    directory = owner.directory
    for entry in owner.entries:
        assert directory.with_entry(entry) is directory


def test_an_entry_signed_with_a_retired_key_is_a_defect(owner):
    forged = forged_by(owner, owner.first_key, 4)
    found = verify_chain(owner.entries[0].link, [*owner.sealed, forged.sealed], directory=owner.directory)
    assert [defect.code for defect in found] == ["key"]


def test_a_signature_under_another_owner_key_than_the_one_named_is_a_defect(owner):
    body = dict(owner.entries[-1].body)
    forged = read_entry(seal(body, owner.first_key))
    found = list(verify_chain(owner.entries[0].link, [*owner.sealed[:-1], forged.sealed]))
    assert [defect.code for defect in found] == ["signature"]
