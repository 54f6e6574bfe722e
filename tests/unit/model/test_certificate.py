import itertools
from dataclasses import replace
from typing import Any

import pytest

from crdtsync.errors import BadSignature, InvalidName, MalformedRecord, NotPermitted
from crdtsync.model.certificate import (
    Certificate,
    Directory,
    NeverArrived,
    Replaced,
    build_certify,
    build_revoke,
    read_certificate,
    read_revocation,
)
from crdtsync.model.chain import next_body
from crdtsync.model.entry import Entry, Head, read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.testing.till import MemoryOwner, MemoryTill

HEAD = Head(b"\1" * 32, b"\2" * 32, 7)


def test_a_device_that_was_certified_belongs_to_the_shop() -> None:
    owner = MemoryOwner()
    till = owner.enrol("till 1", series="03")
    expected = Certificate(till.author, "till 1", "register", till.key.public, owner.author, series="03")
    assert owner.directory.certificate(till.author) == expected
    assert owner.directory.shop_name == "Cave du Test"
    assert owner.directory.owner_public == owner.key.public


def test_nobody_belongs_to_an_empty_directory() -> None:
    directory = Directory(b"\1" * 16)
    assert (directory.owner_public, directory.shop_name) == (None, "")
    assert directory.certificate(b"\2" * 16) is None
    assert directory.certificates() == []
    assert not directory.is_revoked(b"\2" * 16)
    assert directory.heads_at_revocation(b"\2" * 16) == ()


def test_a_register_that_had_a_chain_is_found_by_it() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    owner.certify(till, series="05", chain=till.entries[0].link, original_shop=b"\3" * 16)
    certificate = owner.directory.by_chain(till.entries[0].link)
    assert certificate is not None
    assert (certificate.series, certificate.original_shop) == ("05", b"\3" * 16)
    assert owner.directory.by_chain(b"\4" * 32) is None


def test_a_second_key_of_a_device_is_kept_beside_the_first() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    owner.certify(till)
    till.key = PrivateKey.from_seed(b"new key")
    owner.certify(till)
    publics = [certificate.public for certificate in owner.directory.certificates(till.author)]
    assert publics == [MemoryTill().key.public, till.key.public]
    newest = owner.directory.certificate(till.author)
    assert newest is not None
    assert newest.public == till.key.public


def test_certifying_a_key_again_replaces_what_was_said_of_it() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    owner.certify(till, role="display")
    owner.certify(till, role="register")
    assert [certificate.role for certificate in owner.directory.certificates()] == ["register"]


def test_a_revoked_device_is_cut_off_at_the_heads_known() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    owner.certify(till)
    owner.revoke(till, [HEAD])
    assert owner.directory.is_revoked(till.author)
    assert owner.directory.heads_at_revocation(till.author) == (HEAD,)


def test_certifying_again_lifts_a_revocation() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    owner.certify(till)
    owner.revoke(till, [HEAD])
    owner.certify(till)
    assert not owner.directory.is_revoked(till.author)
    assert owner.directory.heads_at_revocation(till.author) == ()


def test_what_was_admitted_before_is_admitted_after_until_somebody_is_cut_off() -> None:
    owner = MemoryOwner()
    till = owner.enrol("till 1")
    before = owner.directory
    assert before.cuts_off_as(before)
    owner.enrol("till 2", series="02")
    assert owner.directory.cuts_off_as(before)
    owner.revoke(till, [HEAD])
    assert not owner.directory.cuts_off_as(before)


def test_what_was_admitted_before_an_owner_handed_over_is_judged_again() -> None:
    owner = MemoryOwner()
    before = owner.directory
    owner.rotate()
    assert not owner.directory.cuts_off_as(before)


def test_the_later_revocation_counts() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    owner.revoke(till)
    owner.revoke(till, [HEAD])
    assert owner.directory.heads_at_revocation(till.author) == (HEAD,)


def test_a_directory_depends_on_the_set_of_entries_only() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    owner.certify(till, role="display")
    owner.revoke(till, [HEAD])
    owner.certify(till)
    owner.revoke(till)
    genesis, *others = owner.entries
    directories = []
    for order in itertools.permutations(others):
        directory = Directory(owner.author).with_entry(genesis)
        for entry in (*order, order[0], genesis):
            directory = directory.with_entry(entry)
        directories.append(directory)
    assert all(directory == directories[0] for directory in directories)


def test_a_second_owner_entry_of_the_same_key_changes_nothing_by_its_time_of_arrival() -> None:
    owner = MemoryOwner()
    again = read_entry(seal({**owner.entries[0].body, "ts": 5}, owner.key))
    one = Directory(owner.author).with_entry(owner.entries[0]).with_entry(again)
    other = Directory(owner.author).with_entry(again).with_entry(owner.entries[0])
    assert one == other


def forged(owner: MemoryOwner, kind: str, payload: dict[str, Any]) -> Entry:
    thief = PrivateKey.from_seed(b"thief")
    return read_entry(seal(next_body(owner.end, kind, payload, owner.moment), thief))


def test_what_somebody_else_signed_does_not_count() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    certify = build_certify(Certificate(till.author, "x", "register", till.key.public, owner.author))
    with pytest.raises(BadSignature):
        owner.directory.with_entry(forged(owner, "certify", certify))
    with pytest.raises(BadSignature):
        owner.directory.with_entry(forged(owner, "revoke", build_revoke(till.author, [], reason="x")))


def test_an_owner_entry_that_its_key_did_not_sign_does_not_count() -> None:
    owner = MemoryOwner()
    entry = read_entry(seal(owner.entries[0].body, PrivateKey.from_seed(b"thief")))
    with pytest.raises(BadSignature):
        Directory(owner.author).with_entry(entry)


def test_before_the_owner_is_known_nothing_counts() -> None:
    owner = MemoryOwner()
    owner.enrol("till 1")
    with pytest.raises(NotPermitted, match="owner"):
        Directory(owner.author).with_entry(owner.entries[1])


def test_entries_of_other_chains_and_kinds_change_nothing() -> None:
    owner, other, till = MemoryOwner(), MemoryOwner("another"), MemoryTill()
    note = owner.append("owner-note", {})
    directory = owner.directory
    for entry in (*other.entries, *till.entries, note):
        assert directory.with_entry(entry) is directory


def test_a_certificate_of_another_shop_is_malformed() -> None:
    owner, till = MemoryOwner(), MemoryTill()
    payload = build_certify(Certificate(till.author, "x", "register", till.key.public, b"\7" * 16))
    with pytest.raises(MalformedRecord, match="another shop"):
        owner.directory.with_entry(owner.append("certify", payload))


GOOD = Certificate(
    b"\1" * 16, "Caisse 1", "register", MemoryTill().key.public, b"\2" * 16, "01", b"\3" * 32, b"\4" * 16
)
BAD: list[dict[str, Any]] = [
    {"device": b"\1" * 15},
    {"name": ""},
    {"name": "x" * 65},
    {"name": "a\nb"},
    {"role": "boss"},
    {"public": b"\2" + b"\xff" * 32},
    {"public": b""},
    {"shop": b""},
    {"series": "small"},
    {"chain": b"\3"},
    {"original_shop": b""},
]


@pytest.mark.parametrize("change", BAD)
def test_a_certificate_that_nobody_could_use_is_not_written(change: dict[str, Any]) -> None:
    build_certify(GOOD)
    with pytest.raises(InvalidName):
        build_certify(replace(GOOD, **change))


@pytest.mark.parametrize(
    "key", [None, 5, {"alg": "RS256", "pub": GOOD.public.hex()}, {"alg": "ES256", "pub": "zz"}]
)
def test_a_certificate_holds_a_key(key: Any) -> None:
    owner = MemoryOwner()
    payload = {**build_certify(replace(GOOD, shop=owner.author)), "key": key}
    entry = owner.append("certify", {name: value for name, value in payload.items() if value is not None})
    with pytest.raises(MalformedRecord):
        owner.directory.with_entry(entry)


@pytest.mark.parametrize("change", [{"device": 5}, {"device": "AB" * 16}, {"heads": 1}, {"heads": [{}]}])
def test_a_revocation_of_another_form_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecord):
        read_revocation({**build_revoke(b"\1" * 16, [HEAD], reason="x"), **change})


def test_what_was_admitted_before_is_believed() -> None:
    """A replica reads its own log at every start, and need not verify it each time."""
    owner, till = MemoryOwner(), MemoryTill()
    payload = build_certify(Certificate(till.author, "x", "register", till.key.public, owner.author))
    entry = forged(owner, "certify", payload)
    assert owner.directory.with_entry(entry, admitted=True).certificate(till.author) is not None


@pytest.mark.parametrize("told", [None, NeverArrived(3, 12_740, 1_795_507_200_000)])
def test_a_certificate_says_which_lost_register_it_replaces_and_what_never_arrived(
    told: NeverArrived | None,
) -> None:
    owner, till = MemoryOwner(), MemoryTill()
    replaced = Replaced(b"l" * 16, (HEAD,), told)
    owner.certify(till, series="05", replaces=replaced)
    certificate = owner.directory.certificate(till.author)
    assert certificate is not None
    assert certificate.replaces == replaced


@pytest.mark.parametrize(
    "replaces",
    [
        None,
        [],
        {},
        {"device": "00" * 16},
        {"device": "00" * 15, "heads": []},
        {"heads": []},
        {"device": "00" * 16, "heads": {}},
        {"device": "00" * 16, "heads": [], "told": None},
        {"device": "00" * 16, "heads": [], "told": {}},
        {"device": "00" * 16, "heads": [], "told": {"sales": 1, "amt": 2}},
        {"device": "00" * 16, "heads": [], "told": {"sales": 1, "amt": True, "at": 3}},
    ],
)
def test_what_is_replaced_is_of_its_form_or_the_certificate_is_none(replaces: Any) -> None:
    till = MemoryTill()
    certificate = Certificate(till.author, "till 1", "register", till.key.public, b"s" * 16, series="03")
    with pytest.raises(MalformedRecord):
        read_certificate(build_certify(certificate) | {"replaces": replaces})
