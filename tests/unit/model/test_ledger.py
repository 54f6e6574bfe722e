import hashlib
from itertools import permutations

import pytest
from pycrdt import Doc, Map

from crdtsync.model.ledger import client_id, collisions, entry_update, fingerprint, project, project_links
from crdtsync.testing.till import MemoryTill

TILL = MemoryTill()
SEALED = [TILL.sealed[0], *(TILL.sell().sealed for _ in range(3))]


def entries_of(update: bytes) -> dict[str, bytes]:
    document: Doc[Map[bytes]] = Doc()
    document.apply_update(update)
    found = document.get("entries", type=Map)
    return {link: bytes(value) for link, value in found.items()}


def test_a_yjs_client_finds_the_sealed_bytes_under_their_links() -> None:
    assert entries_of(project(SEALED)) == {entry.link.hex(): entry.sealed for entry in TILL.entries}


def test_the_document_is_equal_to_the_byte_in_every_order() -> None:
    assert {project(order) for order in permutations(SEALED)} == {project(SEALED)}


def test_an_entry_twice_is_an_entry_once() -> None:
    assert project(SEALED * 2) == project(SEALED)


def test_updates_of_single_entries_make_up_the_document() -> None:
    document: Doc[Map[bytes]] = Doc()
    for entry in reversed(TILL.entries):
        document.apply_update(entry_update(entry.link, entry.sealed))
    assert document.get_update() == project(SEALED)


def test_an_update_is_written_by_the_first_53_bits_of_the_link() -> None:
    link = bytes.fromhex("ff" * 32)
    assert client_id(link) == 2**53 - 1
    document: Doc[Map[bytes]] = Doc()
    document.apply_update(entry_update(link, b"x"))
    assert document.get_state() == b"\x01" + b"\xff" * 7 + b"\x0f" + b"\x01"


def test_an_empty_day_is_an_empty_document() -> None:
    assert project([]) == b"\0\0"


TWINS = [b"\x01" * 7 + bytes([0, last]) + bytes(23) for last in (9, 3, 5)]


def test_of_links_with_one_client_the_smallest_is_projected_and_the_others_named() -> None:
    other = b"\x02" * 32
    assert len({client_id(link) for link in TWINS}) == 1
    assert collisions([*TWINS, other]) == sorted(TWINS)[1:]
    smallest = min(TWINS)
    for order in permutations(TWINS):
        document = project_links({link: link for link in (*order, other)})
        assert entries_of(document) == {smallest.hex(): smallest, other.hex(): other}


@pytest.mark.parametrize("links", [[], [b"a" * 32], [b"b" * 32, b"a" * 32]])
def test_a_fingerprint_names_the_set(links: list[bytes]) -> None:
    expected = hashlib.sha256(b"".join(sorted(links))).hexdigest()
    assert fingerprint(links) == fingerprint([*links, *links]) == expected
