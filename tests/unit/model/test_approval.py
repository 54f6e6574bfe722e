"""What the form of an approval may be, and that it is a union."""

import itertools
from typing import Any

import pytest

from crdtsync.errors import InvalidName, MalformedRecord
from crdtsync.model.approval import LINKS_MAX, build_approve, read_approve
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import ENTRY_BYTES_MAX
from crdtsync.testing.till import MemoryOwner

DEVICE = b"d" * 16
LINKS = [bytes([n]) * 32 for n in (3, 1, 2)]
PAYLOAD = build_approve(DEVICE, LINKS, reason="retrouvée")


def test_links_are_named_once_and_in_order() -> None:
    assert build_approve(DEVICE, [*LINKS, *LINKS], reason="retrouvée") == PAYLOAD
    assert PAYLOAD["links"] == [link.hex() for link in sorted(LINKS)]
    assert read_approve(PAYLOAD) == frozenset(LINKS)


def test_the_largest_approval_fits_in_an_entry() -> None:
    owner, till = MemoryOwner(), MemoryOwner().enrol("till 1")
    links = [n.to_bytes(32, "big") for n in range(LINKS_MAX)]
    entry = owner.append("owner-approve", build_approve(till.author, links, reason="é" * 200))
    assert len(entry.sealed) < ENTRY_BYTES_MAX
    with pytest.raises(InvalidName):
        build_approve(till.author, [*links, b"x" * 32], reason="")


def test_an_approval_of_nothing_is_none() -> None:
    with pytest.raises(InvalidName):
        build_approve(DEVICE, [], reason="")


@pytest.mark.parametrize(
    "change",
    [
        {"device": "d" * 31},
        {"device": None},
        {"device": "D" * 32},
        {"links": None},
        {"links": []},
        {"links": "00" * 32},
        {"links": [5]},
        {"links": ["00" * 31]},
        {"links": ["AB" * 32]},
        {"links": ["zz" * 32]},
        {"links": ["11" * 32, "00" * 32]},
        {"links": ["00" * 32, "00" * 32]},
        {"links": [n.to_bytes(32, "big").hex() for n in range(LINKS_MAX + 1)]},
    ],
)
def test_what_is_not_of_its_form_lets_nothing_in(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecord):
        read_approve({**PAYLOAD, **change})


def test_approvals_add_up_in_any_order() -> None:
    owner = MemoryOwner()
    till = owner.enrol("till 1")
    till.sell()
    owner.revoke(till)
    owner.approve(till, till.entries[0])
    owner.approve(till, till.entries[1])
    owner.revoke(till)
    genesis, *others = owner.entries
    for order in itertools.permutations(others):
        directory = Directory(owner.author).with_entry(genesis)
        for entry in order:
            directory = directory.with_entry(entry)
        assert directory == owner.directory
        assert all(directory.is_approved(entry.link) for entry in till.entries)
        assert not directory.is_approved(b"x" * 32)
